"""`throttle-storm`: each backend throttles in turn, then all of them."""

from __future__ import annotations

from e2e.criteria import Criterion, at_least, at_most, none, percentile
from e2e.load.plan import CLIENTS, Users
from e2e.load.samples import Sample
from e2e.scenarios.scenario import Action, Evidence, Phase, Scenario
from e2e.scenarios.shared import failures
from e2e.targets.simulators import BACKENDS, CHAT_100M
from e2e.targets.stage import Stage

ROUTE = "throttle-storm"
RETRY_AFTER_SECONDS = 3
USERS = 6


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
    """A refusal that is no 429, or whose hint is missing or longer than that of the backends."""
    hint = sample.headers.get("retry-after-ms", "")
    return sample.status != 429 or not (
        hint.isdigit() and int(hint) <= RETRY_AFTER_SECONDS * 1000 and "retry-after" in sample.headers
    )


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
    return [
        failures("failed requests while one throttles", turns, 100),
        at_least("refused requests while all throttle", len(refused), 50, len(storm), 50),
        none("refusals that are no 429 with a true hint", len(wrong), len(refused), 50, shown),
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
