"""A soak of hostile and good clients side by side: do the good ones lose anything, does a worker keep memory?

Run it with ``python -m e2e.soak --hostile --minutes 60``. Good clients chat, stream and continue stored
responses at a steady pace. Hostile clients have a key of their own and do whatever may hurt: each attack of
`ATTACKS` is one function. Their answers are counted and not judged, with one exception: stored responses of
good clients must stay closed to them. Clients and backends share one process, so the times of good answers
include its own pauses.
"""

from __future__ import annotations

import asyncio
import csv
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from e2e.local_settings import client_settings
from e2e.simulator import Simulator
from scripts.engines import Gateway

GOOD_KEY = "client-key-of-the-good"
HOSTILE_KEY = "client-key-of-the-hostile"
HOSTILE_DEPLOYMENT = "hostile-answers"
"""Backends misbehave on this deployment alone."""
DEPLOYMENTS = ("gpt-4o", HOSTILE_DEPLOYMENT)
CHAT = "/openai/v1/chat/completions"
RESPONSES = "/openai/v1/responses"
GOOD_CLIENTS, GOOD_PAUSE_SECONDS = 4, 1.0
HOSTILE_CLIENTS, HOSTILE_PAUSE_SECONDS = 6, 1.5
SAMPLES = 120
GROWTH_LIMIT_KIB = 16 * 1024
"""The median of the last quarter's memory may be above the second quarter's by so much."""
MIB = 1024 * 1024


@dataclass
class Sample:
    """One line of the CSV: what happened until `seconds` after the start."""

    seconds: float
    worker_rss_kib: int
    good_sent: int
    good_answered: int
    good_lost: int
    hostile_sent: int
    slowest_good_ms: int


@dataclass
class Tally:
    """What the clients got so far."""

    good: Counter[str] = field(default_factory=Counter)
    hostile: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)
    foreign_reads: int = 0
    slowest_good_ms: float = 0.0
    stored: list[str] = field(default_factory=list)
    """Ids of the good clients' latest responses."""


def settings() -> dict[str, str]:
    """The two clients, beside the backends."""
    return {
        **client_settings(0, "good", GOOD_KEY),
        **client_settings(1, "hostile", HOSTILE_KEY),
    }


def script(sim: Simulator) -> None:
    """Lets the backends answer the hostile clients' deployment with whatever may hurt a gateway."""
    forged = {"object": "chat.completion", "model": "invented", "usage": {"total_tokens": -1_000_000}}
    for region in sim.regions:
        for fault in (
            {"status": 200, "body": '{"x":"' + "a" * 20 * MIB + '"}', "probability": 0.05},
            {"status": 200, "body": "[" * MIB, "probability": 0.1},
            {"status": 500, "body": "e" * 4 * MIB, "probability": 0.1},
            {"status": 200, "body": forged, "probability": 0.2},
            {"garbage_hint": "day", "probability": 0.2},
            {"cut": 3, "cut_rst": True, "probability": 0.3},
            {"stream_error": "auto", "code": "server_error", "probability": 0.5},
            {"reset": True},
        ):
            sim.fail(region, deployment=HOSTILE_DEPLOYMENT, **fault)


# --- good clients ---------------------------------------------------------------------------------------


async def _chat(client: httpx.AsyncClient, _tally: Tally, dice: random.Random) -> str:
    is_stream = dice.random() < 0.5
    messages = [{"role": "user", "content": f"Hello {dice.random()}"}]
    response = await client.post(CHAT, json={"model": "gpt-4o", "messages": messages, "stream": is_stream})
    if response.status_code != httpx.codes.OK:
        return f"status {response.status_code}"
    is_whole = "data: [DONE]" in response.text if is_stream else response.text.endswith("}")
    return "" if is_whole else "not whole"


async def _continue_a_response(client: httpx.AsyncClient, tally: Tally, dice: random.Random) -> str:
    body = {"model": "gpt-4o", "input": "Hello", "previous_response_id": dice.choice([*tally.stored, None])}
    response = await client.post(RESPONSES, json={name: value for name, value in body.items() if value})
    if response.status_code != httpx.codes.OK:
        return f"status {response.status_code}"
    tally.stored = [*tally.stored[-20:], response.json()["id"]]
    found = await client.get(f"{RESPONSES}/{tally.stored[-1]}")
    return "" if found.status_code == httpx.codes.OK else f"status {found.status_code} when read"


