"""Reads the events of the live page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

EVENTS = "/live/events"
Look = dict[str, Any]
# The gateway sends one message a second.
MOST_MESSAGES = 30


class Watcher:
    """A client of the events: what it has seen so far."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.requests: list[Any] = []
        self._lines = response.iter_lines()

    def look(self) -> Look:
        """The next message."""
        line = next(line for line in self._lines if line.startswith("data: "))
        found: Look = json.loads(line.removeprefix("data: "))
        self.requests += found["requests"]
        return found

    def until(self, condition: Callable[[Look], object]) -> Look:
        """The first message that meets the condition."""
        for _ in range(MOST_MESSAGES):
            found = self.look()
            if condition(found):
                return found
        raise AssertionError(f"not within {MOST_MESSAGES} messages")

    def until_requests(self, count: int) -> Look:
        """The message with which this watcher has seen `count` requests."""
        return self.until(lambda _: len(self.requests) >= count)

    def ended(self) -> bool:
        """Whether the gateway ends the stream within a few messages."""
        for _ in range(MOST_MESSAGES):
            try:
                self.look()
            except StopIteration:
                return True
        return False


@contextmanager
def watching(url: str, key: str | None = None, headers: Mapping[str, str] | None = None) -> Iterator[Watcher]:
    """Watches a gateway; without a key as somebody on its machine."""
    signed = {"authorization": f"Bearer {key}"} if key else {}
    with (
        httpx.Client(timeout=30) as client,
        client.stream("GET", url + EVENTS, headers={**signed, **(headers or {})}) as response,
    ):
        yield Watcher(response)
