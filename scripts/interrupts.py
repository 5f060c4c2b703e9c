"""How commands react to the signals that ask them to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
STOP_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""The signals that ask a program to stop."""


@contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C, so that locks are released and temporary files removed."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # An ignored signal stays ignored: `nohup` asks for that.
    kinds = [kind for kind in STOP_SIGNALS[1:] if signal.getsignal(kind) is not signal.SIG_IGN]
    before = {kind: signal.signal(kind, interrupt) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextmanager
def postponed_interrupts() -> Iterator[list[int]]:
    """Collect stop signals in a list instead of raising an exception; the caller looks at it afterwards.

    An exception while a program is being started, for example, would leave that program behind with its lock.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came  # other threads get no signals
        return

    def note(kind: int, _frame: FrameType | None) -> None:
        came.append(kind)

    # An ignored signal stays ignored, also for the program: it inherits that.
    kinds = [kind for kind in STOP_SIGNALS if callable(signal.getsignal(kind))]
    before = {kind: signal.signal(kind, note) for kind in kinds}
    try:
        yield came
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