async def _good_step(client: httpx.AsyncClient, tally: Tally, dice: random.Random) -> None:
    step = _chat if dice.random() < 0.8 else _continue_a_response
    tally.good["sent"] += 1
    begin = time.monotonic()
    try:
        fault = await step(client, tally, dice)
    except httpx.HTTPError as error:
        fault = type(error).__name__
    took_ms = (time.monotonic() - begin) * 1000
    tally.slowest_good_ms = max(tally.slowest_good_ms, took_ms)
    if fault:
        tally.losses.append(f"{step.__name__.strip('_')}: {fault}")
        print(f"{time.strftime('%X')} lost after {took_ms:.0f} ms, {tally.losses[-1]}", flush=True)
    else:
        tally.good["answered"] += 1


# --- hostile clients ------------------------------------------------------------------------------------


@dataclass
class Hostile:
    """What an attack works with."""

    client: httpx.AsyncClient
    tally: Tally
    dice: random.Random
    address: tuple[str, int]

    def word(self) -> str:
        """An invented name."""
        return f"invented-{self.dice.randrange(10**9)}"

    async def send_bytes(self, *pieces: bytes, pause_seconds: float = 0.0) -> str:
        """Writes bytes on a connection of its own; gives the status of the answer, if there is one."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_seconds)
            with suppress(TimeoutError):
                head = await asyncio.wait_for(reader.read(64), 2)
                return head[9:12].decode(errors="replace") or "closed"
            return "no answer"
        finally:
            writer.close()


async def invented_deployment(hostile: Hostile) -> str:
    """A model that nobody has."""
    body = {"model": hostile.word(), "messages": [{"role": "user", "content": "x"}]}
    return str((await hostile.client.post(CHAT, json=body)).status_code)


async def wrong_path(hostile: Hostile) -> str:
    """Paths of APISIX, of nothing, and with odd bytes."""
    paths = ["/apisix/admin/routes", "/openai/../../etc/passwd", "/%00", "//openai//v1", f"/{hostile.word()}"]
    path = f"{hostile.dice.choice(paths)}?api-key={hostile.word()}"
    return str((await hostile.client.get("/", extensions={"target": path.encode()})).status_code)


async def huge_json(hostile: Hostile) -> str:
    """1 to 14 MB of JSON: flat or deep, doubled members, or cut."""
    size = hostile.dice.randint(1, 14) * 1_000_000
    inner = hostile.dice.choice(["[]," * (size // 3) + "[]", "[" * (size // 2) + "]" * (size // 2)])
    body = f'{{"model":"{hostile.word()}","messages":[],"x":[{inner}],"model":"gpt-4o"}}'
    content = body[: hostile.dice.choice([len(body), size // 2])].encode()
    headers = {"content-type": "application/json"}
    return str((await hostile.client.post(CHAT, content=content, headers=headers)).status_code)


async def huge_form(hostile: Hostile) -> str:
    """300 parts, each with a thousand parameters in its head."""
    parameters = "".join(f'; p{index}="v"' for index in range(1000))
    part = f'--b\r\nContent-Disposition: form-data; name="x"{parameters}\r\n\r\ny\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    content = (part * 300 + "--b--\r\n").encode()
    path = "/openai/v1/audio/transcriptions"
    return str((await hostile.client.post(path, content=content, headers=headers)).status_code)


async def slow_body(hostile: Hostile) -> str:
    """A body that comes one byte at a time and never ends."""
    head = f"POST {CHAT} HTTP/1.1\r\nhost: g\r\napi-key: {HOSTILE_KEY}\r\ncontent-length: 10000\r\n\r\n"
    return await hostile.send_bytes(head.encode(), *[b"{"] * 10, pause_seconds=0.5)


async def aborted_stream(hostile: Hostile) -> str:
    """A stream that is left after its first bytes."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "stream": True}
    async with hostile.client.stream("POST", CHAT, json=body) as response:
        async for _ in response.aiter_raw():
            break
        return f"{response.status_code}, left"


