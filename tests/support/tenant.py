"""A tenant of Entra ID on loopback: its discovery document, its keys, and the tokens it issues."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.loopback_server import LoopbackServer, Reply, Request

TENANT_ID = "11111111-2222-3333-4444-555555555555"
APPLICATION = "aaaaaaaa-2222-3333-4444-555555555555"
AUDIENCE = "api://gateway"
DISCOVERY = f"https://login.microsoftonline.com/{TENANT_ID}/v2.0/.well-known/openid-configuration"
"""Where the real tenant has its discovery document, as it is rendered."""

ISSUER_V1 = f"https://sts.windows.net/{TENANT_ID}/"
ISSUER_V2 = f"https://login.microsoftonline.com/{TENANT_ID}/v2.0"
SETTINGS = {
    "ENABLE_ENTRA_AUTH": "true",
    "ENTRA_TENANT_ID": TENANT_ID,
    "ENTRA_AUDIENCE": AUDIENCE,
    "ENTRA_ALLOWED_APP_IDS": APPLICATION,
}
"""The settings of a gateway that takes tokens of one application of the tenant."""


@cache
def signing_key(name: str) -> rsa.RSAPrivateKey:
    """The private key of that name, the same one at every call."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Tenant:
    """What the tenant publishes, and what it was asked."""

    port: int = 0
    published: list[str] = field(default_factory=lambda: ["k1"])
    """Names (and ids) of the keys in its key set."""
    status: int = 200
    released: threading.Event = field(default_factory=threading.Event)
    """Answers wait for it; set from the start."""
    paths: list[str] = field(default_factory=list)
    """The paths that were asked for."""

    @property
    def discovery(self) -> str:
        """Where its discovery document is."""
        return f"http://127.0.0.1:{self.port}/discovery"

    def answer(self, request: Request) -> Reply:
        """The next answer."""
        self.paths.append(request.path)
        self.released.wait(20)
        return self.status, self.document(request.path), {}

    def document(self, path: str) -> dict[str, Any]:
        """What it publishes there."""
        if path == "/keys":
            return {"keys": [_jwk(name) for name in self.published]}
        return {"issuer": ISSUER_V2, "jwks_uri": f"http://127.0.0.1:{self.port}/keys"}


def _jwk(name: str) -> dict[str, Any]:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signing_key(name).public_key()))
    return {**public, "kid": name, "use": "sig"}


def claims(**changes: object) -> dict[str, object]:
    """What a token of version 2 says, with changes; None removes a claim."""
    now = int(time.time())
    standard = {
        "iss": ISSUER_V2,
        "aud": AUDIENCE,
        "azp": APPLICATION,
        "iat": now,
        "nbf": now,
        "exp": now + 600,
    }
    return {name: value for name, value in {**standard, **changes}.items() if value is not None}


def token(
    key: str = "k1", *, kid: str | None = None, headers: Mapping[str, object] | None = None, **changes: object
) -> str:
    """A token signed with the key of that name, whose id it gives unless `kid` is another."""
    return jwt.encode(
        claims(**changes), signing_key(key), algorithm="RS256", headers={**(headers or {}), "kid": kid or key}
    )


@contextmanager
def running_tenant() -> Iterator[Tenant]:
    """A running tenant."""
    tenant = Tenant()
    tenant.released.set()

    with LoopbackServer(tenant.answer) as server:
        tenant.port = server.port
        yield tenant
        tenant.released.set()
