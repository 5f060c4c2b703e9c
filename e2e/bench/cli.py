"""Measures what a request costs, shows a table, and writes samples, table and plots to `build/bench/`."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from e2e.bench import backend, machine, plots, table, wrk
from e2e.bench.results import DIRECT, Results, Sample
from e2e.bench.rounds import Bench, Plan
from e2e.bench.rows import ROWS, Row
from e2e.bench.stalls import stalls
from e2e.bench.targets import TARGETS, Target, site_of
from e2e.bench.work import CASES, COUNTS, work
from e2e.bench.work_limits import Limits, write_limits
from renderer.version import version_text
from scripts.engines import EngineError
from scripts.engines.base import REPOSITORY
from scripts.interrupts import stopping_cleanly

OUTPUT = Path("build/bench")
PAGE = REPOSITORY / "docs" / "benchmarks.md"
PICTURE = REPOSITORY / "docs" / "pictures" / "benchmarks.svg"
SAMPLES = REPOSITORY / "docs" / "pictures" / "benchmarks.json"
_BESIDE = """
[Every sample](pictures/benchmarks.json). Bars that would hide the others are cut.

![CPU time and delays of each target](pictures/benchmarks.svg)
"""
QUICK = Plan(rounds=1, seconds=1, warm_up_seconds=1)
_IDLE_SECONDS = 1
_TABLE_WIDTH = 160
_PARTS = """requests: what each target costs, the default
stalls: how long one large body keeps the others of a worker waiting
work: what a request does, counted, beside the limits of the test"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures one part. Ends with 1 when a measurement failed, 2 when something is missing."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.write_docs and not PAGE.exists():
        parser.error("--write-docs works in a clone of the repository only")
    absent = _missing(options.part)
    if absent:
        sys.exit("\n".join(absent))
    try:
        with stopping_cleanly():
            _run(options)
    except EngineError as error:
        sys.exit("\n".join(error.problems))
    except KeyboardInterrupt:
        sys.exit(130)


