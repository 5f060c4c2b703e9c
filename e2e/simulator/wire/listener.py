"""A listening port that can refuse connections and accept them again."""

from __future__ import annotations

import asyncio
import socket

from e2e.simulator.wire.connection import Connection, Handler


class Listener:
    """A listening port that can be closed and opened again without losing its number."""

    def __init__(self, handler: Handler, host: str, port: int) -> None:
        self._handler = handler
        self._host = host
        self._wanted_port = port
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._placeholder: socket.socket | None = None

    async def open(self) -> None:
        """Bind and listen. Raises ``OSError`` when the address cannot be used."""
        bound = _bind(self._host, self._wanted_port)
        self._wanted_port = int(bound.getsockname()[1])
        await self._serve(bound)

    @property
    def port(self) -> int:
        """The port in use; for port 0, the one that the system chose."""
        return self._wanted_port

    @property
    def refusing(self) -> bool:
        """True while new connections are refused."""
        return self._placeholder is not None

    def refuse(self) -> None:
        """Refuse new connections; connections in use finish their request first."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        # Bound but not listening: the kernel refuses connections, and no other process can take the port.
        self._placeholder = _bind(self._host, self._wanted_port)
        for connection in list(self._connections):
            connection.close_when_idle = True
            if connection.idle:
                connection.close()

    async def accept(self) -> None:
        """Listen again after :meth:`refuse`."""
        if self._placeholder is not None:
            placeholder, self._placeholder = self._placeholder, None
            await self._serve(placeholder)

    def shut(self) -> None:
        """Close the port and every connection at once."""
        if self._server is not None:
            self._server.close()
        if self._placeholder is not None:
            self._placeholder.close()
        for connection in list(self._connections):
            connection.reset()

    async def _serve(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handler, self._connections), sock=bound, backlog=1024
        )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
