"""The demo's command line: plays the story, shows it, and leaves nothing running."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from renderer import ConfigurationError
from renderer.version import VersionedCommand
from scripts.demo.calls import Caller
from scripts.demo.report import Report, make_console
from scripts.demo.stage import Stage, set_up
from scripts.demo.story import STORY, Scene
from scripts.demo.usage import usage
from scripts.engines import EngineError
from scripts.engines.selection import NAMES, names

_INTERRUPTED = 130
_LOG_LINES = 15
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


class _StopRequestedError(BaseException):
    """Ctrl-C, or another signal that ends the demo."""


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turns the first signal into an exception; further signals do not stop the clean-up."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in _STOPPING:
            signal.signal(number, signal.SIG_IGN)
        raise _StopRequestedError

    before = {number: signal.signal(number, stop) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _play_scene(scene: Scene, stage: Stage, caller: Caller, report: Report) -> None:
    report.scene(scene.title)
    scene.change(stage.simulator)
    time.sleep(scene.wait_seconds)
    for request in scene.requests:
        report.row(caller.send(request))


def _play(stage: Stage, console: Console) -> Report:
    report = Report(console)
    report.begin(stage)
    with Caller(stage.gateway.url, stage.client_key) as caller:
        for scene in STORY:
            _play_scene(scene, stage, caller, report)
    report.end()
    if report.failed:
        lines = stage.gateway.error_log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        console.print("The end of the gateway's log:", *lines, sep="\n", markup=False)
    return report


def _keep_up(stage: Stage, console: Console) -> None:
    stage.simulator.reset()
    try:
        console.print(usage(stage), markup=False, soft_wrap=True)
        status = stage.gateway.wait()
    except _StopRequestedError:
        console.print("Stopped.")
    else:
        raise EngineError(f"the gateway ended on its own with exit status {status}")


def _refuse(problems: list[str]) -> NoReturn:
    err = Console(stderr=True, highlight=False, soft_wrap=True)
    err.print("[bold red]The demo does not run:[/]")
    for problem in problems:
        err.print(f"  {escape(problem)}")
    raise typer.Exit(1)


@app.command(cls=VersionedCommand)
def run(
    engine: Annotated[
        str, typer.Option(help=f"The engine that runs it: {', '.join(NAMES)}.", autocompletion=names)
    ] = "embedded",
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the gateway and the regions running until Ctrl-C.")
    ] = False,
) -> None:
    """Send real requests through the gateway while simulated regions fail.

    Exit status: 0 when every request got a correct answer, 130 after an interrupt, else 1.
    """
    console = make_console()
    try:
        with _stoppable(), set_up(engine, usual_ports=keep) as stage:
            report = _play(stage, console)
            if keep:
                _keep_up(stage, console)
    except _StopRequestedError:
        console.print("\nInterrupted; nothing is left running.")
        raise typer.Exit(_INTERRUPTED) from None
    except EngineError as error:
        _refuse(error.problems)
    except ConfigurationError as error:
        _refuse([str(problem) for problem in error.problems])
    report.total()
    sys.exit(1 if report.failed else 0)


def main() -> None:
    """The command's entry point."""
    app()
