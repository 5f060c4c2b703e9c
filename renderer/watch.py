"""Keeps a running gateway's configuration current: rotated keys and new backends apply without a restart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import yaml

from renderer.errors import ConfigurationError, KeyVaultError, Problem
from renderer.output import read_text, write_changed

LIVE_FILE = "apisix.yaml"
"""The one file that the gateway reads again while it runs; the others take effect with its next start."""


class Reporter(Protocol):
    """Where the watcher says what it did."""

    def changed(self, file: Path) -> None:
        """A file was put in place."""

    def needs_restart(self, name: str) -> None:
        """A file differs that is read at the start only."""

    def refused(self, problems: Sequence[Problem]) -> None:
        """The settings are wrong; the last good configuration stays."""

    def unavailable(self, error: KeyVaultError) -> None:
        """Key Vault could not be read; the last good configuration stays."""


def watch(
    render: Callable[[], Mapping[str, str]],
    directory: Path,
    seconds: float,
    stop: threading.Event,
    reporter: Reporter,
) -> None:
    """Render every `seconds` and put a changed apisix.yaml in place, until `stop` is set.

    `render` gives the text of each file. When it raises `ConfigurationError` or `KeyVaultError`, nothing
    changes. Raises `OSError` when the file cannot be written.
    """
    told: set[tuple[str, str]] = set()
    while not stop.wait(seconds):
        try:
            files = render()
        except ConfigurationError as error:
            reporter.refused(error.problems)
            continue
        except KeyVaultError as error:
            reporter.unavailable(error)
            continue
        if _is_loadable(directory, files) and write_changed(directory, LIVE_FILE, files[LIVE_FILE]):
            reporter.changed(directory / LIVE_FILE)
        for name, text in files.items():
            if read_text(directory / name) != text and (name, text) not in told:
                told.add((name, text))
                reporter.needs_restart(name)


def _is_loadable(directory: Path, files: Mapping[str, str]) -> bool:
    """Whether the running gateway has every plugin of the new files; it would skip routes with others."""
    running = read_text(directory / "config.yaml")
    return running is not None and _plugins(files["config.yaml"]) <= _plugins(running)


def _plugins(config: str) -> set[str]:
    return set(yaml.safe_load(config)["plugins"])
