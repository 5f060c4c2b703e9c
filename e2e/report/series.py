"""Numbers over time, from the samples of one run. Times are seconds since its beginning."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from e2e.criteria import percentile
from e2e.load.samples import Sample
from e2e.scenarios.scenario import Evidence

Points = list[tuple[float, float]]

_MOST_POINTS = 60


@dataclass(frozen=True)
class Plot:
    """Several series that belong in one drawing."""

    title: str
    unit: str
    series: dict[str, Points]
    marks: tuple[tuple[float, str], ...] = ()
    """Moments with a name: phases and events."""


def plots_of(evidence: Evidence) -> list[Plot]:
    """Every plot of a report: shares, latency, failovers, statuses, tokens."""
    samples = sorted(evidence.samples, key=lambda sample: sample.at)
    if not samples:
        return []
    begin = samples[0].at
    width = step_of(samples[-1].at - begin)
    moments = [(span[0] - begin, name) for name, span in evidence.spans.items()]
    moments += [(at - begin, title) for at, title in evidence.marks]
    marks = tuple(sorted(moments))
    bins = binned(samples, begin, width)

    def plot(title: str, unit: str, series: dict[str, Points]) -> Plot:
        return Plot(title, unit, {name: points for name, points in series.items() if points}, marks)

    return [
        plot("Share of each backend", "%", shares(bins, width)),
        plot("Latency", "ms", latencies(bins, width)),
        plot("Failovers", "per second", {"failovers": rates(bins, width, lambda sample: sample.failovers)}),
        plot("Answers by status", "per second", by_status(bins, width)),
        plot("Tokens by client", "per second", tokens(bins, width)),
    ]


def step_of(seconds: float) -> float:
    """The width of a bin: at least half a second, and at most `_MOST_POINTS` bins."""
    return max(0.5, math.ceil(seconds / _MOST_POINTS * 2) / 2)


def binned(samples: Sequence[Sample], begin: float, width: float) -> dict[int, list[Sample]]:
    """The samples by the number of their bin, without empty bins."""
    bins: dict[int, list[Sample]] = {}
    for sample in samples:
        bins.setdefault(int((sample.at - begin) / width), []).append(sample)
    return bins


def shares(bins: dict[int, list[Sample]], width: float) -> dict[str, Points]:
    """The part of the answers that each backend gave, in percent."""
    names = sorted({sample.backend for bin_ in bins.values() for sample in bin_ if sample.backend})
    found: dict[str, Points] = {name: [] for name in names}
    for number, bin_ in bins.items():
        answered = [sample.backend for sample in bin_ if sample.backend]
        for name in names if answered else ():
            found[name].append((number * width, 100 * answered.count(name) / len(answered)))
    return found


def latencies(bins: dict[int, list[Sample]], width: float) -> dict[str, Points]:
    """The median and the 95th and 99th percentile of the time until an answer was whole."""
    wanted = {"p50": 50, "p95": 95, "p99": 99}
    return {
        name: [
            (number * width, percentile([sample.total_ms for sample in bin_], percent))
            for number, bin_ in bins.items()
        ]
        for name, percent in wanted.items()
    }


def rates(bins: dict[int, list[Sample]], width: float, count: Callable[[Sample], float]) -> Points:
    """How much of something there was per second."""
    return [(number * width, sum(map(count, bin_)) / width) for number, bin_ in bins.items()]


def by_status(bins: dict[int, list[Sample]], width: float) -> dict[str, Points]:
    """Answers per second of each status; those that did not end well have their end as a name."""
    names = sorted({name_of(sample) for bin_ in bins.values() for sample in bin_})
    return {name: rates(bins, width, partial(_is_named, name)) for name in names}


def _is_named(name: str, sample: Sample) -> float:
    return float(name_of(sample) == name)


def name_of(sample: Sample) -> str:
    """What became of a request, in a word or two: `200`, `429`, `broken`."""
    return str(sample.status) if sample.end == "whole" else sample.end


def tokens(bins: dict[int, list[Sample]], width: float) -> dict[str, Points]:
    """Tokens per second of each client that got any."""
    names = sorted({sample.client for bin_ in bins.values() for sample in bin_ if sample.tokens})
    return {name: rates(bins, width, partial(_tokens_of, name)) for name in names}


def _tokens_of(name: str, sample: Sample) -> float:
    return float(sample.tokens) if sample.client == name else 0.0
