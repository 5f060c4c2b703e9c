"""The command that measures what cache affinity brings: who keeps the prompt caches, with real requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from e2e.cache_table.cli import REGIONS, run
from e2e.cache_table.playing import Totals
from e2e.cache_table.rows import OURS, ROUND_ROBIN, WAYS, Cell, Row, table
from e2e.cache_table.shapes import SHAPES
from e2e.local_settings import backend_key
from e2e.simulator import Region, Simulator

TWENTY_AGENTS = next(shape for shape in SHAPES if shape.name == "Twenty agents")


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator([Region(name, key=backend_key(name)) for name in REGIONS]) as simulator:
        yield simulator


def test_b5_affinity_keeps_more_of_the_caches_than_round_robin(
    sim: Simulator, pytestconfig: pytest.Config
) -> None:
    engine = pytestconfig.getoption("--engine")
    others, ours = (
        run(sim, engine, 1, TWENTY_AGENTS, 8, way, throttles=False) for way in (ROUND_ROBIN, OURS)
    )
    assert ours.totals.share > others.totals.share


def test_b5_the_same_seed_makes_the_same_requests() -> None:
    first, second = ([next(session.talk) for session in TWENTY_AGENTS.make(Random(7))] for _ in range(2))
    assert first == second


def _cell(cached: int, **requests: int) -> Cell:
    totals = Totals(1000, cached, sum(requests.values()), 0, 1.0, Counter(requests))
    return Cell(totals, dict.fromkeys(requests, 1))


def _row(ours: Cell) -> Row:
    cells = {way.name: ours for way in WAYS}
    return Row("Agents", 2, False, False, _cell(900, a=10), cells)


@pytest.mark.parametrize(
    ("ours", "is_good"),
    [
        (_cell(810, a=5, b=3), True),
        (_cell(809, a=5, b=5), False),
        (_cell(900, a=6, b=3), False),
    ],
    ids=["good", "too little cached", "too uneven"],
)
def test_b5_a_row_is_judged_by_the_goal(ours: Cell, *, is_good: bool) -> None:
    row = _row(ours)
    assert (row.is_good, "missed" in table([row])) == (is_good, not is_good)
