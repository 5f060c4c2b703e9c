"""Cuts recorded answers at every byte, in every framing, and shows what clients get.

The preferred backend breaks its connection, gently (FIN) or not (RST), after each number of bytes in turn.
The other backend is well. A client must get one of these: the preferred backend's whole answer, the other's
whole answer, or the beginning of the first in a transfer that is seen to break. Run it with
``python -m e2e.cuts --engine apisix``. It prints a Markdown table, and exits with 1 when a client got
something else: an end that is none, two answers in one, or no reply at all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from e2e.simulator import Region, Simulator
from scripts.engines import Gateway, start_gateway

CLIENT_KEY = "client-key-of-the-cuts"
CONCURRENCY = 16
READ_BYTES = 65536
FRAMINGS = ("chunks", "length", "end")
ENDINGS = ("FIN", "RST")
PREFERRED, OTHER = "preferred", "other"


@dataclass(frozen=True)
class Answer:
    """An answer as two backends give it; the texts differ, so that a mixture is seen."""

    name: str
    target: str
    body: dict[str, Any]
    content_type: str
    texts: dict[str, bytes]

    @property
    def is_stream(self) -> bool:
        """Whether it is an event stream."""
        return self.content_type.startswith("text/event-stream")

    def wire(self, backend: str, framing: str) -> bytes:
        """Every byte that a backend sends: head and framed body."""
        text = self.texts[backend]
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {self.content_type}\r\n"
        if framing == "length":
            return f"{head}content-length: {len(text)}\r\n\r\n".encode() + text
        if framing == "end":
            return f"{head}\r\n".encode() + text
        pieces = text.split(b"\n\n") if self.is_stream else [text[:100], text[100:]]
        glue = b"\n\n" if self.is_stream else b""
        framed = b"".join(_chunk(piece + glue) for piece in pieces if piece)
        return f"{head}transfer-encoding: chunked\r\n\r\n".encode() + framed + b"0\r\nx-trailer: 1\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
RESPONSES = {"model": "gpt-4o", "input": "Hello"}
SPEECH = {"model": "gpt-4o", "input": "Hello", "voice": "alloy"}
ASKED = (
    ("chat", "/openai/v1/chat/completions", CHAT | {"stream": True}),
    ("Responses", "/openai/v1/responses", RESPONSES | {"stream": True}),
    ("audio", "/openai/v1/audio/speech", SPEECH),
    ("JSON", "/openai/v1/chat/completions", CHAT),
)


def record() -> Iterator[Answer]:
    """The answers of two simulated regions."""
    regions = [Region(name, key="k", answer_tokens=1) for name in (PREFERRED, OTHER)]
    with Simulator(regions) as sim:
        for name, target, body in ASKED:
            answers = {
                region: httpx.post(sim.endpoint(region) + target, json=body, headers={"api-key": "k"})
                for region in (PREFERRED, OTHER)
            }
            texts = {region: answer.content for region, answer in answers.items()}
            if name == "audio":
                # The simulator's audio has no name in it.
                texts = {region: region.encode() + text[:300] for region, text in texts.items()}
            yield Answer(name, target, body, answers[OTHER].headers["content-type"], texts)


async def _read_head(reader: asyncio.StreamReader) -> dict[str, str]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    pairs = (line.split(":", 1) for line in head.split("\r\n")[1:] if ":" in line)
    return {name.lower(): value.strip() for name, value in pairs}


class Backend:
    """Plays the answer that the header ``x-cut`` names, up to the byte that it names.

    ``2 chunks RST 100`` is the first 100 bytes of the third answer in chunks, and then a reset. The other
    backend plays the same answer whole.
    """

    def __init__(self, name: str, answers: Sequence[Answer]) -> None:
        self._name, self._answers = name, answers
        self.url = ""

    async def start(self) -> None:
        """Listen on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                headers = await _read_head(reader)
                await reader.readexactly(int(headers.get("content-length", 0)))
                index, framing, ending, position = headers["x-cut"].split()
                wire = self._answers[int(index)].wire(self._name, framing)
                if self._name == PREFERRED:
                    writer.write(wire[: int(position)])
                    await writer.drain()
                    if ending == "RST":
                        linger = struct.pack("ii", 1, 0)
                        writer.get_extra_info("socket").setsockopt(
                            socket.SOL_SOCKET, socket.SO_LINGER, linger
                        )
                    break
                writer.write(wire)
                await writer.drain()
                if framing == "end":
                    break
        writer.close()


def _unframed(raw: bytes) -> tuple[int, bytes, bool]:
    """Status, body and whether the answer came to its end, of all that a connection carried."""
    head, separator, rest = raw.partition(b"\r\n\r\n")
    if not separator:
        return 0, b"", False
    status = int(head.split(b" ", 2)[1])
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if b"content-length" in fields:
        return status, rest, len(rest) == int(fields[b"content-length"])
    body = b""
    while True:
        size_line, separator, rest = rest.partition(b"\r\n")
        if not separator:
            return status, body, False
        size = int(size_line, 16)
        if size == 0:
            return status, body, rest == b"\r\n"
        body += rest[:size]
        if len(rest) < size + 2:
            return status, body, False
        rest = rest[size + 2 :]


