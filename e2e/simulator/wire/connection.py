"""One client connection of a small HTTP/1.1 server that controls every byte it writes.

``h11`` parses the requests. The answers are written by hand, because the simulator is there to break them (a
reset before the head, a body shorter than its ``content-length``, a stream without its last chunk), and a
correct HTTP library refuses to do so.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

import h11

from e2e.simulator.wire.http import Headers, Request, head_bytes, refusal_bytes

MAX_HEAD_BYTES = 128 * 1024
"""The longest request head that is accepted: Entra tokens and long paths fit."""

Handler = Callable[[Request, "Channel"], Awaitable[None]]


class Channel:
    """The way back to the client of one request: raw writes, and ways to break the answer off.

    ``gone``: the *client* closed the connection before the answer was complete.
    """

    def __init__(self, connection: Connection, bodiless: bool) -> None:
        self._connection = connection
        self.bodiless = bodiless
        """The request was a HEAD: the answer's body must not be sent."""
        self.gone = False
        self.status: int | None = None
        self.complete = False
        self.keep_alive = True

    def head(self, status: int, headers: Headers) -> bytes:
        """Bytes of a status line and headers; nothing is sent yet."""
        self.status = status
        return head_bytes(status, headers, keep_alive=self.keep_alive)

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport at once."""
        self._connection.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken enough of what was written."""
        await self._connection.drain()

    def close(self) -> None:
        """Close with a FIN once the written bytes have been sent, however incomplete the answer is."""
        self._connection.close()

    def reset(self) -> None:
        """Break the connection with a TCP RST; unsent bytes are dropped."""
        self._connection.reset()

    def upgrade(self) -> Upgraded:
        """Leave HTTP after a 101: from here on the connection carries raw bytes."""
        return self._connection.upgrade(self)


class Upgraded:
    """A connection that left HTTP: ``received`` yields bytes, and ``b""`` once the client is gone."""

    def __init__(self, channel: Channel, early: bytes) -> None:
        self._channel = channel
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        if early:
            self.received.put_nowait(early)

    def write(self, data: bytes) -> None:
        """Send raw bytes."""
        self._channel.write(data)

    def close(self) -> None:
        """Close the connection after the written bytes."""
        self._channel.close()


class Connection(asyncio.Protocol):
    """One client connection: parses requests one after another and runs the handler for each."""

    def __init__(self, handler: Handler, connections: set[Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._parser = _parser()
        self._transport: asyncio.Transport
        self._peer = ""
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._channel: Channel | None = None
        self._upgraded: Upgraded | None = None
        self._writable: asyncio.Future[None] | None = None
        self._closing = False
        self.close_when_idle = False

    # --- called by asyncio -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the client's address."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peername = transport.get_extra_info("peername")
        self._peer = str(peername[0]) if peername else ""
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes; while a request is under way, they wait."""
        if self._upgraded is not None:
            self._upgraded.received.put_nowait(data)
            return
        try:
            self._parser.receive_data(data)
            if self._task is None:
                self._advance()
        except h11.RemoteProtocolError as error:
            self._refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Abort the request under way, because its client has gone."""
        self._connections.discard(self)
        if self._channel is not None and not self._closing:
            self._channel.gone = True
        if self._upgraded is not None:
            self._upgraded.received.put_nowait(b"")
        elif self._task is not None:
            self._task.cancel()
        self._release()

    def pause_writing(self) -> None:
        """Let writers wait: the client reads too slowly."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._release()

    # --- parsing -----------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Take parsed events until a request is complete, then start its handler."""
        while True:
            event = self._parser.next_event()
            if isinstance(event, h11.Request):
                self._head, self._body = event, bytearray()
                if self._parser.they_are_waiting_for_100_continue:
                    self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._start()
                return
            else:
                return

    def _start(self) -> None:
        head = self._head
        assert head is not None
        request = Request(
            method=head.method.decode("ascii"),
            target=head.target.decode("latin-1"),
            headers=[(n.decode("latin-1"), v.decode("latin-1")) for n, v in head.headers.raw_items()],
            body=bytes(self._body),
            peer=self._peer,
        )
        self._channel = Channel(self, bodiless=request.method == "HEAD")
        connection_header = (request.header("connection") or "").lower()
        self._channel.keep_alive = "close" not in connection_header and head.http_version >= b"1.1"
        self._task = asyncio.get_running_loop().create_task(self._run(request, self._channel))

    async def _run(self, request: Request, channel: Channel) -> None:
        with suppress(asyncio.CancelledError):
            try:
                await self._handler(request, channel)
            except Exception:
                # A bug of the simulator must never look like a clean answer.
                self.reset()
                raise
        if self._transport.is_closing():
            return
        if not channel.complete or not channel.keep_alive or self.close_when_idle:
            self.close()
            return
        self._task, self._channel = None, None
        rest, _ = self._parser.trailing_data
        self._parser = _parser()
        self._parser.receive_data(rest) if rest else None
        try:
            self._advance()
        except h11.RemoteProtocolError as error:
            self._refuse(error)

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        self.write(refusal_bytes(int(error.error_status_hint)))
        self.close()

    # --- used by Channel and by the listener ---------------------------------------------------------

    @property
    def idle(self) -> bool:
        """True between two requests."""
        return self._task is None

    def write(self, data: bytes) -> None:
        """Send bytes unless the connection is closing."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the transport's buffer is over its limit."""
        if self._writable is not None:
            await self._writable

    def close(self) -> None:
        """Close from our side, after the written bytes."""
        self._closing = True
        self._transport.close()

    def reset(self) -> None:
        """Close from our side with a TCP RST (linger time zero)."""
        self._closing = True
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def upgrade(self, channel: Channel) -> Upgraded:
        """Stop parsing HTTP on this connection."""
        self._upgraded = Upgraded(channel, self._parser.trailing_data[0])
        channel.keep_alive = False
        return self._upgraded

    def _release(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None


def _parser() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
