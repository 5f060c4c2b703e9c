"""Reads the events of a gateway's live page."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

PATH = "/live/events"
_MOST_REQUESTS = 15
_TIMEOUT_SECONDS = 15.0
_SUMS = ("requests", "failed", "failovers", "prompt", "cached", "completion", "cost")

Look = dict[str, Any]


class LiveError(Exception):
    """The gateway shows nothing; says why and what to do."""


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


def pictures(url: str, key: str | None) -> Iterator[Picture]:
    """Watches the gateway at `url`, with a client's key where it needs one: a picture about every second.

    Raises:
        LiveError: the gateway cannot be reached, has no live page, or refuses.
    """
    first: Look | None = None
    requests: deque[Look] = deque(maxlen=_MOST_REQUESTS)
    for look in _looks(url, key):
        first = first or look
        requests.extendleft(look["requests"])
        totals = {name: _total(look, name) - _total(first, name) for name in _SUMS}
        yield Picture(look, look["now"] - first["now"], totals, list(requests))


def _total(look: Look, name: str) -> float:
    return sum(float(entry[name]) for entry in look["sums"])


def _looks(url: str, key: str | None) -> Iterator[Look]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.stream("GET", url + PATH, headers=headers, timeout=_TIMEOUT_SECONDS) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                raise LiveError(_refusal(response, key))
            for line in response.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))
    except httpx.HTTPError as error:
        raise LiveError(f"The gateway at {url} cannot be read: {error}.") from None


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
