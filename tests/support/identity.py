"""A managed-identity endpoint like that of Container Apps, on loopback, which records its requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.loopback_server import LoopbackServer, Reply, Request

SECRET = "identity-header-of-the-test"


@dataclass
class TokenRequest:
    """One recorded request for a token."""

    arguments: dict[str, str]
    secret: str | None


@dataclass
class IdentityEndpoint:
    """The answers of the endpoint, and the requests that it got."""

    port: int = 0
    token: str = "token-of-eastus"
    lifetime_seconds: float = 3600
    status: int = 200
    released: threading.Event = field(default_factory=threading.Event)
    """Answers wait for this event; it is set from the start."""
    requests: list[TokenRequest] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Container Apps announces the endpoint."""
        return {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.port}/msi/token", "IDENTITY_HEADER": SECRET}

    def answer(self, request: Request) -> Reply:
        """The next answer."""
        self.requests.append(TokenRequest(request.query, request.headers.get("x-identity-header")))
        self.arrived.release()
        self.released.wait(10)
        expires_on = str(int(time.time() + self.lifetime_seconds))
        body = {"access_token": self.token, "expires_on": expires_on, "token_type": "Bearer"}
        return self.status, body, {}


@contextmanager
def identity_endpoint() -> Iterator[IdentityEndpoint]:
    """A running endpoint."""
    endpoint = IdentityEndpoint()
    endpoint.released.set()

    with LoopbackServer(endpoint.answer) as server:
        endpoint.port = server.port
        yield endpoint
