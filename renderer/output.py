"""Puts the rendered files in place: atomically, for the gateway's group only, and only when they differ."""

from __future__ import annotations

import os
import tempfile
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
    """Write `text` to `directory/name` unless it is there already; returns whether the file changed.

    Readers see the old file or the new one, never a part. An unchanged file keeps its modification time, and
    a changed one gets a later second than it had, for that is how APISIX notices. Raises `OSError`.
    """
    file = directory / name
    if read_text(file) == text:
        if file.stat().st_mode & 0o777 != FILE_MODE:
            file.chmod(FILE_MODE)
        return False
    before = file.stat().st_mtime_ns if file.exists() else 0
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=directory)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            os.fchmod(stream.fileno(), FILE_MODE)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        _advance_second(Path(temporary), before)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True


def _advance_second(file: Path, before_ns: int) -> None:
    """APISIX compares modification times by the second; a second change within one would go unseen."""
    second = 1_000_000_000
    now = file.stat().st_mtime_ns
    if now // second <= before_ns // second:
        later = (before_ns // second + 1) * second
        os.utime(file, ns=(later, later))
