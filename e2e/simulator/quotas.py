"""Token and request quota over sliding windows, with true hints about when to retry.

From Azure OpenAI's documentation of quotas: a quota belongs to a deployment; the estimate of a request is its
prompt plus ``max_tokens``; refused requests count against the request quota.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from e2e.simulator.regions import Quota

UNLIMITED_TPM = 10_000_000
UNLIMITED_RPM = 100_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """The quota's answer to one request. ``refused_by`` is ``token``, ``call`` or ``None``; times in ms."""

    refused_by: str | None
    retry_after_ms: int
    limit_tokens: int
    limit_requests: int
    remaining_tokens: int
    remaining_requests: int
    reset_tokens_ms: int
    reset_requests_ms: int

    def headers(self) -> list[tuple[str, str]]:
        """The ``x-ratelimit-*`` headers, and the retry hints when the request was refused.

        Resets are in seconds.
        """
        headers = [
            ("x-ratelimit-limit-requests", str(self.limit_requests)),
            ("x-ratelimit-limit-tokens", str(self.limit_tokens)),
            ("x-ratelimit-remaining-requests", str(self.remaining_requests)),
            ("x-ratelimit-remaining-tokens", str(self.remaining_tokens)),
            ("x-ratelimit-reset-requests", str(math.ceil(self.reset_requests_ms / 1000))),
            ("x-ratelimit-reset-tokens", str(math.ceil(self.reset_tokens_ms / 1000))),
        ]
        if self.refused_by is not None:
            headers.append(("retry-after-ms", str(self.retry_after_ms)))
            headers += self.hint()
        return headers

    def hint(self) -> list[tuple[str, str]]:
        """The header ``retry-after`` in seconds when the request was refused."""
        if self.refused_by is None:
            return []
        return [("retry-after", str(math.ceil(self.retry_after_ms / 1000)))]


class QuotaMeter:
    """The use of one deployment's quota."""

    def __init__(self, quota: Quota, clock: Callable[[], float] = time.monotonic) -> None:
        self.quota = quota
        self._clock = clock
        self._tokens = _Window(quota.tpm, quota.token_window_s)
        self._requests = _Window(quota.rpm, quota.request_window_s)

    def charge(self, estimate: int) -> Verdict:
        """Count one request of ``estimate`` tokens and say whether it may pass."""
        now = self._clock()
        no_request = not self._requests.fits(now, 1)
        # A refused request counts too, so the wait includes this request.
        self._requests.add(now, 1)
        no_tokens = not self._tokens.fits(now, estimate)
        if no_request or no_tokens:
            wait = max(self._requests.wait(now, 1), self._tokens.wait(now, estimate))
            return self._verdict(now, "call" if no_request else "token", wait)
        self._tokens.add(now, estimate)
        return self._verdict(now, None, 0.0)

    def _verdict(self, now: float, refused_by: str | None, wait_s: float) -> Verdict:
        tokens, requests = self._tokens, self._requests
        return Verdict(
            refused_by=refused_by,
            retry_after_ms=max(1, math.ceil(wait_s * 1000)),
            limit_tokens=UNLIMITED_TPM if self.quota.tpm is None else self.quota.tpm,
            limit_requests=UNLIMITED_RPM if self.quota.rpm is None else self.quota.rpm,
            remaining_tokens=UNLIMITED_TPM if tokens.limit is None else tokens.remaining(now),
            remaining_requests=UNLIMITED_RPM if requests.limit is None else requests.remaining(now),
            reset_tokens_ms=math.ceil(tokens.empty_in(now) * 1000),
            reset_requests_ms=math.ceil(requests.empty_in(now) * 1000),
        )


class _Window:
    """Amounts that were spent in the last ``span`` seconds."""

    def __init__(self, per_minute: int | None, span: float) -> None:
        self.limit = None if per_minute is None else max(1, math.ceil(per_minute * span / 60))
        self._span = span
        self._spent: deque[tuple[float, int]] = deque()
        self._sum = 0

    def add(self, now: float, amount: int) -> None:
        if self.limit is not None:
            self._spent.append((now, amount))
            self._sum += amount

    def fits(self, now: float, amount: int) -> bool:
        self._forget(now)
        return self.limit is None or self._sum + amount <= self.limit

    def remaining(self, now: float) -> int:
        self._forget(now)
        return max(0, (self.limit or 0) - self._sum)

    def empty_in(self, now: float) -> float:
        """Seconds until the window is empty."""
        return max(0.0, self._spent[-1][0] + self._span - now) if self._spent else 0.0

    def wait(self, now: float, amount: int) -> float:
        """Seconds until ``amount`` fits; an amount that never fits waits for an empty window."""
        if self.limit is None or self.fits(now, amount):
            return 0.0
        total = self._sum
        for at, spent in self._spent:
            total -= spent
            if total + amount <= self.limit:
                return max(0.0, at + self._span - now)
        return self.empty_in(now) or self._span

    def _forget(self, now: float) -> None:
        while self._spent and self._spent[0][0] + self._span <= now:
            self._sum -= self._spent.popleft()[1]