def _run(options: argparse.Namespace) -> None:
    if options.part == "stalls":
        _stalls(options.engine)
    elif options.part == "work":
        _work(options.engine, write=options.write_limits)
    elif options.show:
        _finish(Results.read(options.show), options)
    else:
        _requests(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aoai-gateway bench",
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=version_text(), help="show the version and exit"
    )
    parser.add_argument("--part", default="requests", choices=["requests", "stalls", "work"], help=_PARTS)
    parser.add_argument("--rows", type=_names(ROWS), default=ROWS, help=_listed(ROWS))
    parser.add_argument("--targets", type=_names(TARGETS), default=TARGETS, help=_listed(TARGETS))
    parser.add_argument("--rounds", type=_positive, default=Plan.rounds)
    parser.add_argument("--seconds", type=_positive, default=Plan.seconds, help="length of one measurement")
    parser.add_argument("--quick", action="store_true", help="one round of a second: shows that all works")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"folder of the results ({OUTPUT})")
    parser.add_argument("--show", type=Path, metavar="FILE", help="only show an earlier results.json")
    parser.add_argument(
        "--write-docs", action="store_true", help="write table, plots and samples to docs/, too"
    )
    parser.add_argument(
        "--engine", default="embedded", choices=["embedded", "apisix"], help="for the parts stalls and work"
    )
    parser.add_argument(
        "--write-limits", action="store_true", help="with --part work: make the counts the limits of the test"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def _listed(things: Sequence[Row | Target]) -> str:
    return "only these, by commas:\n" + "\n".join(f"  {thing.name:14} {thing.title}" for thing in things)


class _names:  # noqa: N801 - the type of an option
    """Reads names, separated by commas, as the things that have them."""

    def __init__(self, things: Sequence[Row | Target]) -> None:
        self._things = things

    def __call__(self, text: str) -> list[Row | Target]:
        wanted = text.split(",")
        unknown = [name for name in wanted if name not in {thing.name for thing in self._things}]
        if unknown:
            known = ", ".join(thing.name for thing in self._things)
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is not one of {known}")
        return [thing for thing in self._things if thing.name in wanted]


def _missing(part: str) -> list[str]:
    """What this machine lacks for a part, all at once, with the packages to install."""
    found = [backend.missing()]
    if part == "requests" and not wrk.is_installed():
        found.append("not installed: wrk (on Debian: apt-get install wrk)")
    return [problem for problem in found if problem]


def _stalls(engine: str) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        with backend.running_backends(directory / "backend") as backends:
            for line in stalls(engine, backends, directory):
                print(line, flush=True)


def _work(engine: str, *, write: bool) -> None:
    limits, measured = Limits.of(engine), {}
    print(" " * 14, *(f"{name:>12}" for name in COUNTS))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        with backend.running_backends(directory / "backend") as backends:
            for case in CASES:
                with site_of(case.pool, directory, backends) as site:
                    found = measured[case.name] = work(engine, case, site)
                print(f"{case.name:14}", *(f"{found.counts[count]:>12,.1f}" for count in COUNTS), flush=True)
                for problem in limits.excess(case.name, found):
                    print(f"  above the limit: {problem}")
    if write:
        write_limits(engine, measured)


def _requests(options: argparse.Namespace) -> None:
    plan = QUICK if options.quick else Plan(options.rounds, options.seconds)
    results = Results(
        machine.description(), _command(), _commit(), plan.seconds, plan.rounds, _absent(options.targets)
    )
    # What the others are compared with is measured whatever was chosen.
    at_hand = [
        target
        for target in TARGETS
        if target.name not in results.absent and (target in options.targets or target.name == DIRECT)
    ]
    for name, reason in results.absent.items():
        print(f"not at hand: {name}: {reason}", flush=True)
    minutes = max(round(plan.estimate_seconds(options.rows, at_hand) / 60), 1)
    print(f"about {minutes} minute{'s' if minutes > 1 else ''}, and the starts", flush=True)
    _measure(plan, options.rows, at_hand, results)
    _finish(results, options)


def _absent(targets: Sequence[Target]) -> dict[str, str]:
    reasons = {target.name: target.missing() for target in targets}
    return {name: reason for name, reason in reasons.items() if reason}


def _measure(plan: Plan, rows: Sequence[Row], targets: Sequence[Target], results: Results) -> None:
    idle = machine.Clock.now()
    time.sleep(_IDLE_SECONDS)
    begun = machine.Clock.now()
    cores = machine.cores()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, machine.on_cores(cores.others):
        directory = Path(name)
        with backend.running_backends(directory / "backend") as backends:
            for sample in Bench(plan, cores, backends, directory).samples(rows, targets):
                results.samples.append(sample)
                print(_progress(sample), flush=True)
    stolen = begun.stolen_share(machine.Clock.now())
    results.remarks = machine.remarks(idle.busy_share(begun), stolen)


def _progress(sample: Sample) -> str:
    first = next(iter(row for row in ROWS if row.name == sample.row)).figures[0]
    said = sample.error or f"{table.number(sample.figures.get(first.key, 0.0))} {first.unit}"
    return f"{sample.number + 1} {sample.row:14} {sample.target:12} {said}"


def _finish(results: Results, options: argparse.Namespace) -> None:
    rows, targets = options.rows, TARGETS
    options.output.mkdir(parents=True, exist_ok=True)
    results.write(options.output / "results.json")
    text = table.markdown(results, rows, targets)
    (options.output / "table.md").write_text(text)
    drawn = plots.picture(results, rows, targets)
    (options.output / "plots.svg").write_text(drawn)
    if options.write_docs:
        table.write_into(PAGE, text + _BESIDE)
        PICTURE.write_text(drawn)
        results.write(SAMPLES)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _TABLE_WIDTH
    console.print(table.terminal(results, rows, targets))
    for note in table.notes(results):
        console.print(note, markup=False)
    print(f"{options.output}/results.json, table.md, plots.svg")
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
