"""Puts the rendered files in place: whole, readable by the gateway's group, and only when they differ."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

FILE_MODE = 0o640
"""For owner and group: the gateway and its collector run as different users of one group."""


def read_text(file: Path) -> str | None:
    """The text of a file; None when the file is absent or not UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def write_changed(directory: Path, name: str, text: str) -> bool:
    """Write one file as `write_all_changed` does; returns whether it changed."""
    return write_all_changed(directory, {name: text})[name]


def write_all_changed(directory: Path, texts: Mapping[str, str]) -> dict[str, bool]:
    """Write each text to `directory/<its name>` unless the file has it already; returns which files changed.

    All texts are on the disk before the first file is put in place, so a full disk changes nothing. Files are
    put in place in the order given, and readers see an old file or a new one, never a part. An unchanged file
    keeps its modification time. A changed file gets a later second, because APISIX notices changes by the
    second. Raises `OSError`. Example: `{"config.yaml": "a: 1"}` → `{"config.yaml": True}`, then `False`.
    """
    with ExitStack() as unfinished:
        staged = {name: _staged(directory / name, text, unfinished) for name, text in texts.items()}
        for name, temporary in staged.items():
            if temporary is not None:
                temporary.replace(directory / name)
    return {name: temporary is not None for name, temporary in staged.items()}


def _staged(file: Path, text: str, unfinished: ExitStack) -> Path | None:
    """A temporary file beside `file` that holds the text; None when `file` has the text already.

    It is removed with `unfinished` unless it was put in place before.
    """
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
    """Give the file a later second than it had: APISIX would not notice two changes within one second."""
    second = 1_000_000_000
    now = file.stat().st_mtime_ns
    if now // second <= before_ns // second:
        later = (before_ns // second + 1) * second
        os.utime(file, ns=(later, later))
