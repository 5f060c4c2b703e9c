"""Waits for Azure and says so: roles that are not known everywhere yet, throttling, revisions that start."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scripts.deploy.activity import elapsed
from scripts.deploy.console import Screen


@dataclass
class Waiter:
    """Waits, with a line that says why and how long it may still take. `sleep` and `clock` are in seconds."""

    screen: Screen
    sleep: Callable[[float], object] | None = None
    clock: Callable[[], float] = time.monotonic
    stopped: threading.Event = field(default_factory=threading.Event)
    """Once set, all waiting ends, in every thread."""

    def deadline(self, seconds: float) -> Deadline:
        """Start a span of time for repeated tries."""
        return Deadline(self, self.clock() + seconds)


@dataclass
class Deadline:
    """A span of time for repeated tries."""

    waiter: Waiter
    end: float

    @property
    def left(self) -> float:
        """Seconds that remain, not less than 0."""
        return max(0.0, self.end - self.waiter.clock())

    def pause(self, reason: str, seconds: float) -> bool:
        """Wait before the next try. False, at once, when that would be after the end or the command stops."""
        if seconds > self.left or self.left == 0 or self.waiter.stopped.is_set():
            return False
        self.waiter.screen.say(
            f"  {reason}: next try in {elapsed(seconds)}, giving up in {elapsed(self.left)}", "yellow"
        )
        (self.waiter.sleep or self.waiter.stopped.wait)(seconds)
        return not self.waiter.stopped.is_set()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait, at most 120: `Retry-After: 5` gives 5.0, no header None."""
    text = str(headers.get("Retry-After", ""))
    return min(float(text), 120.0) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def backoff(attempt: int, asked: float | None) -> float:
    """Seconds before the next try: as asked, else 1, 2, 4 … and at most 15 for attempt 0, 1, 2 …"""
    return asked if asked is not None else min(2.0**attempt, 15.0)
