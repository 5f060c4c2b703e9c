"""A managed-identity endpoint as Container Apps has it, on loopback: scripted tokens, and who asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.support.json_server import json_server

SECRET = "identity-header-of-the-test"


@dataclass
class TokenRequest:
    """What one request for a token carried."""

    arguments: dict[str, str]
    secret: str | None


@dataclass
class IdentityEndpoint:
    """What the endpoint answers, and what it was asked."""

    port: int = 0
    token: str = "token-of-eastus"
    lifetime_seconds: float = 3600
    status: int = 200
    released: threading.Event = field(default_factory=threading.Event)
    """Answers wait for it; set from the start."""
    requests: list[TokenRequest] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which Container Apps tells where the endpoint is."""
        return {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.port}/msi/token", "IDENTITY_HEADER": SECRET}

    def answer(self, request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str]]:
        """Status and body of the next answer."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        self.requests.append(TokenRequest(query, request.headers.get("X-IDENTITY-HEADER")))
        self.arrived.release()
        self.released.wait(10)
        expires_on = str(int(time.time() + self.lifetime_seconds))
        return self.status, {"access_token": self.token, "expires_on": expires_on, "token_type": "Bearer"}


@contextmanager
def identity_endpoint() -> Iterator[IdentityEndpoint]:
    """A running endpoint."""
    endpoint = IdentityEndpoint()
    endpoint.released.set()

    with json_server(endpoint.answer) as endpoint.port:
        yield endpoint
