"""`local-gateway`: renders the settings and runs the gateway on this machine until it is stopped."""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from renderer import ConfigurationError, KeyVaultError, read_env_file
from renderer.model.gateway import LivePage
from renderer.names import variable
from scripts.engines import EngineError, Gateway, choose_engine, start_files
from scripts.engines.base import Engine
from scripts.engines.files import render
from scripts.engines.selection import AUTO, NAMES

STOP_GRACE_SECONDS = 30.0
_NOT_STARTED = 1
# What this command sets unless the settings say otherwise: its gateway listens on this machine only.
_DEFAULTS = {variable(LivePage, "access"): "local"}
_BY_SIGNAL = (signal.SIGINT, signal.SIGTERM)

app = typer.Typer(add_completion=False, help=__doc__)
_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


class _StopRequestedError(Exception):
    """SIGINT or SIGTERM has arrived."""


def _request_stop(_number: int, _frame: FrameType | None) -> None:
    raise _StopRequestedError


def _fail(heading: str, problems: list[str], status: int) -> typer.Exit:
    _err.print(f"[bold red]{escape(heading)}[/]")
    for problem in problems:
        _err.print(f"  {escape(problem)}")
    return typer.Exit(status)


def _announce(gateway: Gateway, why: str) -> None:
    _out.print(f"[bold green]The gateway serves at {gateway.url}[/]")
    _out.print(f"  engine   {gateway.engine} ({escape(why)})")
    if gateway.engine == "embedded":
        _out.print("           the embedded engine is for development and tests")
    if gateway.live_url is not None:
        _out.print(f"  live     {gateway.live_url}")
    _out.print(f"  metrics  {gateway.metrics_url}")
    _out.print(f"  status   {gateway.status_url}")
    _out.print(f"  files    {gateway.directory}")
    _out.print(f"  logs     {gateway.error_log}")
    _out.print(f"           {gateway.access_log}")
    _out.print("Stop it with Ctrl-C.")


def _serve(gateway: Gateway) -> None:
    """Returns on a request to stop; raises EngineError when the gateway ends on its own."""
    try:
        status = gateway.wait()
    except _StopRequestedError:
        return
    raise EngineError(f"the gateway ended on its own with exit status {status}; see {gateway.error_log}")


def _stop(gateway: Gateway) -> None:
    for number in _BY_SIGNAL:
        signal.signal(number, signal.default_int_handler)
    _out.print("Stopping; requests in flight may finish (Ctrl-C again ends them).")
    try:
        gateway.stop(STOP_GRACE_SECONDS)
    except KeyboardInterrupt:
        gateway.stop(grace=0.1)


def _start(
    engine: Engine, settings: Path | None, port: int, workers: int | None, directory: Path | None, keep: bool
) -> Gateway:
    values = {**_DEFAULTS, **(read_env_file(settings) if settings is not None else {})}
    return start_files(
        render(os.environ, engine.bundle_root, values),
        engine=engine,
        env={**values, **os.environ},
        workers=workers,
        port=port,
        directory=directory,
        keep_files=keep,
    )


@app.command()
def run(
    engine: Annotated[str, typer.Option(help=f"The engine that runs it: {', '.join(NAMES)}.")] = AUTO,
    env_file: Annotated[
        Path | None, typer.Option(help="File of settings as NAME=value lines; the environment wins.")
    ] = None,
    port: Annotated[
        int, typer.Option(help="Port for clients on 127.0.0.1; 0 for any free one.", min=0, max=65535)
    ] = 9080,
    workers: Annotated[int | None, typer.Option(help="nginx workers. Default: as rendered.", min=1)] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Directory for its files, which is kept. Default: a temporary one.")
    ] = None,
    keep_files: Annotated[bool, typer.Option(help="Keep the files after the gateway has stopped.")] = False,
) -> None:
    """Render the settings and run the gateway on this machine until it is stopped.

    Exit status: 0 after a stop, 1 when the gateway could not run, 2 for wrong settings, 3 for Key Vault.
    """
    for number in _BY_SIGNAL:
        signal.signal(number, _request_stop)
    gateway: Gateway | None = None
    try:
        chosen, why = choose_engine(engine)
        gateway = _start(chosen, env_file, port, workers, directory, keep_files or directory is not None)
        _announce(gateway, why)
        _serve(gateway)
    except _StopRequestedError:
        pass
    except ConfigurationError as error:
        raise _fail(
            "The settings are wrong:", [str(problem) for problem in error.problems], error.exit_code
        ) from None
    except KeyVaultError as error:
        raise _fail("The settings could not be read:", [str(error)], error.exit_code) from None
    except EngineError as error:
        raise _fail("The gateway does not run:", error.problems, _NOT_STARTED) from None
    finally:
        if gateway is not None:
            _stop(gateway)


def main() -> None:
    """The console script's entry point."""
    app()
