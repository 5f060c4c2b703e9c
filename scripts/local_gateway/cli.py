"""`local-gateway`: its options and exit codes."""

from __future__ import annotations

import sys
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from renderer import ConfigurationError, KeyVaultError
from renderer.found_settings import NOT_SEARCHED_ALIAS, NOT_SEARCHED_OPTION, where_to_begin
from renderer.version import VersionedCommand
from scripts.engines import EngineError
from scripts.engines.selection import AUTO, NAMES, names
from scripts.local_gateway import voice
from scripts.local_gateway.running import Options, RefusedWarningsError, run_until_stopped

_NOT_STARTED = 1

# Without this the help shows `<bool>`, as if a value had to follow.
_flag = partial(typer.Option, metavar="")

app = typer.Typer(add_completion=False)


@app.command(cls=VersionedCommand)
def run(
    engine: Annotated[
        str, typer.Option(help=f"The engine that runs it: {', '.join(NAMES)}.", autocompletion=names)
    ] = AUTO,
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            "--env-file",
            help="File of settings: YAML if its name ends in .yaml or .yml, else NAME=value lines; the "
            "environment wins. Default: .env or gateway.yaml of this directory, if there is one.",
            show_default=False,
        ),
    ] = None,
    no_settings: Annotated[
        bool,
        _flag(NOT_SEARCHED_OPTION, NOT_SEARCHED_ALIAS, help="Do not look for .env and gateway.yaml."),
    ] = False,
    strict: Annotated[
        bool, _flag("--strict", help="Take warnings of settings for errors: exit with 2, run nothing.")
    ] = False,
    watch: Annotated[
        bool, _flag("--watch", help="Apply changes of the file of settings while the gateway runs.")
    ] = False,
    quiet: Annotated[bool, _flag("--quiet", help="Print no line for each request.")] = False,
    port: Annotated[
        int, typer.Option(help="Port for clients on 127.0.0.1; 0 for any free one.", min=0, max=65535)
    ] = 9080,
    workers: Annotated[int | None, typer.Option(help="nginx workers. Default: as rendered.", min=1)] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Directory for its files, which is kept. Default: a temporary one.")
    ] = None,
    keep_files: Annotated[bool, typer.Option(help="Keep the files after the gateway has stopped.")] = False,
    tls: Annotated[
        bool, _flag("--tls", help="Serve HTTPS, with a certificate of a local authority.")
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

    Exit status: 0 after a stop, 1 when the gateway could not run, 2 for wrong settings or, with --strict,
    warnings, 3 for Key Vault.
    """
    options = Options(
        engine=engine,
        settings_file=settings_file,
        search=not no_settings,
        strict=strict,
        watch=watch,
        quiet=quiet,
        port=port,
        workers=workers,
        directory=directory,
        keep_files=keep_files,
        tls=tls,
        azure_cli=azure_cli,
    )
    try:
        run_until_stopped(options)
    except ConfigurationError as error:
        voice.complain("The settings are wrong:", [str(problem) for problem in error.problems])
        voice.doubt(error.warnings, error.ignored, after_problems=True)
        if hint := where_to_begin(error, settings_file, search=not no_settings):
            voice.advise(hint)
        raise typer.Exit(error.exit_code) from None
    except RefusedWarningsError:
        voice.complain("With --strict warnings are errors; the gateway does not run.", [])
        raise typer.Exit(ConfigurationError.exit_code) from None
    except KeyVaultError as error:
        voice.complain("The settings could not be read:", [str(error)])
        raise typer.Exit(error.exit_code) from None
    except EngineError as error:
        voice.complain("The gateway does not run:", error.problems)
        raise typer.Exit(_NOT_STARTED) from None


def main() -> None:
    """The console script's entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # for terminals without UTF-8
    app()
