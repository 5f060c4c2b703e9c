"""HTTPS servers on loopback that answer in JSON, as the services of Azure do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.certificates import Certificate

Reply = tuple[int, dict[str, Any], dict[str, str]]
"""Status, body, headers."""


@dataclass(frozen=True)
class Request:
    """What a client asked for; `token` is None when it came without one."""

    method: str
    path: str
    query: dict[str, str]
    token: str | None
    body: dict[str, Any]


@contextmanager
def serving(certificate: Certificate, answer: Callable[[Request], Reply]) -> Iterator[str]:
    """Serve on a free port; the server's address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _serve(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            token = self.headers["Authorization"]
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            request = Request(
                self.command, url.path, query, token.removeprefix("Bearer ") if token else None, body
            )
            self._send(*answer(request))

        do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the names are the base class's

        def _send(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = certificate.server_context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
