"""A small HTTP/1.1 server with control over every byte it writes.

Requests are parsed by ``h11``. Answers are written by hand, because breaking them (a reset before the
head, a body that stops short of its ``content-length``, a stream without its last chunk) is what the
simulator is for, and a correct HTTP library rightly refuses to do so.
"""

from __future__ import annotations

import asyncio
import http
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from urllib.parse import parse_qs, unquote

import h11

Headers = Sequence[tuple[str, str]]

MAX_HEAD_BYTES = 128 * 1024
"""Longest accepted request head: Entra tokens and long paths fit."""


@dataclass
class Request:
    """One request as it came over the wire; ``target`` is the raw path and query."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    peer: str
    received_at: float = field(default_factory=time.time)

    @cached_property
    def path(self) -> str:
        """The decoded path, without the query."""
        return unquote(self.target.partition("?")[0])

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's parameters; the first value wins when a name is repeated."""
        raw = self.target.partition("?")[2]
        return {name: values[0] for name, values in parse_qs(raw, keep_blank_values=True).items()}

    @cached_property
    def _index(self) -> dict[str, str]:
        return {name.lower(): value for name, value in reversed(self.headers)}

    def header(self, name: str) -> str | None:
        """The first value of header ``name`` (given in lower case), or ``None``."""
        return self._index.get(name)


Handler = Callable[[Request, "Channel"], Awaitable[None]]


class Channel:
    """The way back to the client of one request: raw writes, and the ways to break off.

    ``gone`` says that the *client* closed the connection before the answer was complete.
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
        lines = [f"HTTP/1.1 {status} {_reason(status)}\r\n", f"date: {_http_date()}\r\n"]
        # A deployment's name comes from the client: it must not end a header.
        lines += [f"{name}: {value.translate(_NO_LINE_BREAKS)}\r\n" for name, value in headers]
        if not self.keep_alive:
            lines.append("connection: close\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("latin-1", "replace")

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport at once."""
        self._connection.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken enough of what was written."""
        await self._connection.drain()

    def close(self) -> None:
        """Close after what was written has been sent (FIN): the answer stays as incomplete as it is."""
        self._connection.close()

    def reset(self) -> None:
        """Break the connection with a TCP RST; unsent bytes are dropped."""
        self._connection.reset()

    def upgrade(self) -> Upgraded:
        """Take the connection out of HTTP after a 101: raw bytes in, raw bytes out."""
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
        """Close the connection after what was written."""
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
        """Parse, unless a request is under way: then the bytes wait."""
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
        """Abort the request under way: nobody waits for it any more."""
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
                # A bug of the simulator must look like one: never a clean answer to the client.
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
        status = int(error.error_status_hint)
        self.write(
            f"HTTP/1.1 {status} {_reason(status)}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode()
        )
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
        """Close from our side, after what was written."""
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
        """The port in use; the chosen one when 0 was asked for."""
        return self._wanted_port

    @property
    def refusing(self) -> bool:
        """True while new connections are refused."""
        return self._placeholder is not None

    def refuse(self) -> None:
        """Stop listening, so that new connections are refused; connections in use finish first."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        # Bound but not listening: the kernel refuses connections and nobody else can take the port.
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


def _parser() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)


_REASONS = {int(status): status.phrase for status in http.HTTPStatus}
_NO_LINE_BREAKS = str.maketrans("\r\n", "  ")
_date_cache: tuple[int, str] = (0, "")


def _reason(status: int) -> str:
    return _REASONS.get(status, "Unknown")


def _http_date() -> str:
    global _date_cache
    now = int(time.time())
    if _date_cache[0] != now:
        _date_cache = (now, formatdate(now, usegmt=True))
    return _date_cache[1]
