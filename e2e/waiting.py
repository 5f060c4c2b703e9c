"""Waiting for what another process does, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.02


def eventually(look: Callable[[], T], seconds: float = 5.0) -> T:
    """The first truthy result of ``look``. Raises ``TimeoutError`` with the last one after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise TimeoutError(f"not seen within {seconds:g} s; last seen: {found!r}")
        time.sleep(_POLL_SECONDS)