async def huge_header(hostile: Hostile) -> str:
    """A header line of 40 to 80 KB, or 500 lines."""
    long = {"x-long": "a" * hostile.dice.randint(40_000, 80_000)}
    many = {f"x-{index}": "a" for index in range(500)}
    return str((await hostile.client.get(CHAT, headers=hostile.dice.choice([long, many]))).status_code)


async def invented_id(hostile: Hostile) -> str:
    """Ids that nobody handed out, in paths and bodies."""
    if hostile.dice.random() < 0.5:
        return str((await hostile.client.get(f"{RESPONSES}/resp_{hostile.word()}")).status_code)
    files = [f"file-{hostile.word()}" for _ in range(16)]
    body = {"model": "gpt-4o", "input": "x", "tools": [{"type": "code_interpreter", "file_ids": files}]}
    return str((await hostile.client.post(RESPONSES, json=body)).status_code)


async def foreign_id(hostile: Hostile) -> str:
    """Responses of the good clients: read, continued, deleted."""
    if not hostile.tally.stored:
        return "none yet"
    name = hostile.dice.choice(hostile.tally.stored)
    method = hostile.dice.choice(["GET", "DELETE", "POST"])
    if method == "POST":
        body = {"model": "gpt-4o", "input": "what did I say?", "previous_response_id": name}
        response = await hostile.client.post(RESPONSES, json=body)
    else:
        response = await hostile.client.request(method, f"{RESPONSES}/{name}")
    hostile.tally.foreign_reads += response.is_success
    return str(response.status_code)


async def hostile_answer(hostile: Hostile) -> str:
    """Asks for the deployment on which backends misbehave."""
    messages = [{"role": "user", "content": "x"}]
    body = {"model": HOSTILE_DEPLOYMENT, "messages": messages, "stream": hostile.dice.random() < 0.5}
    return str((await hostile.client.post(CHAT, json=body)).status_code)


async def no_http(hostile: Hostile) -> str:
    """Bytes that are no request, and framing that contradicts itself."""
    head = f"POST {CHAT} HTTP/1.1\r\nhost: g\r\napi-key: {HOSTILE_KEY}\r\n"
    both = f"{head}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    return await hostile.send_bytes(
        hostile.dice.choice([both.encode(), b"\x16\x03\x01" * 50, b"GET /\r\n\r\n"])
    )


async def wrong_key(hostile: Hostile) -> str:
    """A guessed key."""
    headers = {"api-key": hostile.word(), "authorization": f"Bearer {hostile.word()}"}
    return str((await hostile.client.post(CHAT, json={}, headers=headers)).status_code)


ATTACKS: tuple[Callable[[Hostile], Awaitable[str]], ...] = (
    invented_deployment,
    wrong_path,
    huge_json,
    huge_form,
    slow_body,
    aborted_stream,
    huge_header,
    invented_id,
    foreign_id,
    hostile_answer,
    no_http,
    wrong_key,
)


async def _attack(hostile: Hostile) -> None:
    attack = hostile.dice.choice(ATTACKS)
    try:
        outcome = await attack(hostile)
    except (httpx.HTTPError, OSError) as error:
        outcome = type(error).__name__
    hostile.tally.hostile[f"{attack.__name__}: {outcome}"] += 1


# --- the run --------------------------------------------------------------------------------------------


async def _until(end: float, pause: float, dice: random.Random, step: Callable[[], Awaitable[None]]) -> None:
    while time.monotonic() < end:
        await step()
        await asyncio.sleep(dice.uniform(0, 2 * pause))


async def _sample(
    end: float, tally: Tally, rss_kib: Callable[[], int], samples: list[Sample], file: Path
) -> None:
    begin = time.monotonic()
    pause = (end - begin) / SAMPLES
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(Sample.__annotations__)
        while time.monotonic() < end:
            await asyncio.sleep(pause)
            samples.append(
                Sample(
                    seconds=round(time.monotonic() - begin, 1),
                    worker_rss_kib=rss_kib(),
                    good_sent=tally.good["sent"],
                    good_answered=tally.good["answered"],
                    good_lost=len(tally.losses),
                    hostile_sent=sum(tally.hostile.values()),
                    slowest_good_ms=round(tally.slowest_good_ms),
                )
            )
            tally.slowest_good_ms = 0.0
            writer.writerow(vars(samples[-1]).values())
            opened.flush()


