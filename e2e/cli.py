"""`run-e2e-tests`: plays scenarios against a gateway and says whether it keeps its promises."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from e2e.load.session import LoadError, LoadSession
from e2e.report import console as on_console
from e2e.report import html, junit
from e2e.report.charts import picture
from e2e.report.series import Plot, plots_of
from e2e.scenarios import ALL
from e2e.scenarios.run import Result, run_scenario
from e2e.scenarios.scenario import Scenario
from e2e.serve import KEY_VARIABLE, serve
from e2e.targets.local import LocalTarget
from e2e.targets.stage import Target, TargetError
from renderer.progress import working
from renderer.version import VersionedCommand
from scripts.engines import EngineError
from scripts.engines.selection import NAMES
from scripts.engines.selection import names as engine_names
from scripts.interrupts import stopping_cleanly

FAILED, INVALID, INTERRUPTED = 1, 2, 130

# Without this the help shows `<bool>`, as if a value had to follow.
_flag = partial(typer.Option, metavar="")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


class Place(StrEnum):
    """Where the scenarios run."""

    LOCAL = "local"
    AZURE = "azure"


def chosen(names: Sequence[str], *, quick: bool) -> list[Scenario]:
    """The scenarios to run, in their usual order. Raises `TargetError` for unknown names."""
    unknown = [name for name in names if name not in ALL]
    if unknown:
        known = ", ".join(ALL)
        raise TargetError(*(f"there is no scenario {name!r}; there are: {known}" for name in unknown))
    if names:
        return [scenario for scenario in ALL.values() if scenario.name in names]
    return [scenario for scenario in ALL.values() if not quick or scenario.quick is not None]


def _run_all(scenarios: Sequence[Scenario], target: Target, console: Console, *, quick: bool) -> list[Result]:
    results = []
    with closing(target), LoadSession() as load:
        for scenario in scenarios:
            with on_console.progress(console, scenario.name) as watch:
                factor = (scenario.quick or 1.0) if quick else 1.0
                results.append(run_scenario(scenario, target, load, factor=factor, watch=watch))
            on_console.show(console, results[-1])
    return results


def _write(path: Path | None, text: str) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def pictured(plots: Sequence[Plot]) -> list[Plot]:
    """The plots of a picture for documents: shares, latency and statuses."""
    return [plot for plot in plots if plot.title.startswith(("Share", "Latency", "Answers"))]


def _write_pictures(directory: Path | None, results: Sequence[Result]) -> None:
    for result in results:
        if directory is not None and result.evidence is not None:
            drawn = picture(pictured(plots_of(result.evidence)))
            _write(directory / f"e2e-{result.scenario.name}.svg", drawn)


def _refuse(problems: Sequence[object]) -> NoReturn:
    for problem in problems:
        _err.print(f"[bold red]error:[/] {escape(str(problem))}")
    raise typer.Exit(INVALID)


def _list(console: Console) -> None:
    for scenario in ALL.values():
        console.print(
            f"[bold]{scenario.name}[/]{' (quick)' if scenario.quick else ''}: {escape(scenario.promise)}"
        )


def _serve(names: Sequence[str], place: Place, engine: str, urls: Sequence[str], console: Console) -> None:
    if names or place is not Place.LOCAL:
        raise TargetError("--serve keeps the whole local stage running: leave out the names and --target")
    with closing(LocalTarget(engine)) as target:
        serve(target, console, urls, os.environ.get(KEY_VARIABLE))


@app.command(cls=VersionedCommand)
def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Scenarios; all by default.", autocompletion=lambda: list(ALL)),
    ] = None,
    target: Annotated[Place, typer.Option(help="Where they run.")] = Place.LOCAL,
    env: Annotated[
        str, typer.Option(help="Environment of the Azure target, as in deploy-workload ENV.")
    ] = "dev",
    engine: Annotated[
        str,
        typer.Option(help=f"Engine of the local target: {', '.join(NAMES)}.", autocompletion=engine_names),
    ] = "embedded",
    junit_file: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML there.")] = None,
    report_file: Annotated[Path | None, typer.Option("--report", help="Write the HTML report there.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Write an SVG picture of each scenario there.")
    ] = None,
    list_only: Annotated[bool, _flag("--list", help="List the scenarios.")] = False,
    quick: Annotated[bool, _flag("--quick", help="A shortened selection, in at most 100 s.")] = False,
    keep: Annotated[
        bool, _flag("--serve", help="Play nothing: keep a local stage running for other clients.")
    ] = False,
    backends: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            metavar="URL",
            help=f"With --serve, three times: simulators that run already; their key in {KEY_VARIABLE}.",
        ),
    ] = None,
) -> None:
    """Play scenarios against a gateway with simulated backends and judge them.

    Exit status: 0 when every criterion holds, 1 when one fails, 2 when nothing could be run, 130 after an
    interrupt.
    """
    console = on_console.make_console()
    if list_only:
        _list(console)
        return
    began = time.monotonic()
    try:
        with stopping_cleanly():
            if keep:
                _serve(names or [], target, engine, backends or [], console)
            if backends:
                raise TargetError("--backend is for --serve: scenarios need simulated backends of their own")
            with working("looking for the target"):
                opened = open_target(target, env, engine)
            results = _run_all(chosen(names or [], quick=quick), opened, console, quick=quick)
    except (TargetError, EngineError) as error:
        _refuse(error.problems)
    except LoadError as error:
        _refuse([error])
    except KeyboardInterrupt:
        console.print("\nInterrupted; nothing is left running.")
        raise typer.Exit(INTERRUPTED) from None
    on_console.total(console, results, time.monotonic() - began)
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    _write(report_file, html.page(results, opened.description, when))
    _write(junit_file, junit.document(results))
    _write_pictures(pictures, results)
    if all(result.skipped for result in results):
        _refuse(["every scenario was skipped, so nothing was judged"])
    sys.exit(0 if all(result.passed for result in results) else FAILED)


def open_target(place: Place, env: str, engine: str) -> Target:
    """The target of the options. Raises `TargetError` or `EngineError` when it cannot be used."""
    if place is Place.LOCAL:
        return LocalTarget(engine)
    # Its libraries take a second to load, and the local target does without them.
    from e2e.targets.azure import AzureTarget

    return AzureTarget(env)


def main() -> None:
    """The command's entry point."""
    app()


if __name__ == "__main__":
    main()
