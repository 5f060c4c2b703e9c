"""`--watch`: applies changes of the file of settings to the running gateway.

The renderer's own watcher does the work. It renders into a directory beside the gateway's files. What it puts
in place there is handed to the engine, which loads it without dropping a request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from renderer import KeyVaultError, Problem, Settings, render_files
from renderer.output import write_all_changed
from renderer.watch import watch
from scripts.engines import EngineError, Gateway
from scripts.local_gateway import voice
from scripts.local_gateway.sources import Loaded, Sources

_LOOK_SECONDS = 0.5
_DIRECTORY = "rendered"
# A gateway on this machine has no collector beside it.
_NOT_READ_HERE = "otel-collector.yaml"


@contextmanager
def applying_changes(
    gateway: Gateway,
    sources: Sources,
    loaded: Loaded,
    bundle_root: str,
    restart_needed: Callable[[Loaded], str | None],
) -> Iterator[None]:
    """Applies each change of the file of settings until the end.

    `restart_needed` says what the gateway cannot take up while it runs, or None.
    """
    assert sources.env_file is not None
    directory = gateway.directory / _DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    rendered = Rendered(sources, loaded, bundle_root, restart_needed)
    write_all_changed(directory, rendered())
    stop, reporter = threading.Event(), _Reporter(gateway, sources.env_file, rendered)
    thread = threading.Thread(
        target=watch, args=(rendered, directory, _LOOK_SECONDS, stop, reporter), name="watch", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Rendered:
    """The rendered files: those of the last good settings, until their file has changed and is at rest."""

    def __init__(
        self,
        sources: Sources,
        loaded: Loaded,
        bundle_root: str,
        restart_needed: Callable[[Loaded], str | None],
    ) -> None:
        assert sources.env_file is not None
        self._sources, self._file = sources, sources.env_file
        self._bundle_root, self._restart_needed = bundle_root, restart_needed
        self._settings = loaded.settings
        self._files = render_files(loaded.settings, bundle_root)
        # The file may have changed since it was read: a gateway takes a moment to start.
        self._read = self._seen = loaded.stamp
        self.difference = ""

    def __call__(self) -> Mapping[str, str]:
        """Reads the file when it has changed and did not change again since the last look.

        An editor may write it piece by piece: half of a file can be good settings, without the other half.
        """
        before, self._seen = self._seen, self._sources.stamp()
        if self._seen == self._read or self._seen != before:
            return self._files
        self._read = self._seen
        loaded = self._sources.load()
        voice.doubt(loaded.warnings, ())
        files = render_files(loaded.settings, self._bundle_root)
        if files == self._files:
            voice.say(f"{self._file} was saved; nothing changes for the gateway.")
        if reason := self._restart_needed(loaded):
            voice.warn("Restart the gateway to use all of the change:", [reason])
        self.difference = difference(self._settings, loaded.settings)
        self._settings, self._files = loaded.settings, files
        return files


class _Reporter:
    """Hands what the watcher has put in place to the gateway, and says what it did."""

    def __init__(self, gateway: Gateway, env_file: Path, rendered: Rendered) -> None:
        self._gateway, self._file, self._rendered = gateway, env_file, rendered

    def changed(self, file: Path) -> None:
        """A file was put in place."""
        try:
            self._gateway.replace_configuration(file.read_text(encoding="utf-8"))
        except EngineError as error:
            voice.warn(f"The gateway did not load the change of {self._file}:", error.problems)
            return
        voice.say(f"{self._file} was applied: {self._rendered.difference}.")

    def needs_restart(self, name: str) -> None:
        """A file differs, but the gateway reads it at the start only."""
        if name != _NOT_READ_HERE:
            voice.warn(
                "Restart the gateway to use all of the change:",
                [f"{name} would change, and a running gateway does not take that up."],
            )

    def refused(self, problems: Sequence[Problem]) -> None:
        """The settings are wrong."""
        voice.warn(
            f"{self._file} is wrong; the gateway keeps the settings that it has:",
            [str(problem) for problem in problems],
        )

    def unavailable(self, error: KeyVaultError) -> None:
        """Key Vault could not be read."""
        voice.warn(
            f"{self._file} was not applied; save it again to try once more:",
            [str(error)],
        )

    def failed(self, error: OSError) -> None:
        """A file could not be read or written."""
        voice.warn(f"{self._file} was not applied:", [error.strerror or str(error)])


def difference(before: Settings, after: Settings) -> str:
    """What changed, by names. Example: `backend westus removed, client team-a changed`."""
    found = [
        *_members("backend", before.backends, after.backends),
        *_members("client", before.clients, after.clients),
    ]
    rest = {"backends": (), "clients": ()}
    if before.model_copy(update=rest) != after.model_copy(update=rest):
        found.append("other settings changed" if found else "settings changed")
    return ", ".join(found) or "the order changed"


def _members(noun: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[str]:
    old, new = ({member.name: member for member in members} for members in (before, after))
    yield from (f"{noun} {name} added" for name in new if name not in old)
    yield from (f"{noun} {name} removed" for name in old if name not in new)
    yield from (f"{noun} {name} changed" for name in new if name in old and old[name] != new[name])
