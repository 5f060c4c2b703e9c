"""`throttle-storm`: each backend throttles in turn, then all of them."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

from e2e.criteria import Criterion, at_least, at_most, none, percentile
from e2e.load.plan import CLIENTS, Users
from e2e.load.samples import Sample
from e2e.scenarios.scenario import Action, Evidence, Phase, Scenario
from e2e.scenarios.shared import failures
from e2e.targets.simulators import BACKENDS, CHAT_100M, Asked
from e2e.targets.stage import Stage

ROUTE = "throttle-storm"
RETRY_AFTER_SECONDS = 3
USERS = 6
HINT_ERROR_MS = 400
"""Users come at their pace, and a busy machine delays them. Hints of 1 ms would be off by some 800 ms."""


def _users() -> tuple[Users, ...]:
    options = {"deployment": CHAT_100M}
    return (Users("chat", USERS, "chat", ROUTE, 0.15, clients=CLIENTS, options=options),)


def _throttle(*names: str) -> Action:
    def act(stage: Stage) -> None:
        stage.simulators.clear()
        for name in names:
            stage.simulators.fault(name, status=429, retry_after=RETRY_AFTER_SECONDS)

    return act


def _turn(name: str) -> str:
    return f"{name} throttles"


def _is_untruthful(sample: Sample) -> bool:
    """A refusal that is no 429, or whose hints are missing, differ, or are longer than the backends' own."""
    hint = _hint_ms(sample)
    return sample.status != 429 or not (
        0 < hint <= RETRY_AFTER_SECONDS * 1000
        and sample.headers.get("retry-after") == str(math.ceil(hint / 1000))
    )


def _hint_ms(sample: Sample) -> int:
    """When a client may come again, in ms; 0 for no such hint."""
    value = sample.headers.get("retry-after-ms", "")
    return int(value) if value.isdecimal() and len(value) < 10 else 0


def _errors_of_hints_ms(refused: Sequence[Sample], asked: Sequence[Asked]) -> list[float]:
    """How far each hint is from the next call of a backend, as long as there was one."""
    calls = [request.at for request in asked]
    errors = []
    for sample in refused:
        answered = sample.at + sample.total_ms / 1000
        following = calls[bisect.bisect_right(calls, answered) :]
        if following:
            errors.append(abs(following[0] - answered - _hint_ms(sample) / 1000) * 1000)
    return errors


def _judge(evidence: Evidence) -> list[Criterion]:
    turns = evidence.of("calm", *map(_turn, BACKENDS))
    storm, late = evidence.of("all throttle"), evidence.of("recovered")
    refused = [sample for sample in storm if not sample.good]
    wrong = [sample for sample in refused if _is_untruthful(sample)]
    shown = f"{wrong[0].status} {wrong[0].headers}" if wrong else ""
    asked = [request for request in evidence.asked_in("all throttle") if request.status == 429]
    # In each cool-down, those that are under way when it begins, and the one that goes first at its end.
    cool_downs = (
        1 + (evidence.spans["all throttle"][1] - evidence.spans["all throttle"][0]) / RETRY_AFTER_SECONDS
    )
    bound = len(BACKENDS) * USERS * cool_downs
    errors = _errors_of_hints_ms(refused, asked)
    return [
        failures("failed requests while one throttles", turns, 100),
        at_least("refused requests while all throttle", len(refused), 50, len(storm), 50),
        none("refusals that are no 429 with a true hint", len(wrong), len(refused), 50, shown),
        at_most(
            "median from the end of a hint to the next call of a backend",
            percentile(errors, 50),
            HINT_ERROR_MS,
            len(errors),
            50,
            "ms",
        ),
        at_most("calls of throttled backends in the storm", len(asked), round(bound), len(storm), 50),
        at_most(
            "median time of a refusal",
            percentile([s.total_ms for s in refused], 50),
            100,
            len(refused),
            50,
            "ms",
        ),
        failures("failed requests when it is over", late, 40),
    ]


SCENARIOS = (
    Scenario(
        ROUTE,
        "While a backend can serve, no request fails; when all throttle, clients get truthful 429s at once.",
        (
            Phase("calm", 2, _users()),
            *(Phase(_turn(name), 4, _users(), before=_throttle(name)) for name in BACKENDS),
            Phase("all throttle", 7, _users(), before=_throttle(*BACKENDS)),
            Phase("settling", RETRY_AFTER_SECONDS + 0.5, _users(), before=_throttle()),
            Phase("recovered", 3, _users()),
        ),
        _judge,
        quick=0.7,
    ),
)
