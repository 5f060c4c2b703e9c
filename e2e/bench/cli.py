"""`aoai-gateway bench`: its options and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from e2e.bench import backend, wrk
from e2e.bench.measuring import (
    PAGE,
    Choice,
    finish,
    measure_profile,
    measure_requests,
    measure_stalls,
    measure_work,
)
from e2e.bench.results import Results
from e2e.bench.rounds import Plan
from e2e.bench.rows import ROWS, Row
from e2e.bench.targets import TARGETS, Target
from renderer.version import VersionedCommand
from scripts.engines import EngineError
from scripts.interrupts import stopping_cleanly

OUTPUT = Path("build/bench")
QUICK = Plan(rounds=1, seconds=1, warm_up_seconds=1)

# Without this the help shows `<bool>`, as if a value had to follow.
_flag = partial(typer.Option, metavar="")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
Named = TypeVar("Named", Row, Target)


class Part(StrEnum):
    """What is measured."""

    REQUESTS = "requests"
    STALLS = "stalls"
    WORK = "work"
    PROFILE = "profile"


class WorkEngine(StrEnum):
    """The engines whose work can be counted and seen."""

    EMBEDDED = "embedded"
    APISIX = "apisix"


def _names(things: Sequence[Row | Target]) -> list[str]:
    return [thing.name for thing in things]


def _listed(title: str, things: Sequence[Row | Target]) -> str:
    """A paragraph whose lines stay as they are."""
    return "\n".join(["\b", title, *(f"{thing.name:14} {thing.title}" for thing in things)])


def _chosen(text: str | None, things: Sequence[Named], option: str) -> Sequence[Named]:
    """Those that are named, in their usual order; all where none is. Raises `typer.BadParameter`."""
    wanted = text.split(",") if text else _names(things)
    if unknown := [name for name in wanted if name not in _names(things)]:
        known = ", ".join(_names(things))
        raise typer.BadParameter(f"{', '.join(unknown)} is not one of {known}", param_hint=option)
    return [thing for thing in things if thing.name in wanted]


def _one_more(things: Sequence[Row | Target]) -> Callable[[str], list[tuple[str, str]]]:
    """What a shell completes a list of names to: to one name more."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        begun, comma, _ = incomplete.rpartition(",")
        left = (thing for thing in things if thing.name not in begun.split(","))
        return [(f"{begun}{comma}{thing.name}", thing.title) for thing in left]

    return complete


@app.command(epilog=f"{_listed('Rows:', ROWS)}\n\n{_listed('Targets:', TARGETS)}", cls=VersionedCommand)
def run(
    part: Annotated[
        Part,
        typer.Option(
            help="requests: what each target costs. stalls: how long one large body keeps the others of a "
            "worker waiting. work: what a request does, counted, beside the limits of the test. profile: "
            "where its time goes, as a flame graph."
        ),
    ] = Part.REQUESTS,
    rows: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Only these, by commas.", autocompletion=_one_more(ROWS)),
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Only these, by commas.", autocompletion=_one_more(TARGETS)),
    ] = None,
    starts: Annotated[int, typer.Option(help="How often each is started.", min=1)] = Plan.starts,
    rounds: Annotated[
        int, typer.Option(help="How often each is measured after a start.", min=1)
    ] = Plan.rounds,
    seconds: Annotated[int, typer.Option(help="Length of one measurement.", min=1)] = Plan.seconds,
    quick: Annotated[bool, _flag("--quick", help="One round of a second: shows that all works.")] = False,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the results.")] = OUTPUT,
    show: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Only show an earlier results.json.")
    ] = None,
    to_docs: Annotated[
        bool, _flag("--write-docs", help="Write table, plots and samples to docs/, too.")
    ] = False,
    engine: Annotated[
        WorkEngine, typer.Option(help="For the parts stalls, work and profile.")
    ] = WorkEngine.EMBEDDED,
    to_limits: Annotated[
        bool, _flag("--write-limits", help="With --part work: make the counts the limits of the test.")
    ] = False,
) -> None:
    """Measure what a request costs, show a table, and write samples, table and plots.

    Exit status: 0 when all was measured, 1 when a measurement failed or something is missing, 2 for wrong
    options, 130 after an interrupt.
    """
    if to_docs and not PAGE.exists():
        raise typer.BadParameter("works in a clone of the repository only", param_hint="--write-docs")
    choice = Choice(
        _chosen(rows, ROWS, "--rows"),
        _chosen(targets, TARGETS, "--targets"),
        QUICK if quick else Plan(rounds, seconds, starts=starts),
        output,
        to_docs,
    )
    if absent := _missing(part):
        sys.exit("\n".join(absent))
    try:
        with stopping_cleanly():
            _measure(part, choice, engine, show, to_limits=to_limits)
    except EngineError as error:
        sys.exit("\n".join(error.problems))
    except KeyboardInterrupt:
        sys.exit(130)


def _measure(part: Part, choice: Choice, engine: str, show: Path | None, *, to_limits: bool) -> None:
    if part is Part.STALLS:
        measure_stalls(engine)
    elif part is Part.WORK:
        measure_work(engine, write=to_limits)
    elif part is Part.PROFILE:
        measure_profile(engine, choice)
    elif show is not None:
        finish(Results.read(show), choice)
    else:
        measure_requests(choice)


def _missing(part: Part) -> list[str]:
    """What this machine lacks for a part, all at once, with the packages to install."""
    found = [backend.missing()]
    if part in {Part.REQUESTS, Part.PROFILE} and not wrk.is_installed():
        found.append("not installed: wrk (on Debian: apt-get install wrk)")
    return [problem for problem in found if problem]


def main() -> None:
    """The command's entry point."""
    app()
