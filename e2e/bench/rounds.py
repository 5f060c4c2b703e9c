"""Starts the targets of a pool together and measures its rows in turns: each target once in each round.

All of that happens once for each start of the plan.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from e2e.bench import wrk
from e2e.bench.backend import Backends
from e2e.bench.first_token import first_token_ms
from e2e.bench.machine import Cores, connections_to, cpu_seconds, on_cores, pause, pin, pss_mib, resume
from e2e.bench.pools import POOLS, Pool
from e2e.bench.results import Sample
from e2e.bench.rows import FIRST_TOKEN, TRIALS, Row
from e2e.bench.targets import Running, Site, Target, site_of
from e2e.bench.trials import trials_per_end
from e2e.bench.workload import Request
from scripts.engines import EngineError

_AGAIN_SECONDS = 1
_LONGER = 8
_LONGEST_SECONDS = 40
_TRIAL_SECONDS = 2
_FIRST_TOKENS_PER_SECOND = 25
_FEW = 20
"""With fewer requests for each connection, those under way at the end are counted in part."""


@dataclass(frozen=True)
class Plan:
    """How much to measure: starts, rounds after each, the seconds of a round and of the first warm-up."""

    rounds: int = 3
    seconds: int = 4
    warm_up_seconds: int = 3
    starts: int = 1

    def estimate_seconds(self, rows: Sequence[Row], targets: Sequence[Target]) -> float:
        """About how long the measurements take, without the starts."""
        pairs = sum(is_measured(row, target) for row in rows for target in targets)
        each = self.rounds * (self.seconds + _AGAIN_SECONDS) + self.warm_up_seconds - _AGAIN_SECONDS
        return pairs * each * self.starts


def is_measured(row: Row, target: Target) -> bool:
    """Whether a row says something of a target."""
    if target.name == "direct":
        return row.is_direct
    return target.offers(row.pool)


class Bench:
    """Measures rows on one machine."""

    def __init__(self, plan: Plan, cores: Cores, backends: Backends, directory: Path) -> None:
        self._plan = plan
        self._cores = cores
        self._backends = backends
        self._directory = directory
        self._script = directory / "request.lua"

    def samples(self, rows: Sequence[Row], targets: Sequence[Target]) -> Iterator[Sample]:
        """Every sample as it comes; one with an error when a target does not start or answers wrongly."""
        for start, pool in product(range(self._plan.starts), POOLS):
            chosen = [row for row in rows if row.pool == pool]
            concerned = [target for target in targets if any(is_measured(row, target) for row in chosen)]
            if concerned:
                yield from self._pool(start, pool, chosen, concerned)

    def _pool(
        self, start: int, pool: Pool, rows: Sequence[Row], targets: Sequence[Target]
    ) -> Iterator[Sample]:
        first = start * self._plan.rounds
        with ExitStack() as stack:
            running: dict[Target, Running] = {}
            for target in targets:
                place = self._directory / pool.name / target.name
                site = stack.enter_context(site_of(pool, place, self._backends))
                try:
                    running[target] = self._start(stack, pool, target, site)
                except EngineError as error:
                    reason = f"it did not start: {'; '.join(error.problems)}"
                    yield from (Sample(row.name, target.name, first, error=reason) for row in rows)
            for number in range(first, first + self._plan.rounds):
                for row in rows:
                    yield from self._row(row, number, running)
        shutil.rmtree(self._directory / pool.name, ignore_errors=True)

    def _start(self, stack: ExitStack, pool: Pool, target: Target, site: Site) -> Running:
        with on_cores(frozenset({self._cores.target})):
            running = stack.enter_context(target.running(pool, site))
        if running.pid is not None:
            pin(running.pid, self._cores.target)
            # Only the one that is measured may run: what others do when nobody asks them would disturb it.
            pause(running.pid)
            stack.callback(resume, running.pid)
        return running

    def _row(self, row: Row, number: int, running: Mapping[Target, Running]) -> Iterator[Sample]:
        in_turn = list(running)
        first = number % len(in_turn) if in_turn else 0
        is_warm = number % self._plan.rounds > 0
        for target in in_turn[first:] + in_turn[:first]:
            if is_measured(row, target):
                try:
                    with _awake(running[target]):
                        figures = self._measure(row, running[target], is_warm=is_warm)
                except (wrk.LoadError, OSError) as error:
                    yield Sample(row.name, target.name, number, error=str(error))
                else:
                    yield Sample(row.name, target.name, number, figures)

    def _measure(self, row: Row, running: Running, *, is_warm: bool) -> dict[str, float]:
        request = running.request(row.deployment, row.size)
        if row.client == FIRST_TOKEN:
            return {"first_token_ms": first_token_ms(request, self._plan.seconds * _FIRST_TOKENS_PER_SECOND)}
        if row.client == TRIALS:
            return self._trials(row, request)
        warm_up = _AGAIN_SECONDS if is_warm else self._plan.warm_up_seconds
        self._ask(row, request, warm_up)
        figures, load = self._load(row, request, running, self._plan.seconds)
        if load.requests < 2 * row.connections:
            longer = min(self._plan.seconds * _LONGER, _LONGEST_SECONDS)
            figures, load = self._load(row, request, running, longer)
        wrk.check(load, refused=row.refused)
        return figures

    def _ask(self, row: Row, request: Request, seconds: int) -> wrk.Load:
        process = wrk.started(request, self._script, seconds, row.connections, row.pause_ms)
        return wrk.finished(process, seconds)

    def _load(
        self, row: Row, request: Request, running: Running, seconds: int
    ) -> tuple[dict[str, float], wrk.Load]:
        before = cpu_seconds(running.pid) if running.pid else 0.0
        process = wrk.started(request, self._script, seconds, row.connections, row.pause_ms)
        time.sleep(seconds / 2)
        connections = connections_to(running.pid, self._backends.serving) if running.pid else 0
        load = wrk.finished(process, seconds)
        figures = figures_of(load) | {"connections": float(connections)}
        if running.pid and load.requests:
            spent = cpu_seconds(running.pid) - before
            figures["cpu_us"] = spent * 1e6 / whole_requests(load, row.connections)
            figures["pss_mib"] = pss_mib(running.pid)
        return figures, load

    def _trials(self, row: Row, request: Request) -> dict[str, float]:
        self._backends.forget_trials()
        seconds = max(self._plan.seconds, _TRIAL_SECONDS)
        wrk.check(self._ask(row, request, seconds), refused=False)
        return {"trials": trials_per_end(self._backends.trial_moments())}


@contextmanager
def _awake(running: Running) -> Iterator[None]:
    """A target that is paused before and after goes on meanwhile."""
    if running.pid is None:
        yield
        return
    resume(running.pid)
    try:
        yield
    finally:
        pause(running.pid)


def figures_of(load: wrk.Load) -> dict[str, float]:
    """What a load alone says."""
    return {
        "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
        "p999_ms": load.p999_ms,
        "p99_by_p50": load.p99_ms / load.p50_ms if load.p50_ms else 0.0,
        "per_second": load.requests / load.seconds,
    }


def whole_requests(load: wrk.Load, connections: int) -> float:
    """How many requests a load is worth.

    Those under way at its end have cost something, too. They matter where there were few requests: the time
    of all connections, divided by what a request took (Little's law), counts them in part.
    """
    if load.requests >= _FEW * connections:
        return load.requests
    return max(connections * load.seconds * 1000 / load.mean_ms, load.requests)
