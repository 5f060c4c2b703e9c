"""`render-config`: from settings to the files of the gateway."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from renderer.found_settings import (
    NOT_SEARCHED_ALIAS,
    NOT_SEARCHED_OPTION,
    SettingsFile,
    chosen_settings_file,
    where_to_begin,
)
from renderer.loader import Loaded, load
from renderer.masking import masked_diff
from renderer.model import Settings
from renderer.output import read_text, write_all_changed
from renderer.prices import pricing_of_deployments
from renderer.problems import ConfigurationError, KeyVaultError, Problem
from renderer.progress import working
from renderer.render import DEFAULT_BUNDLE_ROOT, render_files
from renderer.report import show_problems, show_warnings
from renderer.settings_file import read_settings_file
from renderer.version import VersionedCommand
from renderer.watch import watch as keep_current

EXIT_INVALID = ConfigurationError.exit_code
EXIT_UNPRICED = 1
_LONGEST_PAUSE_SECONDS = 86_400
_EPILOG = """
Settings come from the environment, then from Key Vault when KEY_VAULT_URL is set, then from the file,
which is .env or gateway.yaml of the working directory when none is named.
Exit codes: 0 fine, 2 invalid configuration or unusable output directory, or a warning with --strict, 3 Key
Vault; with --check-prices 1 when a deployment has no price.
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def main() -> NoReturn:
    """Run the command and exit with its code."""
    gc.disable()  # it takes a third of the time of this short-lived process
    signal.signal(signal.SIGTERM, _stop)  # an exception, so temporary files are removed
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for terminals without UTF-8
    try:
        app()
    except ConfigurationError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except KeyVaultError as error:
        _report(f"Key Vault {error.vault_url}: {error.message}", error.remedy)
        sys.exit(error.exit_code)
    except OSError as error:
        _report(_what_failed(error), "Check the path, its permissions and the free space")
        sys.exit(EXIT_INVALID)
    sys.exit(0)


def _what_failed(error: OSError) -> str:
    return f"{error.filename or 'The output'}: {(error.strerror or 'cannot be written').lower()}"


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


@app.command(epilog=_EPILOG, cls=VersionedCommand)
def render(
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            "--env-file",
            metavar="FILE",
            help="A file of settings: YAML if its name ends in .yaml or .yml, else NAME=value lines. "
            "Default: .env or gateway.yaml of this directory, if there is one.",
        ),
    ] = None,
    no_settings: Annotated[
        bool,
        typer.Option(NOT_SEARCHED_OPTION, NOT_SEARCHED_ALIAS, help="Do not look for .env and gateway.yaml."),
    ] = False,
    output_dir: Annotated[Path, typer.Option(metavar="DIR", help="Where to write.")] = Path("build"),
    bundle_root: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="Directory that holds apisix/plugins/, as the gateway sees it.",
            callback=lambda path: _utf8(path),
        ),
    ] = DEFAULT_BUNDLE_ROOT,
    check: Annotated[bool, typer.Option("--check", help="Validate only, write nothing.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Take warnings for errors: exit with 2, write nothing.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what would change, secrets masked, and write nothing.")
    ] = False,
    watch: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=1,
            max=_LONGEST_PAUSE_SECONDS,
            help="Stay and render again every SECONDS; a changed apisix.yaml applies without a restart.",
        ),
    ] = None,
    check_prices: Annotated[
        bool,
        typer.Option(
            "--check-prices", help="List the price of each deployment; exit with 1 when one has none."
        ),
    ] = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Print the reference page of all settings.")
    ] = False,
) -> None:
    """Render and validate apisix.yaml, config.yaml and otel-collector.yaml."""
    if reference:
        from renderer.reference import reference_page

        print(reference_page(), end="")
        return

    file = _file_to_read(settings_file, no_settings)

    def read() -> Loaded:
        return load(os.environ, env_file=read_settings_file(file.path) if file else None)

    def files_of(loaded: Loaded) -> dict[str, str]:
        try:
            return render_files(loaded.settings, bundle_root)
        except ConfigurationError as error:
            raise ConfigurationError(map(loaded.located, error.problems)) from None

    try:
        with working("Reading the settings"):
            loaded = read()
    except ConfigurationError as error:
        _complain(error, where_to_begin(error, settings_file, search=not no_settings))
        sys.exit(error.exit_code)
    settings = loaded.settings
    if check_prices:
        _check_prices(settings)
        return
    files = files_of(loaded)
    show_warnings(_stderr(), loaded.warnings, loaded.ignored)
    if strict and loaded.warnings:
        _stderr().print("With --strict warnings are errors; nothing was written.")
        sys.exit(EXIT_INVALID)
    if diff:
        _show_diff(output_dir, files)
    elif not check:
        _write(output_dir, files)
    verdict = "Valid" if check or diff else "Rendered"
    _say(f"{verdict}: {_summary(len(settings.backends), len(settings.clients))}.")
    if any(client.budgets for client in settings.clients) and settings.redis.host is None:
        _say(
            "Budgets without REDIS_HOST: each replica counts for itself, and a restart forgets what was used."
        )
    if watch and not (check or diff):
        _watch(lambda: files_of(read()), output_dir, watch)


