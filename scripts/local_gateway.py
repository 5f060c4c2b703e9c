"""`local-gateway`: renders the settings and runs the gateway on this machine until it is stopped."""

import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from renderer import (
    ConfigurationError,
    KeyVaultError,
    Settings,
    load,
    read_settings_file,
    render_files,
)
from renderer.model.gateway import LivePage
from renderer.names import variable
from renderer.report import show_warnings
from scripts.engines import EngineError, Gateway, choose_engine, start_files
from scripts.engines.selection import AUTO, NAMES
from scripts.local_authority import LocalAuthority, open_authority, user_directory
from scripts.local_identity import AzureCliIdentity, scopes_for_azure_cli
from scripts.local_trust import ways_to_trust

STOP_GRACE_SECONDS = 30.0
_NOT_STARTED = 1
# What this command sets unless the settings say otherwise: its gateway listens on this machine only.
_DEFAULTS = {variable(LivePage, "access"): "local"}
_BY_SIGNAL = (signal.SIGINT, signal.SIGTERM)

app = typer.Typer(add_completion=False, help=__doc__)
_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


class _StopRequestedError(BaseException):
    """SIGINT or SIGTERM has arrived. No library takes it for a failure of its own."""


def _request_stop(_number: int, _frame: FrameType | None) -> None:
    raise _StopRequestedError


def _fail(heading: str, problems: list[str], status: int) -> typer.Exit:
    _err.print(f"[bold red]{escape(heading)}[/]")
    for problem in problems:
        _err.print(f"  {escape(problem)}")
    return typer.Exit(status)


def _warn(heading: str, text: str) -> None:
    _err.print(f"[bold yellow]{escape(heading)}[/]")
    for line in text.splitlines():
        _err.print(f"  {escape(line)}")


def _announce(gateway: Gateway, why: str, authority: LocalAuthority | None, uses_azure_cli: bool) -> None:
    lines = {"engine": [f"{gateway.engine} ({why})"]}
    if gateway.engine == "embedded":
        lines["engine"].append("the embedded engine is for development and tests")
    if authority is not None:
        lines["tls"] = ways_to_trust(authority)
    if uses_azure_cli:
        lines["identity"] = ["the login of the Azure CLI, in the place of managed identities"]
    if gateway.live_url is not None:
        lines["live"] = [gateway.live_url]
    lines["metrics"] = [gateway.metrics_url]
    lines["status"] = [gateway.status_url]
    lines["files"] = [str(gateway.directory)]
    lines["logs"] = [str(gateway.error_log), str(gateway.access_log)]
    _out.print(f"[bold green]The gateway serves at {gateway.url}[/]")
    for label, texts in lines.items():
        for position, text in enumerate(texts):
            _out.print(f"  {'' if position else label:8} {escape(text)}")
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


def _load(env_file: Path | None) -> tuple[Settings, dict[str, str]]:
    """The settings, and all the variables that they were read from."""
    values = {**_DEFAULTS, **(read_settings_file(env_file) if env_file is not None else {})}
    loaded = load(os.environ, env_file=values)
    show_warnings(_err, loaded.warnings, loaded.ignored)
    return loaded.settings, {**values, **os.environ}


def _open_authority(env: Mapping[str, str]) -> LocalAuthority:
    authority = open_authority(user_directory(env), env)
    for note in authority.notes:
        _out.print(f"[bold]{escape(note)}[/]")
    return authority


def _open_identity(scopes: list[str]) -> AzureCliIdentity:
    def say(scope: str, why: str) -> None:
        _warn(f"The Azure CLI gives no token for {scope}:", why)

    identity = AzureCliIdentity(say)
    # So that a missing login is told now, and not only when the first request fails.
    identity.fetch(scopes)
    return identity


@app.command()
def run(
    engine: Annotated[str, typer.Option(help=f"The engine that runs it: {', '.join(NAMES)}.")] = AUTO,
    env_file: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            "--env-file",
            help="File of settings: YAML if its name ends in .yaml or .yml, else NAME=value lines; the "
            "environment wins.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(help="Port for clients on 127.0.0.1; 0 for any free one.", min=0, max=65535)
    ] = 9080,
    workers: Annotated[int | None, typer.Option(help="nginx workers. Default: as rendered.", min=1)] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Directory for its files, which is kept. Default: a temporary one.")
    ] = None,
    keep_files: Annotated[bool, typer.Option(help="Keep the files after the gateway has stopped.")] = False,
    tls: Annotated[
        bool, typer.Option("--tls", help="Serve HTTPS, with a certificate of a local authority.")
    ] = False,
    azure_cli: Annotated[
        bool | None,
        typer.Option(
            help="Take the login of az in the place of managed identities. Default: where the environment "
            "names no other.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Render the settings and run the gateway on this machine until it is stopped.

    Exit status: 0 after a stop, 1 when the gateway could not run, 2 for wrong settings, 3 for Key Vault.
    """
    for number in _BY_SIGNAL:
        signal.signal(number, _request_stop)
    gateway: Gateway | None = None
    beside = ExitStack()
    try:
        chosen, why = choose_engine(engine)
        settings, env = _load(env_file)
        authority = _open_authority(env) if tls else None
        scopes = scopes_for_azure_cli(settings, env, azure_cli)
        if scopes:
            env = beside.enter_context(_open_identity(scopes)).announced_in(env)
        gateway = start_files(
            render_files(settings, chosen.bundle_root),
            engine=chosen,
            env=env,
            workers=workers,
            port=port,
            directory=directory,
            keep_files=keep_files or directory is not None,
            tls=authority.issue() if authority is not None else None,
        )
        _announce(gateway, why, authority, bool(scopes))
        _serve(gateway)
    except _StopRequestedError:
        pass
    except ConfigurationError as error:
        failed = _fail(
            "The settings are wrong:", [str(problem) for problem in error.problems], error.exit_code
        )
        show_warnings(_err, error.warnings, error.ignored)
        raise failed from None
    except KeyVaultError as error:
        raise _fail("The settings could not be read:", [str(error)], error.exit_code) from None
    except EngineError as error:
        raise _fail("The gateway does not run:", error.problems, _NOT_STARTED) from None
    finally:
        if gateway is not None:
            _stop(gateway)
        beside.close()


def main() -> None:
    """The console script's entry point."""
    app()
