"""The order of a start and of a stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from renderer import ConfigurationError, Problem, render_files
from renderer.found_settings import SettingsFile, chosen_settings_file
from renderer.progress import working
from scripts.engines import EngineError, Gateway, choose_engine, start_files
from scripts.local_gateway import voice
from scripts.local_gateway.changes import applying_changes
from scripts.local_gateway.log_tail import following
from scripts.local_gateway.sources import Loaded, Sources
from scripts.local_gateway.start_screen import Started, show
from scripts.local_identity import AzureCliIdentity, scopes_for_azure_cli

if TYPE_CHECKING:
    from scripts.local_authority import LocalAuthority

STOP_GRACE_SECONDS = 30.0
_BY_SIGNAL = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Options:
    """What the command line asks for; the command's help describes each."""

    engine: str
    settings_file: Path | None
    search: bool
    """Whether to look for a file with a usual name where none is named."""
    strict: bool
    watch: bool
    quiet: bool
    port: int
    workers: int | None
    directory: Path | None
    keep_files: bool
    tls: bool
    azure_cli: bool | None


class RefusedWarningsError(Exception):
    """With `--strict` the warnings, which were told, keep the gateway from running."""


class StopRequestedError(BaseException):
    """SIGINT or SIGTERM has arrived. No library takes it for a failure of its own."""


def run_until_stopped(options: Options) -> None:
    """Returns after a request to stop.

    Raises:
        EngineError: the gateway cannot run, or has ended on its own.
        ConfigurationError: the settings, or the options for them, are wrong.
        KeyVaultError: the settings could not be read.
        RefusedWarningsError: with `strict`, there are warnings.
    """
    for number in _BY_SIGNAL:
        signal.signal(number, _request_stop)
    # What is there before the gateway and ends after it, and what follows the running one.
    around, beside = ExitStack(), ExitStack()
    gateway: Gateway | None = None
    try:
        with around:
            try:
                gateway = _start(options, around, beside)
                _serve(gateway)
            finally:
                _stop(gateway, beside)
    except StopRequestedError:
        pass


def _request_stop(_number: int, _frame: FrameType | None) -> None:
    raise StopRequestedError


def _start(options: Options, around: ExitStack, beside: ExitStack) -> Gateway:
    file = _file_to_read(options)
    sources = Sources(os.environ, file.path if file is not None else None)
    with working("Looking for an engine"):
        engine, why = choose_engine(options.engine)
    with working("Reading the settings"):
        loaded = sources.load()
    voice.doubt(loaded.warnings, loaded.ignored)
    if options.strict and loaded.warnings:
        raise RefusedWarningsError
    authority = _open_authority(loaded.env) if options.tls else None
    env, scopes = loaded.env, scopes_for_azure_cli(loaded.settings, loaded.env, options.azure_cli)
    if scopes:
        env = around.enter_context(_open_identity(scopes)).announced_in(env)
    with working(f"Starting the gateway on the engine {engine.name}"):
        gateway = start_files(
            render_files(loaded.settings, engine.bundle_root),
            engine=engine,
            env=env,
            workers=options.workers,
            port=options.port,
            directory=options.directory,
            keep_files=options.keep_files or options.directory is not None,
            tls=authority.issue() if authority is not None else None,
        )
    try:
        if not options.quiet:
            around.enter_context(following(gateway.access_log, voice.print_requests))
        if options.watch:
            needed = _restart_needed(options, scopes)
            beside.enter_context(applying_changes(gateway, sources, loaded, engine.bundle_root, needed))
        show(Started(gateway, why, loaded, sources, authority, bool(scopes), options.watch), voice.out)
    except BaseException:
        _stop(gateway, beside)
        raise
    return gateway


def _file_to_read(options: Options) -> SettingsFile | None:
    """The file of settings. Raises `ConfigurationError` when the options do not go together."""
    file = chosen_settings_file(options.settings_file, search=options.search)
    if options.watch and file is None:
        remedy = "Name a file with --settings, or make .env or gateway.yaml in this directory"
        raise ConfigurationError(
            [Problem("--watch", "follows a file of settings, and there is none", remedy)]
        )
    if file is not None and file.was_found:
        voice.say(f"Reading {file}")
    return file


def _open_authority(env: Mapping[str, str]) -> LocalAuthority:
    from scripts.local_authority import open_authority, user_directory  # takes a while to load

    authority = open_authority(user_directory(env), env)
    for note in authority.notes:
        voice.say(note, "bold")
    return authority


def _open_identity(scopes: list[str]) -> AzureCliIdentity:
    def say(scope: str, why: str) -> None:
        voice.warn(f"The Azure CLI gives no token for {scope}:", why.splitlines())

    identity = AzureCliIdentity(say)
    # So that a missing login is told now, and not only when the first request fails.
    with working("Asking the Azure CLI for a token"):
        identity.fetch(scopes)
    return identity


def _restart_needed(options: Options, scopes: Sequence[str]) -> Callable[[Loaded], str | None]:
    """Says what a change needs that only a start can give."""

    def needed(loaded: Loaded) -> str | None:
        if scopes or not scopes_for_azure_cli(loaded.settings, loaded.env, options.azure_cli):
            return None
        return "a backend signs in with a managed identity now, and that begins with a start."

    return needed


def _serve(gateway: Gateway) -> None:
    """Returns never: raises StopRequestedError, or EngineError when the gateway ends on its own."""
    status = gateway.wait()
    raise EngineError(f"the gateway ended on its own with exit status {status}; see {gateway.error_log}")


def _stop(gateway: Gateway | None, beside: ExitStack) -> None:
    for number in _BY_SIGNAL:
        signal.signal(number, signal.default_int_handler)
    if gateway is None:
        return
    voice.say("Stopping; requests in flight may finish (Ctrl-C again ends them).")
    try:
        beside.close()
        gateway.stop(STOP_GRACE_SECONDS)
    except KeyboardInterrupt:
        gateway.stop(grace=0.1)
