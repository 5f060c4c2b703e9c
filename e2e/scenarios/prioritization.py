"""`prioritization`: low-priority work leaves a reserve, and high-priority work never suffers from it."""

from __future__ import annotations

from e2e.criteria import Criterion, at_least, none
from e2e.load.plan import Users
from e2e.load.samples import Sample, labelled
from e2e.scenarios.scenario import Evidence, Phase, Scenario
from e2e.scenarios.shared import failures
from e2e.targets.simulators import EMBEDDING_100K

TRACKING, CALCULATING = "prioritization-token-tracking", "prioritization-token-calculating"
THRESHOLDS = {"tokens-below-low-priority-threshold": 30_000, "requests-below-low-priority-threshold": 30}
"""The reasons of refusals, and below which remaining number each holds."""
HIGH_USERS = 3
HIGH_PACE_SECONDS = 1.2


def _lane(lane: str, route: str, count: int) -> Users:
    """Low work alone would use the whole window; high work needs no more than the reserve."""
    return Users(
        lane,
        count,
        "embedding",
        route,
        HIGH_PACE_SECONDS if lane == "high" else 0.5,
        lane=lane if lane == "low" else "",
        options={"deployment": EMBEDDING_100K, "words": 20},
    )


def _phases(route: str, *, cycles: tuple[str, ...]) -> tuple[Phase, ...]:
    low, high = _lane("low", route, 6), _lane("high", route, HIGH_USERS)
    users = {"low": (low,), "mixed": (low, high), "high": (high,)}
    word = "tracked" if route == TRACKING else "calculated"
    return tuple(
        Phase(f"{word}: {kind} {number}", 10 if number == 1 else 7, users[kind])
        for number, kind in enumerate(cycles, 1)
    )


def _has_numbers(sample: Sample) -> bool:
    values = (sample.headers.get(f"x-gw-remaining-{what}", "") for what in ("tokens", "requests"))
    return all(value.lstrip("-").isdigit() for value in values)


def _refused_for_lane(sample: Sample) -> bool:
    return sample.status == 429 and sample.headers.get("x-gw-ratelimit-reason") in THRESHOLDS


def _is_above_threshold(sample: Sample) -> bool:
    threshold = THRESHOLDS.get(sample.headers.get("x-gw-ratelimit-reason", ""), 0)
    value = sample.headers.get("x-gw-ratelimit-value", "")
    # Longer ones are too large for `int`, and for every threshold.
    return not (value.isdecimal() and len(value) < 20 and int(value) < threshold)


def _judge_route(evidence: Evidence, word: str) -> list[Criterion]:
    phases = [name for name in evidence.spans if name.startswith(word)]
    samples = evidence.of(*phases)
    high, low = labelled(samples, "high"), labelled(samples, "low")
    refused = [sample for sample in low if sample.status != 200]
    unexplained = [sample for sample in refused if not _refused_for_lane(sample)]
    late = [sample for sample in refused if _is_above_threshold(sample)]
    wrong_lane = [sample for sample in samples if sample.headers.get("x-gw-priority") != sample.label]
    without = [sample for sample in samples if not _has_numbers(sample)]
    shown = f"{unexplained[0].status} {unexplained[0].headers}" if unexplained else ""
    return [
        failures(f"{word}: failed requests of the high lane", high, 25),
        at_least(f"{word}: refused requests of the low lane", len(refused), 10, len(low), 100),
        at_least(f"{word}: served requests of the low lane", len(low) - len(refused), 20, len(low), 100),
        none(f"{word}: refusals without one of the two reasons", len(unexplained), len(refused), 10, shown),
        none(f"{word}: refusals above the thresholds", len(late), len(refused), 10),
        none(f"{word}: answers with a wrong x-gw-priority", len(wrong_lane), len(samples), 100),
        none(f"{word}: answers without the remaining numbers", len(without), len(samples), 100),
    ]


def _judge(evidence: Evidence) -> list[Criterion]:
    return [*_judge_route(evidence, "tracked"), *_judge_route(evidence, "calculated")]


SCENARIOS = (
    Scenario(
        "prioritization",
        "Low, mixed, high, mixed, low: high work is always served; low work leaves it a reserve.",
        (
            *_phases(TRACKING, cycles=("low", "mixed", "high", "mixed", "low")),
            *_phases(CALCULATING, cycles=("low", "mixed", "high")),
        ),
        _judge,
    ),
)
