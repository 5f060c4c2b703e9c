"""The server's side of a WebSocket (RFC 6455); frames are handled by ``websockets``' protocol core."""

from __future__ import annotations

from collections import deque

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from e2e.simulator.wire.connection import Upgraded

_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
_MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class WebSocket:
    """Messages over an upgraded connection."""

    def __init__(self, wire: Upgraded) -> None:
        self._wire = wire
        self._protocol = Protocol(Side.SERVER, max_size=_MAX_MESSAGE_BYTES)
        self._messages: deque[str] = deque()
        self._fragments = bytearray()

    async def receive(self) -> str | None:
        """The next message; ``None`` once the connection is closed."""
        while not self._messages:
            if self._protocol.state is not OPEN:
                return None
            data = await self._wire.received.get()
            if not data:
                return None
            self._take(data)
        return self._messages.popleft()

    def send(self, text: str) -> None:
        """Send one text message, unless the connection is closing."""
        if self._protocol.state is OPEN:
            self._protocol.send_text(text.encode())
            self._flush()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start or finish the closing handshake."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            self._flush()

    def _take(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode in _DATA:
                self._fragments += frame.data
                if frame.fin:
                    self._messages.append(self._fragments.decode("utf-8", "replace"))
                    self._fragments.clear()
        self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._wire.write(data)
