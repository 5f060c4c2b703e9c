"""A small HTTP server that answers the first request as the gateway does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class GatewayStandIn:
    """What it accepts and what it was asked: (path, key)."""

    key: str
    url: str = ""
    statuses: list[int] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    """What clients get, one after the other: requests that no backend served."""
    open_to_all: bool = False
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def status(self, key: str | None) -> int:
        if self.statuses:
            return self.statuses.pop(0)
        return 200 if self.open_to_all or key == self.key else 401


@contextmanager
def running_gateway(key: str) -> Iterator[GatewayStandIn]:
    gateway = GatewayStandIn(key)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            given = self.headers.get("api-key")
            gateway.requests.append((self.path, given))
            if given == gateway.key and gateway.attempts:
                self.send_response(502)
                self.send_header("x-gateway-attempts", gateway.attempts.pop(0))
            else:
                self.send_response(gateway.status(given))
                self.send_header("x-gateway-backend", "sweden")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    gateway.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
