"""A server that plays back bytes, to show what a client makes of them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

Answer = Iterable[bytes]
"""The pieces of one answer, each sent on its own. They may be made while they are sent."""

Step = Callable[[socket.socket], object]
"""What a server does with a connection in its own way."""

TOO_LARGE = b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class RawServer:
    """Listens on loopback; the n-th connection plays the n-th script (the last one again and again).

    A script is a list of answers: each is sent when a request has been read. After its last answer the
    connection is closed, unless the script ends with `HOLD`, which keeps it open until the client leaves,
    or with `WAIT`, which keeps it open until `release` is set. `CUT` closes it when the next request begins,
    and `REFUSE` says 413 before. A function in place of an answer does as it likes with the connection.
    """

    CUT: Answer = (b"cut",)
    REFUSE: Answer = (b"refuse",)
    HOLD: Answer = (b"hold",)
    WAIT: Answer = (b"wait",)

    def __init__(self, *scripts: Sequence[Answer | Step], tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.requests: list[bytes] = []
        self.connections = 0
        self.release = threading.Event()
        self.closed = threading.Event()
        """Set when a connection has been closed by either side."""

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        # Closing the listener would not wake the thread that accepts.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._threads[0].join(5)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    @property
    def open_connections(self) -> int:
        """How many connections neither side has closed."""
        return sum(thread.is_alive() for thread in self._threads[1:])

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopped.is_set():
                connection.close()
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            self._open.append(connection)
            self._run(self._play, connection, script)

    def _play(self, connection: socket.socket, script: Sequence[Answer | Step]) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(10)
        with suppress(OSError), self._secured(connection) as stream:
            for answer in script:
                if callable(answer):
                    answer(stream)
                    continue
                if answer is self.HOLD:
                    while stream.recv(65536):
                        pass
                    break
                if answer is self.CUT:
                    stream.recv(1)
                    break
                if answer is self.REFUSE:
                    stream.recv(1)
                    stream.sendall(TOO_LARGE)
                    break
                if answer is self.WAIT:
                    self.release.wait(10)
                    break
                self.requests.append(self._read_request(stream))
                for piece in answer:
                    stream.sendall(piece)
        self.closed.set()

    def _secured(self, connection: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(connection, server_side=True) if self._tls else connection

    @staticmethod
    def _read_request(connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += RawServer._receive(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        fields = [line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:]]
        lengths = [value for name, value in fields if name == b"content-length"]
        while lengths and len(body) < int(lengths[0]):
            body += RawServer._receive(connection)
        return head + b"\r\n\r\n" + body

    @staticmethod
    def _receive(connection: socket.socket) -> bytes:
        data = connection.recv(65536)
        if not data:
            raise ConnectionResetError
        return data
