"""Plays the sessions of a shape through a gateway, one request at a time, by a simulated clock."""

from __future__ import annotations

import heapq
import itertools
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from e2e.cache_table.shapes import MESSAGES, Json, Session
from e2e.simulator import PromptCaching, Simulator
from renderer.parsers.prices import Price, shipped_prices
from scripts.engines import Gateway

CLIENT_KEYS = [f"client-key-of-cache-table-{number}" for number in range(3)]
LIFE_S = 300.0
# Simulated seconds.
THROTTLE_EVERY, THROTTLE_FOR, COMES_BACK_AFTER = 100.0, 20.0, 5.0
# Real seconds: longer than it takes to play what happens while a backend is throttled, so it refuses once.
_COOL_DOWN_S = 1.0
_MARGIN_S = 0.05
# Each client would read the system's certificates again, which takes 60 ms.
_TLS = ssl.create_default_context()


@dataclass
class Clock:
    """Simulated seconds."""

    now: float = 0.0

    def __call__(self) -> float:
        """The time now."""
        return self.now


@dataclass
class Totals:
    """What the answers of a run have reported."""

    prompt: int = 0
    cached: int = 0
    requests: int = 0
    refused: int = 0
    usd: float | None = 0.0
    by_backend: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """The cached part of the input."""
        return self.cached / self.prompt

    def add(self, backend: str, model: str, usage: Usage, prices: dict[str, Price]) -> None:
        """Counts an answer."""
        self.requests += 1
        self.by_backend[backend] += 1
        self.prompt += usage.prompt
        self.cached += usage.cached
        price = prices.get(model)
        self.usd = None if price is None or self.usd is None else self.usd + usage.usd(price)


@dataclass(frozen=True)
class Usage:
    """The tokens of an answer, whatever its surface; `cached` and `written` are parts of `prompt`."""

    prompt: int
    cached: int
    completion: int
    written: int = 0

    @classmethod
    def of(cls, path: str, usage: Json) -> Usage:
        """Reads what an answer reports."""
        if path == MESSAGES:
            read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
            return cls(usage["input_tokens"] + read + written, read, usage["output_tokens"], written)
        if "prompt_tokens" in usage:
            details = usage["prompt_tokens_details"]
            return cls(usage["prompt_tokens"], details["cached_tokens"], usage["completion_tokens"])
        details = usage["input_tokens_details"]
        return cls(usage["input_tokens"], details["cached_tokens"], usage["output_tokens"])

    def usd(self, price: Price) -> float:
        """What it costs."""
        million = (
            (self.prompt - self.cached - self.written) * price["prompt"]
            + self.cached * price["cached"]
            + self.written * price.get("cache_write", price["prompt"])
            + self.completion * price["completion"]
        )
        return million / 1e6


class _Throttling:
    """Throttles one backend after the other, each for some time."""

    def __init__(self, sim: Simulator, regions: Sequence[str]) -> None:
        self._sim = sim
        self._regions = itertools.cycle(regions)
        self._next = THROTTLE_EVERY
        self._throttled: str | None = None
        self._cools_until = 0.0

    def follow(self, now: float) -> None:
        """Does what is due."""
        if self._throttled and now >= self._next:
            self._sim.clear_faults(self._throttled)
            self._throttled = None
            self._next += THROTTLE_EVERY - THROTTLE_FOR
            time.sleep(max(0.0, self._cools_until + _MARGIN_S - time.monotonic()))
        if not self._throttled and now >= self._next:
            self._throttled = next(self._regions)
            self._sim.fail(self._throttled, status=429, retry_after_ms=round(_COOL_DOWN_S * 1000))
            self._next += THROTTLE_FOR

    def note(self, attempts: str) -> None:
        """Learns from `eastus:429,westus:200` how long the gateway lets a backend rest."""
        if ":429" in attempts:
            self._cools_until = time.monotonic() + _COOL_DOWN_S


class _Player:
    """One run."""

    def __init__(self, sim: Simulator, gateway: Gateway, random: Random, stack: ExitStack) -> None:
        self._sim = sim
        self._gateway = gateway
        self._random = random
        self._stack = stack
        self._prices = shipped_prices()
        self._agents: dict[int, httpx.Client] = {}
        self.totals = Totals()

    def _agent(self, session: Session) -> httpx.Client:
        """The connection of a session."""
        if id(session) not in self._agents:
            headers = {"api-key": CLIENT_KEYS[session.client], "anthropic-version": "2023-06-01"}
            self._agents[id(session)] = self._stack.enter_context(
                httpx.Client(
                    base_url=self._gateway.url, headers=headers, timeout=60, verify=_TLS, trust_env=False
                )
            )
        return self._agents[id(session)]

    def ask(self, session: Session, body: Json, throttling: _Throttling | None) -> Json | None:
        """The answer; `None` when nobody can serve now."""
        response = self._agent(session).post(session.path, json=body)
        if throttling:
            throttling.note(response.headers.get("x-gateway-attempts", ""))
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            self.totals.refused += 1
            return None
        if response.status_code != httpx.codes.OK:
            raise RuntimeError(f"{session.path}: {response.status_code} {response.text}")
        answer: Json = response.json()
        usage = Usage.of(session.path, answer["usage"])
        self.totals.add(response.headers["x-gateway-backend"], body["model"], usage, self._prices)
        return answer

    def pause(self, session: Session) -> float:
        """Seconds until the next request of a session."""
        return self._random.uniform(*session.pause)


def play(
    sim: Simulator,
    regions: Sequence[str],
    gateway: Gateway,
    sessions: Sequence[Session],
    random: Random,
    *,
    throttles: bool,
) -> Totals:
    """Plays all sessions to their end. The regions' caches are empty at the beginning."""
    clock = Clock()
    sim.reset()
    for region in regions:
        sim.prompt_cache(region, PromptCaching(LIFE_S, clock=clock))
    throttling = _Throttling(sim, regions) if throttles else None
    order = itertools.count()
    due: list[tuple[float, int, Session, Json]] = []
    for session in sessions:
        heapq.heappush(due, (session.starts_at, next(order), session, next(session.talk)))
    with ExitStack() as stack:
        player = _Player(sim, gateway, random, stack)
        while due:
            clock.now, _, session, body = heapq.heappop(due)
            if throttling:
                throttling.follow(clock.now)
            answer = player.ask(session, body, throttling)
            if answer is None:
                heapq.heappush(due, (clock.now + COMES_BACK_AFTER, next(order), session, body))
                continue
            following = _following(session, answer)
            if following is not None:
                heapq.heappush(due, (clock.now + player.pause(session), next(order), session, following))
    return player.totals


def _following(session: Session, answer: Any) -> Json | None:
    try:
        return session.talk.send(answer)
    except StopIteration:
        return None