def _without_error_event(body: bytes) -> bytes:
    """What came before the gateway's error event; the whole body when there is none.

    >>> _without_error_event(b'data: 1\\n\\ndata: {"error":"The backend broke off its answer."}\\n\\n')
    b'data: 1\\n\\n'
    """
    told = body.find(b"The backend broke off its answer.")
    # Without an event before it, rfind gives -1, and the error event begins at 0.
    start = body.rfind(b"\n\n", 0, told)
    return body if told < 0 else body[: start + 2 if start >= 0 else 0]


def judge(answer: Answer, case: str, raw: bytes) -> str:
    """What a client got: ``whole``, ``failed over``, ``broken``, ``untold``, or else what is wrong."""
    _, framing, ending, _ = case.split()
    status, body, has_ended = _unframed(raw)
    if not raw:
        return "no reply"
    if status != httpx.codes.OK:
        return f"status {status}"
    first, second = answer.texts[PREFERRED], answer.texts[OTHER]
    if has_ended and body == second:
        return "failed over"
    # The blank line behind the last event may be missing.
    if has_ended and body.rstrip(b"\n") == first.rstrip(b"\n"):
        return "whole"
    beginning = _without_error_event(body)
    if not first.startswith(beginning):
        return "two answers in one"
    if has_ended:
        # A body without a length ends where its connection ends: nobody can tell.
        return "untold" if answer.name == "audio" and framing == "end" and ending == "FIN" else "false end"
    return "broken without an error event" if answer.is_stream and beginning == body else "broken"


RIGHT = ("whole", "failed over", "broken", "untold")


async def ask(gateway: Gateway, answer: Answer, case: str) -> str:
    """Sends one request on a connection of its own and judges all that comes back."""
    url = httpx.URL(gateway.url)
    content = json.dumps(answer.body)
    request = (
        f"POST {answer.target} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\napi-key: {CLIENT_KEY}\r\n"
        f"content-type: application/json\r\nx-cut: {case}\r\ncontent-length: {len(content)}\r\n\r\n{content}"
    )
    reader, writer = await asyncio.open_connection(url.host, url.port)
    raw = b""
    with suppress(OSError):
        writer.write(request.encode())
        while part := await reader.read(READ_BYTES):
            raw += part
    writer.close()
    return judge(answer, case, raw)


@dataclass(frozen=True)
class Row:
    """What came of all cuts of an answer in one framing with one ending."""

    name: str
    framing: str
    ending: str
    counts: Counter[str]
    wrong: dict[str, str]
    """The first case of everything wrong."""


async def measure(gateway: Gateway, answers: Sequence[Answer], index: int, framing: str, ending: str) -> Row:
    """Cuts one answer at every byte."""
    answer = answers[index]
    counts: Counter[str] = Counter()
    wrong: dict[str, str] = {}
    positions = iter(range(len(answer.wire(PREFERRED, framing)) + 1))

    async def work() -> None:
        for position in positions:
            case = f"{index} {framing} {ending} {position}"
            result = await ask(gateway, answer, case)
            counts[result] += 1
            if result not in RIGHT:
                wrong.setdefault(result, case)

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    return Row(answer.name, framing, ending, counts, wrong)


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        f"| Answer | Framing | Ending | Cuts | {' | '.join(RIGHT)} | Wrong |",
        "|---" * (5 + len(RIGHT)) + "|",
    ]
    for row in rows:
        cells = " | ".join(str(row.counts[word]) for word in RIGHT)
        wrong = ", ".join(f"{row.counts[word]} {word} ({case})" for word, case in row.wrong.items()) or "0"
        lines.append(
            f"| {row.name} | {row.framing} | {row.ending} | {row.counts.total()} | {cells} | {wrong} |"
        )
    return "\n".join(lines)


async def run(engine: str) -> list[Row]:
    """Measures every answer in every framing with every ending."""
    answers = list(record())
    backends = [Backend(name, answers) for name in (PREFERRED, OTHER)]
    for backend in backends:
        await backend.start()
    env = {
        "GATEWAY_CLIENT_NAME_0": "cuts",
        "GATEWAY_CLIENT_KEY_0": CLIENT_KEY,
        # The preferred backend is asked each time, whatever it did before.
        "BREAKER_FAILURES": "10000",
        "AZURE_OPENAI_PRIORITY_0": "1",
    }
    for number, backend in enumerate(backends):
        env[f"AZURE_OPENAI_NAME_{number}"] = f"backend-{number}"
        env[f"AZURE_OPENAI_ENDPOINT_{number}"] = backend.url
        env[f"AZURE_OPENAI_KEY_{number}"] = "k"
    rows = []
    with start_gateway(env, engine=engine) as gateway:
        for index in range(len(answers)):
            for framing in FRAMINGS:
                for ending in ENDINGS:
                    rows.append(await measure(gateway, answers, index, framing, ending))
                    print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Measures everything and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", default="embedded", choices=["embedded", "apisix", "docker"])
    engine = parser.parse_args().engine
    started = time.monotonic()
    rows = asyncio.run(run(engine))
    cuts = sum(row.counts.total() for row in rows)
    wrong = sum(count for row in rows for word, count in row.counts.items() if word not in RIGHT)
    print(table(rows))
    print(f"\n{cuts} cuts on {engine} in {time.monotonic() - started:.0f} s, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
