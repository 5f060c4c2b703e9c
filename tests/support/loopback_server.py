"""An HTTP server for tests, on a free port of loopback: a function answers its requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.certificates import Certificate
from tests.support.served import Served

Reply = tuple[int, Any, Mapping[str, str]]
"""Status, body and headers. A body of bytes is sent as it is, any other as JSON."""


@dataclass(frozen=True)
class Request:
    """A request that arrived. `target` is path and query as sent; names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def token(self) -> str | None:
        """The bearer token; None without an Authorization header."""
        authorization = self.headers.get("authorization")
        return authorization.removeprefix("Bearer ") if authorization else None

    @property
    def body(self) -> Any:
        """The JSON of the content; `{}` without content."""
        return json.loads(self.content or b"{}")


class LoopbackServer(Served):
    """A context manager: while entered, `answer` answers every request. With a certificate it uses TLS."""

    def __init__(self, answer: Callable[[Request], Reply], certificate: Certificate | None = None) -> None:
        super().__init__(_handler(answer))
        if certificate is not None:
            self._server.socket = certificate.server_context.wrap_socket(
                self._server.socket, server_side=True
            )
        self._scheme = "http" if certificate is None else "https"

    @property
    def url(self) -> str:
        """Base URL without a trailing slash."""
        return f"{self._scheme}://127.0.0.1:{self.port}"


def _handler(answer: Callable[[Request], Reply]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _serve(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            content = self.rfile.read(int(headers.get("content-length", 0)))
            status, body, more = answer(Request(self.command, self.path, headers, content))
            encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **more}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(encoded)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(encoded)

        do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the names are the base class's

    return Handler
