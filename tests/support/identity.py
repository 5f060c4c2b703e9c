"""A managed-identity endpoint as Container Apps has it, on loopback: scripted tokens, and who asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

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

    def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        expires_on = str(int(time.time() + self.lifetime_seconds))
        body = {"access_token": self.token, "expires_on": expires_on, "token_type": "Bearer"}
        return self.status, json.dumps(body).encode()


@contextmanager
def identity_endpoint() -> Iterator[IdentityEndpoint]:
    """A running endpoint."""
    endpoint = IdentityEndpoint()
    endpoint.released.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            endpoint.requests.append(TokenRequest(query, self.headers.get("X-IDENTITY-HEADER")))
            endpoint.arrived.release()
            endpoint.released.wait(10)
            status, body = endpoint.answer()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield endpoint
        server.shutdown()
