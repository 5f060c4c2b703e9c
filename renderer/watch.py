"""Keeps a running gateway's configuration current: rotated keys and new backends apply without a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import yaml

from renderer.output import read_text, write_changed
from renderer.problems import ConfigurationError, KeyVaultError, Problem

LIVE_FILE = "apisix.yaml"
"""The one file that a running gateway reads again; the others take effect at the next start."""


class Reporter(Protocol):
    """Where the watcher says what it did."""

    def changed(self, file: Path) -> None:
        """A file was put in place."""

    def needs_restart(self, name: str) -> None:
        """A file differs, but the gateway reads it at the start only."""

    def refused(self, problems: Sequence[Problem]) -> None:
        """The settings are wrong; the last good configuration stays."""

    def unavailable(self, error: KeyVaultError) -> None:
        """Key Vault could not be read; the last good configuration stays."""

    def failed(self, error: OSError) -> None:
        """A file could not be read or written; the last good configuration stays."""


def watch(
    render: Callable[[], Mapping[str, str]],
    directory: Path,
    seconds: float,
    stop: threading.Event,
    reporter: Reporter,
) -> None:
    """Render every `seconds` and put a changed apisix.yaml in place, until `stop` is set.

    `render` returns the text of each file by name. When it raises `ConfigurationError` or `KeyVaultError`, or
    a file cannot be written, nothing changes, and the next round tries again.
    """
    told: set[tuple[str, str]] = set()
    while not stop.wait(seconds):
        try:
            _round(render(), directory, told, reporter)
        except ConfigurationError as error:
            reporter.refused(error.problems)
        except KeyVaultError as error:
            reporter.unavailable(error)
        except OSError as error:
            reporter.failed(error)


def put_in_place(files: Mapping[str, str], directory: Path) -> bool:
    """Write apisix.yaml when it differs and a running gateway can load it; returns whether it was written."""
    return _is_loadable(directory, files) and write_changed(directory, LIVE_FILE, files[LIVE_FILE])


def _round(files: Mapping[str, str], directory: Path, told: set[tuple[str, str]], reporter: Reporter) -> None:
    if put_in_place(files, directory):
        reporter.changed(directory / LIVE_FILE)
    for name, text in files.items():
        if read_text(directory / name) != text and (name, text) not in told:
            told.add((name, text))
            reporter.needs_restart(name)


def _is_loadable(directory: Path, files: Mapping[str, str]) -> bool:
    """Whether the running gateway has every plugin of the new files; it skips routes with other plugins."""
    running = read_text(directory / "config.yaml")
    return running is not None and _plugins(files["config.yaml"]) <= _plugins(running)


def _plugins(config: str) -> set[str]:
    """The plugins that a config.yaml loads; none when the text is not a config.yaml."""
    try:
        document = yaml.load(config, Loader=yaml.CBaseLoader)  # noqa: S506 - every scalar stays text
    except (yaml.YAMLError, RecursionError):
        return set()
    plugins = document.get("plugins") if isinstance(document, dict) else None
    return {str(name) for name in plugins} if isinstance(plugins, list) else set()