async def drive(
    gateway: Gateway, minutes: float, seed: int, rss_kib: Callable[[], int], file: Path
) -> tuple[Tally, list[Sample]]:
    """Runs all clients for so long, and writes a sample now and then to the CSV `file`."""
    tally, samples = Tally(), list[Sample]()
    dice = random.Random(seed)  # noqa: S311
    end = time.monotonic() + minutes * 60
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    assert address.port is not None
    async with (
        httpx.AsyncClient(base_url=gateway.url, headers={"api-key": GOOD_KEY}, timeout=60) as good,
        httpx.AsyncClient(base_url=gateway.url, headers={"api-key": HOSTILE_KEY}, timeout=60) as bad,
    ):
        hostile = Hostile(bad, tally, dice, (address.hostname, address.port))
        await asyncio.gather(
            _sample(end, tally, rss_kib, samples, file),
            *(
                _until(end, GOOD_PAUSE_SECONDS, dice, lambda: _good_step(good, tally, dice))
                for _ in range(GOOD_CLIENTS)
            ),
            *(
                _until(end, HOSTILE_PAUSE_SECONDS, dice, lambda: _attack(hostile))
                for _ in range(HOSTILE_CLIENTS)
            ),
        )
    return tally, samples


def growth_kib(samples: list[Sample]) -> int:
    """How much memory the last quarter needs above the second quarter, by medians."""
    sizes = [sample.worker_rss_kib for sample in samples]
    quarter = max(len(sizes) // 4, 1)
    return round(statistics.median(sizes[-quarter:]) - statistics.median(sizes[quarter : 2 * quarter]))


def plot(samples: list[Sample]) -> str:
    """The worker's memory and the slowest good answers over time, as SVG."""
    width, height, left, top = 800, 260, 60, 30
    last = max(samples[-1].seconds, 1)

    def panel(title: str, values: list[float], offset: int) -> str:
        greatest = max(*values, 1)
        points = " ".join(
            f"{left + sample.seconds / last * width:.1f},{offset + height - value / greatest * height:.1f}"
            for sample, value in zip(samples, values, strict=True)
        )
        return (
            f'<text x="{left}" y="{offset - 8}">{title}: at most {greatest:.0f} in {last / 60:.0f} min</text>'
            f'<rect x="{left}" y="{offset}" width="{width}" height="{height}" fill="none" stroke="#bbb"/>'
            f'<polyline points="{points}" fill="none" stroke="#06c" stroke-width="1.5"/>'
        )

    memory = panel("Memory of the worker, MiB", [sample.worker_rss_kib / 1024 for sample in samples], top)
    slowest = panel(
        "Slowest good answer, ms", [sample.slowest_good_ms for sample in samples], 2 * top + height + 10
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 2 * left}" height="{2 * height + 100}" '
        f'font-family="sans-serif" font-size="13">{memory}{slowest}</svg>\n'
    )


def report(tally: Tally, samples: list[Sample]) -> tuple[str, bool]:
    """The result in words, and whether it is good."""
    growth = growth_kib(samples)
    fine = not tally.losses and not tally.foreign_reads and growth <= GROWTH_LIMIT_KIB
    lines = [f"{count:>8}  {what}" for what, count in sorted(tally.hostile.items())]
    lines += [f"{count:>8}  lost, {what}" for what, count in sorted(Counter(tally.losses).items())]
    peak = max(sample.worker_rss_kib for sample in samples)
    lines += [
        f"good requests: {tally.good['sent']} sent, {tally.good['answered']} answered, "
        f"{len(tally.losses)} lost; slowest {max(sample.slowest_good_ms for sample in samples)} ms",
        f"hostile requests: {sum(tally.hostile.values())}, "
        f"answered with what is another's: {tally.foreign_reads}",
        f"memory of the worker: {samples[0].worker_rss_kib} KiB first, {peak} KiB at most, "
        f"{samples[-1].worker_rss_kib} KiB last, growth {growth} KiB (at most {GROWTH_LIMIT_KIB} KiB)",
        f"verdict: {'fine' if fine else 'NOT fine'}",
    ]
    return "\n".join(lines), fine