def _file_to_read(named: Path | None, no_settings: bool) -> SettingsFile | None:
    file = chosen_settings_file(named, search=not no_settings)
    if file is not None and file.was_found:
        _stderr().print(Text(f"Reading {file}"))
    return file


def _check_prices(settings: Settings) -> None:
    rows = list(pricing_of_deployments(settings))
    for row in rows:
        price = row.price or "no price: its name is no model of the list"
        price += f" (also {', '.join(row.kinds)})" if row.price and row.kinds else ""
        _say(f"{row.backend}  {row.deployment}  {price}")
    for backend in settings.backends:
        if not backend.deployments:
            _say(f"{backend.name}  any deployment, since its DEPLOYMENTS are not set")
    if any(row.price is None for row in rows):
        _say(
            "A deployment without a price of its own costs what the model costs that its answers name. "
            "If that has none either, the metric azure_openai_unpriced_tokens_total counts its tokens: "
            "add the model to MODEL_PRICING."
        )
        sys.exit(EXIT_UNPRICED)


def _utf8(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("the path is not UTF-8, but the files are written in UTF-8") from None
    return path


def _watch(render_now: Callable[[], dict[str, str]], directory: Path, seconds: float) -> None:
    gc.enable()  # this process stays
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)  # at once, even while it waits for a vault
    keep_current(render_now, directory, seconds, threading.Event(), _WatchReporter())


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


class _WatchReporter:
    """Tells the terminal what the watcher did."""

    def changed(self, file: Path) -> None:
        """A file was put in place."""
        _say(f"{file} changed; the gateway applies it now.")

    def needs_restart(self, name: str) -> None:
        """A file differs, but the gateway reads it at the start only."""
        _say(f"{name} would change; restart the gateway to use it.")

    def refused(self, problems: Sequence[Problem]) -> None:
        """The settings are wrong."""
        _complain(ConfigurationError(problems))

    def unavailable(self, error: KeyVaultError) -> None:
        """Key Vault could not be read."""
        _report(f"Key Vault {error.vault_url}: {error.message}", error.remedy)

    def failed(self, error: OSError) -> None:
        """A file could not be read or written."""
        _report(_what_failed(error), "Check the path, its permissions and the free space")


def _summary(backends: int, clients: int) -> str:
    def count(number: int, noun: str) -> str:
        return f"{number} {noun}{'' if number == 1 else 's'}"

    return f"{count(backends, 'backend')}, {count(clients, 'client')}"


def _write(directory: Path, files: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    # apisix.yaml comes last: a running gateway reads it at once.
    changed = write_all_changed(directory, {name: files[name] for name in sorted(files, reverse=True)})
    for name, differs in changed.items():
        done = ("written  ", "green") if differs else ("unchanged", "dim")
        _say(Text.assemble(done, f"  {directory / name}"))


def _show_diff(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        diff = masked_diff(name, read_text(directory / name), text)
        print(diff or f"{name}: no changes")


def _say(what: object) -> None:
    Console(soft_wrap=True, highlight=False, markup=False).print(what)


def _complain(error: ConfigurationError, hint: str | None = None) -> None:
    show_problems(_stderr(), error.problems, "nothing was written")
    show_warnings(_stderr(), error.warnings, error.ignored, after_problems=True)
    if hint is not None:
        _stderr().print(Text(f"\n{hint}"))


def _report(what: str, remedy: str) -> None:
    console = _stderr()
    console.print(Text(f"{what}; nothing was written.", style="bold red"))
    console.print(Text(f"    → {remedy}."))


def _stderr() -> Console:
    return Console(stderr=True, soft_wrap=True, highlight=False)


if __name__ == "__main__":
    main()
