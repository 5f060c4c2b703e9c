"""How many requests try a backend whose cool-down has ended: from the moments at which it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from e2e.bench.workload import TRIAL_REST_MS

_APART_SECONDS = TRIAL_REST_MS / 1000 / 2


def bursts(moments: Sequence[float]) -> list[int]:
    """How many requests came at the end of each cool-down.

    >>> bursts([1.00, 1.02, 1.52, 2.04, 2.05, 2.06])
    [2, 1, 3]
    """
    counts: list[int] = []
    previous = float("-inf")
    for moment in sorted(moments):
        if moment - previous > _APART_SECONDS:
            counts.append(0)
        counts[-1] += 1
        previous = moment
    return counts


def trials_per_end(moments: Sequence[float]) -> float:
    """The mean over all cool-downs. The first burst is left out: nothing was cooling down before it."""
    later = bursts(moments)[1:]
    return mean(later) if later else 0.0
