"""Says what a command waits for, when that takes more than a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

# A terminal sees it soon and forgets it at the end. A line in a file stays, so it has to be worth it.
_TERMINAL_SECONDS, _LINE_SECONDS = 0.4, 2.0
_NEXT_LINE_SECONDS = 30.0
_NEXT_TEXT_SECONDS = 1.0


@contextmanager
def working(what: str, console: Console | None = None) -> Iterator[None]:
    """Tells on standard error that something goes on, until it ends.

    On a terminal a line that moves, elsewhere a line of text after two seconds and every 30 seconds from then
    on. Example: `with working("Reading Key Vault"): …` prints `Reading Key Vault …`.
    """
    done = threading.Event()
    shown = console or Console(stderr=True, highlight=False, soft_wrap=True)
    tell = _on_terminal if shown.is_terminal else _in_lines
    thread = threading.Thread(target=tell, args=(what, shown, done), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _on_terminal(what: str, console: Console, done: threading.Event) -> None:
    began = time.monotonic()
    if done.wait(_TERMINAL_SECONDS):
        return
    with console.status(Text(f"{what} …")) as status:
        while not done.wait(_NEXT_TEXT_SECONDS):
            status.update(Text(f"{what} … {time.monotonic() - began:.0f} s"))


def _in_lines(what: str, console: Console, done: threading.Event) -> None:
    began = time.monotonic()
    if done.wait(_LINE_SECONDS):
        return
    console.print(Text(f"{what} …"))
    while not done.wait(_NEXT_LINE_SECONDS):
        console.print(Text(f"{what} … {time.monotonic() - began:.0f} s so far"))
