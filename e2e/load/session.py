"""The process that makes load: starts it, plays loads on it and collects the samples."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from e2e.load.samples import Sample, parse_line
from renderer.version import PRODUCT
from scripts.python_path import with_our_modules

Listener = Callable[[Sample], None]
Change = tuple[float, Callable[[], None]]
"""How many seconds after the beginning of a load something is done, and what."""


class LoadError(Exception):
    """The process that makes load has ended."""


class LoadSession:
    """A running driver; a context manager that ends it."""

    def __init__(self) -> None:
        """Starts it.

        Raises:
            LoadError: locust is not installed; says how to get it.
        """
        if importlib.util.find_spec("locust") is None:
            raise LoadError(f"locust, which makes the load, is not installed: install {PRODUCT}[e2e]")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "e2e.load.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=with_our_modules(os.environ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def play(
        self, load: object, during: Sequence[Change] = (), listen: Listener | None = None
    ) -> list[Sample]:
        """Plays one load (`Load.as_json`) and returns its samples when all its users have ended.

        `during` is done meanwhile, in a thread. An exception of it is raised at the end of the load.

        Raises:
            LoadError: the driver has ended; says what it wrote last.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(load) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None
        changes = _Changes(during)
        changes.start()
        try:
            return self._read_samples(listen)
        finally:
            changes.end()

    def _read_samples(self, listen: Listener | None) -> list[Sample]:
        samples: list[Sample] = []
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith('{"ended"'):
                return samples
            samples.append(parse_line(line))
            if listen is not None:
                listen(samples[-1])
        raise self._ended()

    def _ended(self) -> LoadError:
        _, text = self._process.communicate()
        return LoadError(
            "the process that makes load has ended: " + " | ".join(text.strip().splitlines()[-5:])
        )


class _Changes(threading.Thread):
    """Does things at their times, until the load ends."""

    def __init__(self, changes: Sequence[Change]) -> None:
        super().__init__(daemon=True)
        self._changes = sorted(changes, key=lambda change: change[0])
        self._over = threading.Event()
        self._error: Exception | None = None

    def run(self) -> None:
        passed = 0.0
        try:
            for at, change in self._changes:
                if self._over.wait(max(at - passed, 0)):
                    return
                passed = at
                change()
        except Exception as error:
            self._error = error

    def end(self) -> None:
        """Waits for the change that is under way."""
        self._over.set()
        self.join()
        if self._error is not None:
            raise self._error
