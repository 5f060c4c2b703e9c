"""`latency-routing` and `latency-preference`: the faster backend is preferred, as told or as measured."""

from __future__ import annotations

import time

import httpx

from e2e.criteria import Criterion, at_least, at_most, none, percentile
from e2e.load.plan import CLIENTS, Users
from e2e.scenarios.scenario import Event, Evidence, Phase, Scenario
from e2e.scenarios.shared import failures, share_of
from e2e.simulator import Latency
from e2e.targets.simulators import CHAT_100M, PAYG_1, PAYG_2
from e2e.targets.stage import CONFIG_API, SIMULATORS, Stage, TargetError

ROUTING, PREFERENCE = "latency-routing", "latency-preference"
FAST_MS, SLOW_MS = 20.0, 250.0
FOLLOW_SECONDS = 1.0
"""How long all replicas may take to follow a new preference."""
FAST_SHARE = 0.8
"""The least share of a backend that is ten times as fast."""


def _users(route: str) -> tuple[Users, ...]:
    return (Users("steady", 6, "completion", route, 0.15, options={"deployment": CHAT_100M}),)


def _speeds(stage: Stage, fast: str, slow: str) -> None:
    stage.simulators.latency(fast, Latency(first_byte_ms=FAST_MS))
    stage.simulators.latency(slow, Latency(first_byte_ms=SLOW_MS))


def _first_is_fast(stage: Stage) -> None:
    _speeds(stage, PAYG_1, PAYG_2)


def _second_is_fast(stage: Stage) -> None:
    _speeds(stage, PAYG_2, PAYG_1)


def _measure_and_tell(stage: Stage) -> None:
    """Measures both backends past the gateway, and posts them to its helper, the best first."""
    times = {name: _time_of(stage, name) for name in (PAYG_1, PAYG_2)}
    answer = httpx.post(
        f"{stage.urls[0]}/helpers/set-preferred-backends",
        json={"preferredBackends": sorted(times, key=lambda name: times[name])},
        headers={"api-key": stage.keys[CLIENTS[0]]},
        trust_env=False,
    )
    if answer.status_code != httpx.codes.OK:
        raise TargetError(f"set-preferred-backends: {answer.status_code} {answer.text[:200]}")


def _tell_and_wait(stage: Stage) -> None:
    _measure_and_tell(stage)
    time.sleep(FOLLOW_SECONDS)


def _time_of(stage: Stage, name: str) -> float:
    begin = time.perf_counter()
    httpx.post(
        f"{stage.simulators.urls[name]}/openai/deployments/{CHAT_100M}/completions?api-version=2023-05-15",
        json={"prompt": "Once upon a time", "max_tokens": 10},
        headers={"api-key": stage.simulators.keys[name]},
        trust_env=False,
    ).raise_for_status()
    return time.perf_counter() - begin


def _judge_routing(evidence: Evidence) -> list[Criterion]:
    first, swapped, second = (evidence.of(phase) for phase in ("first is fast", "swapped", "second is fast"))
    throttled = evidence.of("preferred is throttled")
    followed = evidence.mark("told") + FOLLOW_SECONDS
    late = [sample for sample in swapped if sample.at > followed and sample.backend == PAYG_1]
    after = sum(sample.at > followed for sample in swapped)
    median = percentile([sample.total_ms for sample in second], 50)
    return [
        failures("failed requests", evidence.samples, 100),
        at_least(
            "share of the first backend while it is fast", share_of(first, PAYG_1), 0.99, len(first), 50, "%"
        ),
        none(f"requests to the old one {FOLLOW_SECONDS:g} s after the swap was told", len(late), after, 20),
        at_least(
            "share of the second backend once it is fast",
            share_of(second, PAYG_2),
            0.99,
            len(second),
            50,
            "%",
        ),
        at_most("median time once it is preferred", median, (FAST_MS + SLOW_MS) / 2, len(second), 50, "ms"),
        at_least(
            "share of the other while it is throttled",
            share_of(throttled, PAYG_1),
            0.99,
            len(throttled),
            20,
            "%",
        ),
    ]


def _judge_preference(evidence: Evidence) -> list[Criterion]:
    first, second = evidence.of("first is fast"), evidence.of("second is fast")
    slow = sum(sample.backend == PAYG_1 for sample in second)
    return [
        failures("failed requests", evidence.samples, 100),
        at_least(
            "share of the first backend while it is fast",
            share_of(first, PAYG_1),
            FAST_SHARE,
            len(first),
            100,
            "%",
        ),
        at_least(
            "share of the second backend once it is fast",
            share_of(second, PAYG_2),
            FAST_SHARE,
            len(second),
            100,
            "%",
        ),
        at_least("answers of the slow one, so that its recovery is seen", slow, 1, len(second), 100),
        at_most(
            "median time once it is preferred",
            percentile([sample.total_ms for sample in second], 50),
            (FAST_MS + SLOW_MS) / 2,
            len(second),
            100,
            "ms",
        ),
    ]


SCENARIOS = (
    Scenario(
        ROUTING,
        "Preference follows what was posted to the helper. The other backend serves when the best throttles.",
        (
            Phase("first is fast", 5, _users(ROUTING), before=_tell_and_wait),
            Phase(
                "swapped",
                6,
                _users(ROUTING),
                before=_second_is_fast,
                during=(Event(0.4, "told", _measure_and_tell),),
            ),
            Phase("second is fast", 5, _users(ROUTING)),
            Phase(
                "preferred is throttled",
                3,
                _users(ROUTING),
                before=lambda stage: stage.simulators.fault(PAYG_2, status=429, retry_after=30),
            ),
        ),
        _judge_routing,
        prepare=_first_is_fast,
        needs=frozenset({SIMULATORS, CONFIG_API}),
    ),
    Scenario(
        PREFERENCE,
        "The faster of two equals gets more, as the gateway measures it. When they swap speed, it follows.",
        (
            Phase("learning", 3, _users(PREFERENCE)),
            Phase("first is fast", 8, _users(PREFERENCE)),
            Phase("swapped", 6, _users(PREFERENCE), before=_second_is_fast),
            Phase("second is fast", 8, _users(PREFERENCE)),
        ),
        _judge_preference,
        prepare=_first_is_fast,
    ),
)
