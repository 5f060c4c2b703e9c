"""Measures a part, shows what it found, and writes samples, table and plots."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from e2e.bench import backend, flame, machine, plots, table
from e2e.bench.pools import ONE
from e2e.bench.profile import profile, shares
from e2e.bench.results import DIRECT, Results, Sample
from e2e.bench.rounds import Bench, Plan
from e2e.bench.rows import ROWS, Row
from e2e.bench.stalls import stalls
from e2e.bench.targets import TARGETS, Target, site_of
from e2e.bench.work import CASES, COUNTS, work
from e2e.bench.work_limits import Limits, write_limits
from scripts.engines.base import REPOSITORY

PAGE = REPOSITORY / "docs" / "benchmarks.md"
FLAME = REPOSITORY / "docs" / "pictures" / "flame.svg"
PICTURE = REPOSITORY / "docs" / "pictures" / "benchmarks.svg"
SAMPLES = REPOSITORY / "docs" / "pictures" / "benchmarks.json"
_BESIDE = """
[Every sample](pictures/benchmarks.json). Bars that would hide the others are cut.

![CPU time and delays of each target](pictures/benchmarks.svg)
"""
_IDLE_SECONDS = 1
_TABLE_WIDTH = 160


@dataclass(frozen=True)
class Choice:
    """What of the requests is measured, and where the results go."""

    rows: Sequence[Row]
    targets: Sequence[Target]
    plan: Plan
    output: Path
    writes_docs: bool


@contextmanager
def _place() -> Iterator[tuple[Path, backend.Backends]]:
    """A directory for what is measured, and backends that serve it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        with backend.running_backends(directory / "backend") as backends:
            yield directory, backends


def measure_stalls(engine: str) -> None:
    """Prints a line for each shape of a body."""
    with _place() as (directory, backends):
        for line in stalls(engine, backends, directory):
            print(line, flush=True)


def measure_work(engine: str, *, write: bool) -> None:
    """Prints the counts of each case and what is above a limit; with `write` they become the limits."""
    limits, measured = Limits.of(engine), {}
    print(" " * 14, *(f"{name:>12}" for name in COUNTS))
    with _place() as (directory, backends):
        for case in CASES:
            with site_of(case.pool, directory, backends) as site:
                found = measured[case.name] = work(engine, case, site)
            print(f"{case.name:14}", *(f"{found.counts[count]:>12,.1f}" for count in COUNTS), flush=True)
            for problem in limits.excess(case.name, found):
                print(f"  above the limit: {problem}")
    if write:
        write_limits(engine, measured)


def measure_profile(engine: str, choice: Choice) -> None:
    """Prints where the time goes, and draws a flame graph."""
    with _place() as (directory, backends), site_of(ONE, directory, backends) as site:
        root = profile(engine, site)
    for by_state in (True, False):
        print("  ".join(f"{name} {share:.0%}" for name, share in shares(root, by_state=by_state)))
    drawn = flame.picture(f"A request on {engine}, {_commit()}", root)
    choice.output.mkdir(parents=True, exist_ok=True)
    for path in [choice.output / "flame.svg", *([FLAME] if choice.writes_docs else [])]:
        path.write_text(drawn)
    print(f"{choice.output}/flame.svg")


def measure_requests(choice: Choice) -> None:
    """Measures what is chosen, and shows and writes it. Ends the process with 1 when something failed."""
    plan = choice.plan
    results = Results(
        machine.description(),
        _command(),
        _commit(),
        plan.seconds,
        plan.rounds,
        plan.starts,
        _absent(choice.targets),
    )
    # What the others are compared with is measured whatever was chosen.
    at_hand = [
        target
        for target in TARGETS
        if target.name not in results.absent and (target in choice.targets or target.name == DIRECT)
    ]
    for name, reason in results.absent.items():
        print(f"not at hand: {name}: {reason}", flush=True)
    minutes = max(round(plan.estimate_seconds(choice.rows, at_hand) / 60), 1)
    print(f"about {minutes} minute{'s' if minutes > 1 else ''}, and the starts", flush=True)
    _measure(plan, choice.rows, at_hand, results)
    finish(results, choice)


def _absent(targets: Sequence[Target]) -> dict[str, str]:
    reasons = {target.name: target.missing() for target in targets}
    return {name: reason for name, reason in reasons.items() if reason}


def _measure(plan: Plan, rows: Sequence[Row], targets: Sequence[Target], results: Results) -> None:
    idle = machine.Clock.now()
    time.sleep(_IDLE_SECONDS)
    begun = machine.Clock.now()
    cores = machine.cores()
    with machine.on_cores(cores.others), _place() as (directory, backends):
        for sample in Bench(plan, cores, backends, directory).samples(rows, targets):
            results.samples.append(sample)
            print(_progress(sample), flush=True)
    stolen = begun.stolen_share(machine.Clock.now())
    results.remarks = machine.remarks(idle.busy_share(begun), stolen)


def _progress(sample: Sample) -> str:
    first = next(iter(row for row in ROWS if row.name == sample.row)).figures[0]
    said = sample.error or f"{table.number(sample.figures.get(first.key, 0.0))} {first.unit}"
    return f"{sample.number + 1} {sample.row:14} {sample.target:12} {said}"


def finish(results: Results, choice: Choice) -> None:
    """Shows and writes results. Ends the process with 1 when a measurement failed."""
    rows, targets = choice.rows, TARGETS
    choice.output.mkdir(parents=True, exist_ok=True)
    results.write(choice.output / "results.json")
    text = table.markdown(results, rows, targets)
    (choice.output / "table.md").write_text(text)
    drawn = plots.picture(results, rows, targets)
    (choice.output / "plots.svg").write_text(drawn)
    if choice.writes_docs:
        table.write_into(PAGE, text + _BESIDE)
        PICTURE.write_text(drawn)
        results.write(SAMPLES)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _TABLE_WIDTH
    console.print(table.terminal(results, rows, targets))
    for note in table.notes(results):
        console.print(note, markup=False)
    print(f"{choice.output}/results.json, table.md, plots.svg")
    if results.errors():
        sys.exit(1)


def _command() -> str:
    return shlex.join(["aoai-gateway", "bench", *sys.argv[1:]])


def _commit() -> str:
    git = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "an unknown commit"
