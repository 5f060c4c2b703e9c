"""The command: plays each shape with each way of routing, prints the rows and writes them as Markdown."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from e2e.cache_table.playing import CLIENT_KEYS, play
from e2e.cache_table.rows import HEAD, OURS, WAYS, Cell, Row, Way, table
from e2e.cache_table.shapes import SHAPES, Shape
from e2e.local_settings import backend_key, backend_settings, client_settings
from e2e.simulator import Region, Simulator
from scripts.engines import EngineError, start_gateway

REGIONS = ("eastus", "westus", "swedencentral", "eastus2", "westus3", "uksouth", "japaneast", "canadaeast")
WEIGHTS: Mapping[int, Sequence[int]] = {1: [1], 2: [1, 1], 3: [2, 1, 1], 8: [1] * 8}
LONGEST_RUN_S = 10
QUICK = ("Codex", "Twenty agents")
OUTPUT = Path("build/cache-table.md")


def environment(sim: Simulator, weights: Mapping[str, int], way: Way) -> dict[str, str]:
    """The settings of a gateway."""
    env = dict(way.settings)
    for index, key in enumerate(CLIENT_KEYS):
        env |= client_settings(index, f"team-{index}", key)
    for index, (region, weight) in enumerate(weights.items()):
        others = {"weight": str(weight), "surfaces": "openai,anthropic"}
        env |= backend_settings(index, region, sim.endpoint(region), **others)
    return env


def run(
    sim: Simulator,
    engine: str,
    seed: int,
    shape: Shape,
    backends: int,
    way: Way,
    *,
    throttles: bool,
    workers: int = 1,
) -> Cell:
    """Plays a shape through a gateway that has seen nothing else."""
    weights = dict(zip(REGIONS, WEIGHTS[backends], strict=False))
    random = Random(f"{seed} {shape.name}")  # noqa: S311 - repeatable, not secret
    with start_gateway(environment(sim, weights, way), engine=engine, workers=workers) as gateway:
        if way is OURS and backends > 1:
            _await_room_in_minute()
        totals = play(sim, list(weights), gateway, shape.make(random), random, throttles=throttles)
    return Cell(totals, weights)


def _await_room_in_minute() -> None:
    """The gateway counts by the minutes of the clock. Inside of one, each run gives the same result."""
    left = 60 - time.time() % 60
    if left < LONGEST_RUN_S:
        time.sleep(left)


def measure(
    sim: Simulator,
    engine: str,
    seed: int,
    shapes: Sequence[Shape],
    sizes: Sequence[int],
    throttles: Sequence[bool],
) -> Iterator[Row]:
    """All rows, one by one."""
    for shape in shapes:
        # Nobody could serve while a single backend is throttled.
        alone = run(sim, engine, seed, shape, 1, OURS, throttles=False)
        for backends in sizes:
            for throttled in throttles:
                cells = {
                    way.name: run(sim, engine, seed, shape, backends, way, throttles=throttled)
                    for way in WAYS
                }
                yield Row(shape.name, backends, throttled, shape.is_bound, alone, cells)


def main() -> None:
    """Measures the table."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.cache_table", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--engine", default="embedded", choices=["embedded", "apisix", "docker"])
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other sessions")
    parser.add_argument(
        "--quick", action="store_true", help="two shapes behind eight backends, nobody throttled"
    )
    parser.add_argument(
        "--shape", action="append", choices=[shape.name for shape in SHAPES], help="only this one"
    )
    parser.add_argument("--backends", action="append", type=int, choices=[2, 3, 8], help="only so many")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    shapes = [shape for shape in SHAPES if not options.shape or shape.name in options.shape]
    sizes, throttles = options.backends or [2, 3, 8], [False, True]
    if options.quick:
        shapes, sizes, throttles = [shape for shape in SHAPES if shape.name in QUICK], [8], [False]

    print(f"seed {options.seed}, engine {options.engine}\n\n{HEAD}", flush=True)
    rows = []
    with Simulator([Region(name, key=backend_key(name), answer_tokens=40) for name in REGIONS]) as sim:
        try:
            for row in measure(sim, options.engine, options.seed, shapes, sizes, throttles):
                print(row, flush=True)
                rows.append(row)
        except EngineError as error:
            sys.exit("\n".join(error.problems))
    missed = sum(not row.is_good for row in rows)
    summary = f"{len(rows)} rows with seed {options.seed} on {options.engine}, {missed} miss the goal"
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(f"{table(rows)}\n\n{summary}\n")
    print(f"\n{summary}: {options.output}")
    sys.exit(1 if missed else 0)
