"""Records every request and what became of it, and lets a test wait for them."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from e2e.simulator.wire.http import Request

CAPACITY = 20_000
"""How many requests are kept per region; the oldest are dropped."""

BODY_BUDGET = 256 * 1024 * 1024
"""How many bytes of bodies are kept per region; the oldest requests are dropped."""


@dataclass(slots=True)
class RecordedRequest:
    """One request as it came over the wire, and what became of its answer.

    ``path`` is the raw path and query. ``headers`` keeps order, case and repetition. Times are seconds since
    the epoch; ``finished_at`` and ``status`` are ``None`` until there is one. ``fault`` names the fault that
    applied.
    ``client_disconnected``: the client left before the end of the answer.
    """

    number: int
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    received_at: float
    deployment: str | None = None
    finished_at: float | None = None
    status: int | None = None
    fault: str | None = None
    client_disconnected: bool = False

    def header(self, name: str) -> str | None:
        """The first value of a header, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def header_values(self, name: str) -> list[str]:
        """All values of a header, in any case."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def json(self) -> Any:
        """The body as JSON. Raises ``ValueError`` when it is none."""
        return json.loads(self.body)


class Recorder:
    """The requests of one region. Written by the event loop, read and awaited from any thread."""

    def __init__(self, capacity: int = CAPACITY, body_budget: int = BODY_BUDGET) -> None:
        self._changed = threading.Condition()
        self._requests: deque[RecordedRequest] = deque()
        self._capacity = capacity
        self._body_budget = body_budget
        self._body_bytes = 0
        self._waiting = 0
        self.total = 0

    def begin(self, request: Request) -> RecordedRequest:
        """Record a request that has arrived completely."""
        self.total += 1
        record = RecordedRequest(
            self.total, request.method, request.target, request.headers, request.body, request.received_at
        )
        self._requests.append(record)
        self._body_bytes += len(record.body)
        while len(self._requests) > self._capacity or self._body_bytes > self._body_budget:
            self._body_bytes -= len(self._requests.popleft().body)
        self._announce()
        return record

    def end(self, record: RecordedRequest, status: int | None, disconnected: bool) -> None:
        """Record what became of a request."""
        record.status = status
        record.client_disconnected = disconnected
        # Set last: a test that waits for it finds the other fields complete.
        record.finished_at = time.time()
        self._announce()

    def all(self) -> list[RecordedRequest]:
        """The requests, oldest first."""
        return list(self._requests)

    def clear(self) -> None:
        """Forget the requests and start counting anew."""
        self._requests.clear()
        self._body_bytes = 0
        self.total = 0

    def wait_for(self, condition: Callable[[list[RecordedRequest]], bool], timeout: float) -> bool:
        """Block until ``condition`` holds for the requests; ``False`` after ``timeout`` seconds."""
        with self._changed:
            self._waiting += 1
            try:
                return self._changed.wait_for(lambda: condition(self.all()), timeout)
            finally:
                self._waiting -= 1

    def _announce(self) -> None:
        # Takes the lock only when a test waits; otherwise a load test would pay for it on every request.
        if self._waiting:
            with self._changed:
                self._changed.notify_all()
