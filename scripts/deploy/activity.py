"""The last line of a terminal while a command works: the step, how long it takes, what Azure is doing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

_VERBS = {"create": "creating", "update": "changing", "delete": "deleting", "read": "reading"}


class Activity:
    """Shows the line while any step is open. Without a terminal it shows nothing."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("dots")
        self._steps: list[tuple[str, float]] = []
        self._resources: dict[str, tuple[str, float]] = {}
        self._live: Live | None = None

    @property
    def is_shown(self) -> bool:
        """Whether there is a terminal to show it on."""
        return self._console.is_terminal

    def has_steps(self) -> bool:
        """Whether a step is open."""
        return bool(self._steps)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a step until it ends; a step inside of another one meanwhile."""
        self._steps.append((title, time.monotonic()))
        self._start()
        try:
            yield
        finally:
            self._steps.pop()
            self._resources.clear()
            if not self._steps:
                self._stop()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Leave the terminal to a question, or to another program."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def event(self, event: Mapping[str, Any]) -> None:
        """Note which resources a running Terraform works on."""
        kind, hook = event.get("type"), event.get("hook", {})
        address = hook.get("resource", {}).get("addr", "")
        if kind == "apply_start":
            self._resources[address] = (_VERBS.get(hook.get("action"), "changing"), time.monotonic())
        elif kind in {"apply_complete", "apply_errored"}:
            self._resources.pop(address, None)

    def __rich__(self) -> Text:
        # `rich` calls this in a thread of its own, for each picture.
        steps, resources = list(self._steps), list(self._resources.items())
        now = time.monotonic()
        frame = self._spinner.render(now)
        parts = [f"{title} {elapsed(now - since)}" for title, since in steps[-1:]]
        for address, (verb, since) in resources[:1]:
            more = f" and {len(resources) - 1} more" if len(resources) > 1 else ""
            parts.append(f"{verb} {address} {elapsed(now - since)}{more}")
        text = Text.assemble(*([frame] if isinstance(frame, Text) else []), " ", " · ".join(parts))
        text.no_wrap, text.overflow = True, "ellipsis"
        return text

    def _start(self) -> None:
        if self._steps and self._live is None and self.is_shown:
            self._live = Live(self, console=self._console, transient=True, refresh_per_second=4)
            self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def elapsed(seconds: float) -> str:
    """A duration as text: 0.81 gives `0.8 s`, 12.2 gives `12 s`, 185 gives `3 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
