"""Puts the rendered files in place: atomically, for the gateway's group only, and only when they differ."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

FILE_MODE = 0o640
"""Owner and group: the gateway and the collector beside it run under different users of one group."""


def read_text(file: Path) -> str | None:
    """What the file holds now; None when it is absent or no text."""
    try:
        return file.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def write_changed(directory: Path, name: str, text: str) -> bool:
    """Write one file as `write_all_changed` does; returns whether it changed."""
    return write_all_changed(directory, {name: text})[name]


def write_all_changed(directory: Path, texts: Mapping[str, str]) -> dict[str, bool]:
    """Write each text to `directory/<its name>` unless it is there already; returns which files changed.

    They are put in place in the order given, once all of them are on the disk: a full one changes nothing.
    Readers see an old file or a new one, never a part. An unchanged file keeps its modification time, and a
    changed one gets a later second than it had, for that is how APISIX notices. Raises `OSError`.
    """
    with ExitStack() as unfinished:
        staged = {name: _staged(directory / name, text, unfinished) for name, text in texts.items()}
        for name, temporary in staged.items():
            if temporary is not None:
                temporary.replace(directory / name)
    return {name: temporary is not None for name, temporary in staged.items()}


def _staged(file: Path, text: str, unfinished: ExitStack) -> Path | None:
    """The text in a temporary file beside `file`, removed with `unfinished`; None when `file` has it."""
    if read_text(file) == text:
        if file.stat().st_mode & 0o777 != FILE_MODE:
            file.chmod(FILE_MODE)
        return None
    before = file.stat().st_mtime_ns if file.exists() else 0
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".tmp", dir=file.parent)
    temporary = Path(name)
    unfinished.callback(temporary.unlink, missing_ok=True)
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
        os.fchmod(stream.fileno(), FILE_MODE)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    _advance_second(temporary, before)
    return temporary


def _advance_second(file: Path, before_ns: int) -> None:
    """APISIX compares modification times by the second; a second change within one would go unseen."""
    second = 1_000_000_000
    now = file.stat().st_mtime_ns
    if now // second <= before_ns // second:
        later = (before_ns // second + 1) * second
        os.utime(file, ns=(later, later))
