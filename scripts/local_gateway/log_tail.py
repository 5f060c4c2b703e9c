"""Follows a file that grows, in a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_SECONDS = 0.1
_CHUNK_BYTES = 256 * 1024
# Of a line that does not end. The gateway's records are shorter.
_LONGEST_LINE_BYTES = 1024 * 1024


@contextmanager
def following(file: Path, take: Callable[[list[str]], None]) -> Iterator[None]:
    """Hands each new line of `file` to `take`, many at a time; at the end also those that came last."""
    tail, stop = _Tail(file), threading.Event()

    def follow() -> None:
        while not stop.wait(_LOOK_SECONDS):
            tail.hand_out(take)
        tail.hand_out(take)

    thread = threading.Thread(target=follow, name="access log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        tail.close()


class _Tail:
    def __init__(self, file: Path) -> None:
        # Held open, because a gateway that stops removes its files.
        self._stream = file.open("rb")
        # What an earlier gateway wrote into a directory that was kept is no news.
        self._stream.seek(0, os.SEEK_END)
        self._rest = b""

    def hand_out(self, take: Callable[[list[str]], None]) -> None:
        """Reads to the end of the file as it is now."""
        while chunk := self._stream.read(_CHUNK_BYTES):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._rest = self._rest[:_LONGEST_LINE_BYTES]
            if lines:
                take([line.decode(errors="replace") for line in lines])

    def close(self) -> None:
        """Lets go of the file."""
        self._stream.close()
