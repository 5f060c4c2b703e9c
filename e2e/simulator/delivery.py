"""Writes an answer to the client: with the latency of the region, and broken as the fault says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from e2e.simulator.answers import Answer, Event, EventStream, Messages, Reply, Stage, WebSocketSession
from e2e.simulator.error_bodies import error_event
from e2e.simulator.faults import Fault
from e2e.simulator.wire.connection import Channel
from e2e.simulator.wire.websocket import WebSocket

_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Pace:
    """The delays of one region in seconds; every call draws a new one."""

    first_byte_s: Callable[[], float]
    token_s: Callable[[], float]


async def deliver(channel: Channel, answer: Reply, fault: Fault, pace: Pace) -> None:
    """Send an answer, or the part of it that the fault leaves."""
    if fault.reset:
        channel.reset()
        return
    if fault.hang:
        await _silence(fault.hang)
        channel.close()
        return
    await _pause(fault.slow_first_byte + pace.first_byte_s())
    if isinstance(answer, Answer):
        await _deliver_whole(channel, answer, fault, pace)
    elif isinstance(answer, EventStream):
        await _deliver_stream(channel, answer, fault, pace)
    else:
        await _converse(channel, answer, fault, pace)


async def _deliver_whole(channel: Channel, answer: Answer, fault: Fault, pace: Pace) -> None:
    for _ in range(answer.tokens):
        await _pause(pace.token_s())
    headers = [("content-type", answer.content_type)] if answer.body else []
    if answer.status not in (204, 304):
        headers.append(("content-length", str(len(answer.body))))
    head = channel.head(answer.status, headers + answer.headers)
    body = b"" if channel.bodiless else answer.body
    if fault.cut is not None:
        channel.write(head + body[: fault.cut])
        await _break_off(channel, fault)
        return
    channel.write(head + body)
    await channel.drain()
    channel.complete = True


async def _deliver_stream(channel: Channel, stream: EventStream, fault: Fault, pace: Pace) -> None:
    headers = [("content-type", "text/event-stream; charset=utf-8"), ("transfer-encoding", "chunked")]
    pending = channel.head(200, headers + stream.headers)
    newline = "\r\n" if fault.crlf else "\n"
    sent = 0
    async for event in _scripted(stream, fault, pace):
        if event is None:
            # A silence follows, so send what is ready.
            if pending:
                channel.write(pending)
                await channel.drain()
            pending = b""
            continue
        data = event.encode(newline)
        if fault.cut is not None and sent == fault.cut:
            half = _chunks(data[: len(data) // 2], fault.split) if fault.cut_inside else b""
            channel.write(pending + half)
            await _break_off(channel, fault)
            return
        sent += 1
        if fault.split is None:
            pending += _chunk(data)
            continue
        channel.write(pending)
        pending = b""
        for piece in _pieces(data, fault.split):
            channel.write(_chunk(piece))
            await asyncio.sleep(0)
    channel.write(pending + _LAST_CHUNK)
    await channel.drain()
    channel.complete = True


async def _scripted(stream: EventStream, fault: Fault, pace: Pace) -> AsyncIterator[Event | None]:
    """The events of a stream with the scripted silence and error; ``None`` comes before each silence."""
    outputs = 0
    stall, error = fault.stall, fault.stream_error is not None
    for number, event in enumerate(stream.events):
        due = event.stage is not Stage.PREAMBLE and outputs >= fault.after
        if due and stall:
            yield None
            await _pause(stall)
            stall = 0.0
        if due and error:
            yield error_event(fault, stream, number)
            return
        if event.stage is Stage.OUTPUT:
            delay = pace.token_s()
            if delay:
                yield None
                await _pause(delay)
            outputs += 1
        yield event


async def _converse(channel: Channel, session: WebSocketSession, fault: Fault, pace: Pace) -> None:
    """Exchange messages over a WebSocket until either side ends it; ``cut`` counts the sent ones."""
    channel.write(channel.head(101, session.headers))
    socket = WebSocket(channel.upgrade())
    sent = 0
    messages: Messages | None = session.greet()
    while messages is not None:
        for text, is_output in messages:
            if fault.cut is not None and sent == fault.cut:
                await _break_off(channel, fault)
                return
            if is_output:
                await _pause(pace.token_s())
            socket.send(text)
            sent += 1
        await channel.drain()
        received = await socket.receive()
        messages = None if received is None else session.answer(received)
    channel.complete = not channel.gone
    channel.close()


async def _break_off(channel: Channel, fault: Fault) -> None:
    if not fault.cut_rst:
        channel.close()
        return
    await channel.drain()
    # A reset drops what the client has not read yet, so give it time to read.
    await asyncio.sleep(0.05)
    channel.reset()


async def _silence(duration: float | Literal["forever"]) -> None:
    if duration == "forever":
        await asyncio.get_running_loop().create_future()
    else:
        await asyncio.sleep(duration)


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _chunks(data: bytes, size: int | None) -> bytes:
    return b"".join(_chunk(piece) for piece in _pieces(data, size or len(data)))


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))
