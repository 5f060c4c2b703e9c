"""Writes an answer to the client: with the latency of the region, and broken as the fault says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from e2e.simulator import anthropic_forms
from e2e.simulator.answers import Answer, Event, EventStream, Messages, Reply, Stage, WebSocketSession
from e2e.simulator.error_bodies import error_events
from e2e.simulator.faults import Fault
from e2e.simulator.framing import Body
from e2e.simulator.wire.connection import Channel
from e2e.simulator.wire.websocket import WebSocket

EVENT_STREAM = "text/event-stream; charset=utf-8"
LATE_S = 0.1
"""The time before a late trailer."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The delays of one region in seconds; every call draws a new one."""

    first_byte_s: Callable[[], float]
    token_s: Callable[[], float]


AT_ONCE = Pace(lambda: 0.0, lambda: 0.0)
"""No delays."""


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
    if answer.status in (204, 304) or channel.bodiless or not answer.body:
        await _deliver_bodiless(channel, answer)
        return
    if fault.framing is None:
        fault = fault.model_copy(update={"framing": "length"})
    body = Body(fault, [answer.body])
    head = channel.head(answer.status, body.headers(_type(fault, answer.content_type)) + answer.headers)
    if fault.cut is not None:
        channel.write(head + body.take(answer.body)[: fault.cut])
        await _break_off(channel, fault)
        return
    await _end(channel, body, head + body.take(answer.body))


async def _deliver_bodiless(channel: Channel, answer: Answer) -> None:
    headers = [("content-type", answer.content_type)] if answer.body else []
    if answer.status not in (204, 304):
        headers.append(("content-length", str(len(answer.body))))
    channel.write(channel.head(answer.status, headers + answer.headers))
    await channel.drain()
    channel.complete = True


async def _end(channel: Channel, body: Body, pending: bytes) -> None:
    """Write what is pending and what ends the body."""
    for number, piece in enumerate(body.end()):
        # Only a late trailer comes in two pieces.
        await _pause(LATE_S if number else 0)
        channel.write(pending + piece)
        pending = b""
        await channel.drain()
    channel.complete = True
    if body.closes:
        channel.close()


def _type(fault: Fault, usual: str) -> str:
    return usual if fault.content_type is None else fault.content_type


async def _deliver_stream(channel: Channel, stream: EventStream, fault: Fault, pace: Pace) -> None:
    newline = "\r\n" if fault.crlf else "\r" if fault.cr else "\n"
    stream = replace(stream, events=iter(list(stream.events)))
    body = Body(fault, await _all_parts(stream, fault, newline) if fault.framing else [])
    pending = channel.head(200, body.headers(_type(fault, EVENT_STREAM)) + stream.headers)
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
            half = data[: len(data) // 2] if fault.cut_inside else b""
            channel.write(pending + b"".join(map(body.take, _pieces(half, fault.split or len(data)))))
            await _break_off(channel, fault)
            return
        sent += 1
        if fault.split is None:
            pending += body.take(data)
            continue
        channel.write(pending)
        pending = b""
        for piece in _pieces(data, fault.split):
            channel.write(body.take(piece))
            await asyncio.sleep(0)
    await _end(channel, body, pending)


async def _all_parts(stream: EventStream, fault: Fault, newline: str) -> list[bytes]:
    """The parts of the whole body. Leaves the events of the stream to be taken again."""
    events = list(stream.events)
    script = _scripted(replace(stream, events=iter(events)), fault.model_copy(update={"stall": 0.0}), AT_ONCE)
    data = [event.encode(newline) async for event in script if event is not None]
    stream.events = iter(events)
    return [piece for part in data for piece in _pieces(part, fault.split or len(part))]


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
            for failure in _failures(fault, stream, number):
                yield failure
            return
        if event.stage is Stage.OUTPUT:
            delay = pace.token_s()
            if delay:
                yield None
                await _pause(delay)
            outputs += 1
        yield event


def _failures(fault: Fault, stream: EventStream, number: int) -> list[Event]:
    """The events of a scripted error in the stream's own form."""
    if stream.flavour == "messages":
        return [anthropic_forms.error_event(fault)]
    return error_events(fault, stream, number)


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


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size or 1))
