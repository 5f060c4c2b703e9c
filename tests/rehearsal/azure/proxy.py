"""A proxy that answers by itself, with TLS, for every name that it is asked to connect to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

from tests.rehearsal.azure.tls import Authority
from tests.rehearsal.azure.wire import Reply, Request
from tests.support.served import Served


class Proxy(Served):
    """A context manager: while entered, `answer` answers every request to every host."""

    def __init__(self, answer: Callable[[Request], Reply], authority: Authority) -> None:
        super().__init__(_handler(answer, authority))
        self._server.block_on_close = False  # clients keep their connections open

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _handler(answer: Callable[[Request], Reply], authority: Authority) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        host = ""

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # the client is gone
                super().handle()

        def do_CONNECT(self) -> None:
            self.host = self.path.rpartition(":")[0]
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.connection = authority.context(self.host).wrap_socket(self.connection, server_side=True)
            self.setup()
            self.close_connection = False

        def setup(self) -> None:
            if not self.host:
                self.connection = self.request
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", buffering=0)

        def _serve(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            if not self.host:
                reply = Reply(400, b"Only CONNECT is served here.")
            else:
                request = Request(self.command, self.host, self.path, headers, self._content(headers))
                reply = answer(request)
            content = reply.content
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _content(self, headers: dict[str, str]) -> bytes:
            if headers.get("transfer-encoding", "").lower() != "chunked":
                return self.rfile.read(int(headers.get("content-length", 0)))
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - as above

    return Handler
