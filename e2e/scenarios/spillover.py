"""`retry-with-payg` and its `-v2`: provisioned capacity first, pay-as-you-go for what it cannot take."""

from __future__ import annotations

from e2e.criteria import Criterion, at_least, at_most
from e2e.load.plan import Users
from e2e.scenarios.scenario import Evidence, Phase, Scenario
from e2e.scenarios.shared import failures, share_of
from e2e.simulator import Quota
from e2e.targets.simulators import CHAT_100K, CHAT_100M, PAYG_1, PTU
from e2e.targets.stage import Stage

ROUTE, ROUTE_V2 = "retry-with-payg", "retry-with-payg-v2"
WINDOW_SECONDS = 5.0
MAX_TOKENS = 100
REQUEST_TOKENS = MAX_TOKENS + 14
"""What the simulator charges for one request: the prompt's estimate and `max_tokens`."""
REQUESTS_PER_SECOND = 9
"""What the provisioned backend can serve."""
RETRY_AFTER_SECONDS = 3


def _users(route: str, count: int, pace_s: float, deployment: str = CHAT_100K) -> tuple[Users, ...]:
    return (
        Users(
            "chat",
            count,
            "chat",
            route,
            pace_s,
            options={"deployment": deployment, "max_tokens": MAX_TOKENS},
        ),
    )


def _narrow(stage: Stage) -> None:
    """A minute's tokens, of which a window of five seconds gets its share: a spike shows at once."""
    tpm = REQUESTS_PER_SECOND * REQUEST_TOKENS * 60
    stage.simulators.quota(PTU, CHAT_100K, Quota(tpm, token_window_s=WINDOW_SECONDS))
    stage.simulators.quota(PAYG_1, CHAT_100K, Quota())


def _judge(evidence: Evidence) -> list[Criterion]:
    calm, spike, late = (evidence.of(phase) for phase in ("calm", "spike", "recovered"))
    begin, end = evidence.spans["spike"]
    demand = len(spike) / (end - begin)
    from_ptu = sum(sample.backend == PTU for sample in spike)
    # One full window is there at the beginning; after that, what flows in.
    possible = REQUESTS_PER_SECOND * (end - begin + WINDOW_SECONDS)
    refused = sum(asked.status == 429 for asked in evidence.asked_in("spike") if asked.backend == PTU)
    return [
        failures("failed requests", evidence.samples, 100),
        at_least("provisioned share while calm", share_of(calm, PTU), 0.99, len(calm), 20, "%"),
        at_least("demand in the spike per second", demand, 2 * REQUESTS_PER_SECOND, len(spike), 50),
        at_least(
            "share that spills over",
            share_of(spike, PAYG_1),
            1 - possible / max(len(spike), 1),
            len(spike),
            50,
            "%",
        ),
        at_least("use of the provisioned quota in the spike", from_ptu / possible, 0.5, len(spike), 50, "%"),
        at_most(
            "refusals for each request of the spike",
            refused / max(len(spike), 1),
            1 / 3,
            len(spike),
            50,
            "%",
        ),
        at_least("provisioned share when it has recovered", share_of(late, PTU), 0.99, len(late), 20, "%"),
    ]


def _throttle(stage: Stage) -> None:
    stage.simulators.fault(PTU, status=429, retry_after=RETRY_AFTER_SECONDS)


def _judge_v2(evidence: Evidence) -> list[Criterion]:
    calm, throttled, late = (evidence.of(phase) for phase in ("calm", "throttled", "recovered"))
    refusals = [asked.at for asked in evidence.asked if asked.backend == PTU and asked.status == 429]
    # Requests that were under way when the first 429 came are refused as well.
    settled = refusals[0] + 0.5 if refusals else 0.0
    # A cool-down begins when the answer arrives, a moment after the request did.
    too_early = sum(settled < at < refusals[0] + RETRY_AFTER_SECONDS - 0.05 for at in refusals)
    return [
        failures("failed requests", evidence.samples, 100),
        at_least("provisioned share while calm", share_of(calm, PTU), 0.99, len(calm), 20, "%"),
        at_least("refusals of the provisioned backend", len(refusals), 1, len(throttled), 40),
        at_most("requests to it within its Retry-After", too_early, 0, len(throttled), 40),
        at_most(
            "refusals for each request while throttled",
            len(refusals) / max(len(throttled), 1),
            0.2,
            len(throttled),
            40,
            "%",
        ),
        at_least("provisioned share when it has recovered", share_of(late, PTU), 0.99, len(late), 20, "%"),
    ]


SCENARIOS = (
    Scenario(
        ROUTE,
        "Provisioned capacity serves first. A spike spills over, nothing fails, and it returns.",
        (
            Phase("calm", 5, _users(ROUTE, 3, 0.6)),
            Phase("spike", 11, _users(ROUTE, 12, 0.3)),
            Phase("settling", 5.5, _users(ROUTE, 3, 0.6)),
            Phase("recovered", 5, _users(ROUTE, 3, 0.6)),
        ),
        _judge,
        prepare=_narrow,
    ),
    Scenario(
        ROUTE_V2,
        "A provisioned backend that refuses is left alone for its Retry-After, and serves again after it.",
        (
            Phase("calm", 4, _users(ROUTE_V2, 4, 0.3, CHAT_100M)),
            Phase("throttled", 6, _users(ROUTE_V2, 4, 0.2, CHAT_100M), before=_throttle),
            Phase(
                "settling",
                RETRY_AFTER_SECONDS + 0.5,
                _users(ROUTE_V2, 4, 0.3, CHAT_100M),
                before=lambda stage: stage.simulators.clear(PTU),
            ),
            Phase("recovered", 4, _users(ROUTE_V2, 4, 0.3, CHAT_100M)),
        ),
        _judge_v2,
    ),
)
