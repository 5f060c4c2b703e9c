"""Criteria: what has to be true of a run, what was measured, and how certain that is.

Shares are judged by the binomial interval (Wilson) of `CONFIDENCE`, so a run with few requests needs a wider
tolerance. Each criterion states how many requests it needs; with fewer it fails, since it says nothing then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.999
"""How sure a share is inside its interval when the gateway does what it promises."""
_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


@dataclass(frozen=True)
class Criterion:
    """One criterion with its measured value."""

    name: str
    expected: str
    measured: str
    passed: bool
    requests: int
    """How many requests it was measured on."""
    least: int
    """How many it needs."""
    tolerance: str = "none"
    skipped: bool = False
    """It could not be measured on this target; `measured` says why."""


def interval(share: float, requests: int) -> tuple[float, float]:
    """The range in which a measured share of so many requests lies, when the true share is `share`.

    >>> low, high = interval(0.5, 1000)
    >>> round(low, 3), round(high, 3)
    (0.448, 0.552)
    """
    if requests == 0:
        return 0.0, 1.0
    z2 = _Z * _Z / requests
    centre = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(share * (1 - share) / requests + z2 / (4 * requests))
    return max(0.0, centre - half), min(1.0, centre + half)


def least_for(share: float, tolerance: float) -> int:
    """How many requests it takes until a share is known to within `tolerance`.

    >>> least_for(0.5, 0.1)
    271
    """
    return math.ceil((_Z / tolerance) ** 2 * share * (1 - share))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed (nearest rank); 0 without values.

    >>> percentile([1, 2, 3, 4], 50)
    2
    """
    if not values:
        return 0.0
    return sorted(values)[max(math.ceil(percent / 100 * len(values)), 1) - 1]


def share(name: str, hits: int, requests: int, expected: float, tolerance: float) -> Criterion:
    """A share equals `expected`. `tolerance` decides how many requests are needed."""
    low, high = interval(expected, requests)
    measured = hits / requests if requests else 0.0
    least = least_for(expected, tolerance)
    return Criterion(
        name,
        f"{expected:.1%}",
        f"{measured:.1%} ({hits} of {requests})",
        low <= measured <= high and requests >= least,
        requests,
        least,
        f"{low:.1%} to {high:.1%} ({CONFIDENCE:.1%} binomial)",
    )


def at_least(
    name: str, measured: float, limit: float, requests: int, least: int, unit: str = ""
) -> Criterion:
    """A number is not below `limit`."""
    expected = f"at least {_text(limit, unit)}"
    return Criterion(
        name, expected, _text(measured, unit), measured >= limit and requests >= least, requests, least
    )


def at_most(name: str, measured: float, limit: float, requests: int, least: int, unit: str = "") -> Criterion:
    """A number is not above `limit`."""
    expected = f"at most {_text(limit, unit)}"
    return Criterion(
        name, expected, _text(measured, unit), measured <= limit and requests >= least, requests, least
    )


def none(name: str, hits: int, requests: int, least: int, example: str = "") -> Criterion:
    """Something did not happen once in `requests`. `example` may be text of others."""
    measured = f"{hits} of {requests}" + (f", such as {printable(example)}" if hits and example else "")
    return Criterion(name, "none", measured, hits == 0 and requests >= least, requests, least)


def equal(name: str, measured: float, expected: float, requests: int, least: int) -> Criterion:
    """Two counts agree exactly."""
    passed = measured == expected and requests >= least
    return Criterion(name, f"{expected:g}", f"{measured:g}", passed, requests, least)


def not_measured(name: str, expected: str, why: str) -> Criterion:
    """A criterion that this target gives no way to measure."""
    return Criterion(name, expected, f"not measured: {why}", True, 0, 0, skipped=True)


def printable(text: str) -> str:
    """A text of others as reports can show it: control characters are escaped.

    >>> printable("500 \\x1b[2J")
    '500 \\\\x1b[2J'
    """
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _text(value: float, unit: str) -> str:
    """`_text(0.25, "%")` is `25.0 %`; `_text(12.34, "ms")` is `12.3 ms`."""
    if unit == "%":
        return f"{value * 100:.1f} %"
    return f"{value:.1f} {unit}" if unit else f"{value:g}"
