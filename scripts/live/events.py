"""Reads the events of a gateway's live page."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

PATH = "/live/events"
_MOST_REQUESTS = 15
# The gateway sends a message a second. An app that has scaled to zero first has to start.
_TIMEOUT_SECONDS, _FIRST_TIMEOUT_SECONDS = 15.0, 90.0
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 15.0
_SUMS = ("requests", "failed", "failovers", "prompt", "cached", "completion", "cost")

Look = dict[str, Any]


class LiveError(Exception):
    """The gateway shows nothing; says why. `status` is that of its answer, where it gave one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)

    @property
    def is_passing(self) -> bool:
        """Whether a gateway that was watched already may be back soon."""
        return self.status is None or self.status == httpx.codes.TOO_MANY_REQUESTS or self.status >= 500


@dataclass
class Picture:
    """What there is to see: the newest message, sums since the first one, and the last requests."""

    look: Look
    seconds: float = 0.0
    """Between the first message and the newest."""
    totals: dict[str, float] = field(default_factory=dict)
    """What was added since to each of `_SUMS`, over all clients and deployments."""
    requests: list[Look] = field(default_factory=list)
    """The newest first."""
    lost: LiveError | None = None
    """Why there is nothing newer: the connection is gone, and the next picture comes when it is back."""


class _Watch:
    """Adds up what the messages of one connection after another say."""

    def __init__(self) -> None:
        self.first: Look | None = None
        self.last: Look | None = None
        self.seconds = 0.0
        self.totals = dict.fromkeys(_SUMS, 0.0)
        self.requests: deque[Look] = deque(maxlen=_MOST_REQUESTS)

    def take(self, look: Look) -> Picture:
        if self.last is None or self.first is None:
            self.first = look
        elif _begins_anew(self.last, look):
            # Another replica, or a gateway that has started again, has sums of its own.
            earlier = self.picture(self.last)
            self.seconds, self.totals, self.first = earlier.seconds, earlier.totals, look
        self.last = look
        self.requests.extendleft(self._new(look["requests"]))
        return self.picture(look)

    def _new(self, requests: list[Look]) -> list[Look]:
        """Those that no connection has listed before: a new one begins with requests of the last minutes."""
        newest = _mark(self.requests[0]) if self.requests else None
        known = [index for index, request in enumerate(requests) if _mark(request) == newest]
        return requests[known[-1] + 1 :] if known else requests

    def picture(self, look: Look, lost: LiveError | None = None) -> Picture:
        first = self.first or look
        totals = {name: self.totals[name] + _total(look, name) - _total(first, name) for name in _SUMS}
        return Picture(look, self.seconds + look["now"] - first["now"], totals, list(self.requests), lost)


def pictures(url: str, key: str | None, sleep: Callable[[float], None] = time.sleep) -> Iterator[Picture]:
    """Watches the gateway at `url`, with a client's key where it needs one: a picture about every second.

    Comes back when the gateway ends the watch, as it does after ten minutes, and when the connection breaks.

    Raises:
        LiveError: the gateway cannot be reached at the beginning, has no live page, or refuses.
    """
    watch, pause, lost = _Watch(), 0.0, None
    while True:
        if pause:
            sleep(pause)
        try:
            for look in _looks(url, key, _TIMEOUT_SECONDS if watch.last else _FIRST_TIMEOUT_SECONDS):
                pause = 0.0
                yield watch.take(look)
            lost = None
            if watch.last is None:
                raise LiveError(
                    f"What answers at {url} sends no events: it is no gateway with a live page.", 200
                )
        except LiveError as error:
            if watch.last is None or not error.is_passing:
                raise
            lost = error
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS) or _PAUSE_SECONDS
        if lost and watch.last:
            yield watch.picture(watch.last, lost)


def _begins_anew(last: Look, look: Look) -> bool:
    return last.get("replica") != look.get("replica") or any(
        _total(look, name) < _total(last, name) for name in ("requests", "prompt", "completion")
    )


def _mark(request: Look) -> tuple[object, ...]:
    return request.get("id"), request["at"], request["total_ms"]


def _total(look: Look, name: str) -> float:
    return sum(float(entry[name]) for entry in look["sums"])


def _looks(url: str, key: str | None, timeout: float) -> Iterator[Look]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.stream("GET", url + PATH, headers=headers, timeout=timeout) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                raise LiveError(_refusal(response, key), response.status_code)
            for line in response.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))
    # A message that was cut short is no JSON.
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        why = f"{error}".rstrip(".") or type(error).__name__
        raise LiveError(f"The gateway at {url} cannot be read: {why}.") from None


def _refusal(response: httpx.Response, key: str | None) -> str:
    """Why a gateway refuses, in words for the terminal."""
    if response.status_code == httpx.codes.NOT_FOUND:
        return "The gateway has no live page. Set GATEWAY_LIVE_PAGE to keys or local."
    if response.status_code == httpx.codes.UNAUTHORIZED:
        what = "does not know the key" if key else "wants a key"
        return f"The gateway {what}: set GATEWAY_KEY to a client's key."
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The gateway answered {response.status_code}."
