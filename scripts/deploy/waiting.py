"""Waiting for Azure, in sight: roles that are not known everywhere yet, throttling, revisions that start."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scripts.deploy.console import Screen, elapsed


@dataclass
class Waiter:
    """Waits with a line that says what for and how long yet. `sleep` and `clock` are in seconds."""

    screen: Screen
    sleep: Callable[[float], object] | None = None
    clock: Callable[[], float] = time.monotonic
    stopped: threading.Event = field(default_factory=threading.Event)
    """Once set, whoever waits stops waiting, in whichever thread."""

    def deadline(self, seconds: float) -> Deadline:
        """Start a span of time in which something may still become right."""
        return Deadline(self, self.clock() + seconds)


@dataclass
class Deadline:
    """A span of time that is running out."""

    waiter: Waiter
    end: float

    @property
    def left(self) -> float:
        """Seconds that remain, not less than 0."""
        return max(0.0, self.end - self.waiter.clock())

    def pause(self, reason: str, seconds: float) -> bool:
        """Wait before the next try; False, at once, when that would be past the end or we are to stop."""
        if seconds > self.left or self.left == 0 or self.waiter.stopped.is_set():
            return False
        self.waiter.screen.say(
            f"  {reason}: next try in {elapsed(seconds)}, giving up in {elapsed(self.left)}", "yellow"
        )
        (self.waiter.sleep or self.waiter.stopped.wait)(seconds)
        return not self.waiter.stopped.is_set()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait, at most two minutes; None when it says nothing of it."""
    text = str(headers.get("Retry-After", ""))
    return min(float(text), 120.0) if re.fullmatch(r"\d+(\.\d+)?", text) else None
