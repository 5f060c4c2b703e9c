"""A line when a command has said nothing for a while, where no terminal shows what goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS = 2.0


class Silence:
    """Watches how long nothing has been said."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._is_told = False

    def broken(self) -> None:
        """Something has been said."""
        self._since, self._is_told = time.monotonic(), False

    @contextmanager
    def broken_by(self, tell: Callable[[], None], is_explained: Callable[[], bool]) -> Iterator[None]:
        """Calls `tell` once in each silence of two seconds, unless what was said last explains it."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(SECONDS / 4):
                if not self._is_told and not is_explained() and time.monotonic() - self._since >= SECONDS:
                    tell()
                    self._is_told = True

        self.broken()
        thread = threading.Thread(target=watch, name="silence", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
