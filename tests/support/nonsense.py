"""A server that answers every command with the same nonsense."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any


class Nonsense(socketserver.ThreadingTCPServer):
    """Listens on loopback; a context manager that stops it."""

    daemon_threads = True

    def __init__(self, answer: Iterable[bytes]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(handler) -> None:  # noqa: N805
                with suppress(OSError):
                    while handler.request.recv(65536):
                        self.asked += 1
                        for piece in answer:
                            handler.request.sendall(piece)

        self.asked = 0
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def as_redis(self) -> dict[str, Any]:
        """The settings of a gateway that takes it for its Redis."""
        return {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": self.port}

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
