"""`region-outage`: a backend refuses connections, says nothing, or resets them."""

from __future__ import annotations

from e2e.criteria import Criterion, at_least, at_most, percentile
from e2e.load.plan import CLIENTS, Users
from e2e.scenarios.scenario import Action, Evidence, Phase, Scenario
from e2e.scenarios.shared import failures, share_of
from e2e.targets.simulators import CHAT_100M, PAYG_1, PAYG_2, PTU
from e2e.targets.stage import Stage

ROUTE = "region-outage"
USERS = 6
READ_TIMEOUT_MS, CONNECT_TIMEOUT_MS, BREAKER_OPEN_SECONDS = 1500, 1000, 2
LOST_MS = 500
"""How much later than usual a request may be answered that met a backend which fails at once."""


def _users() -> tuple[Users, ...]:
    options = {"deployment": CHAT_100M}
    return (Users("chat", USERS, "chat", ROUTE, 0.12, clients=CLIENTS, options=options),)


def _fail(name: str, **fault: object) -> Action:
    def act(stage: Stage) -> None:
        stage.simulators.clear()
        stage.simulators.fault(name, **fault)

    return act


def _judge(evidence: Evidence) -> list[Criterion]:
    calm = percentile([sample.total_ms for sample in evidence.of("calm")], 99)
    criteria = [failures("failed requests", evidence.samples, 200)]
    for phase in ("refuses", "resets"):
        times = [sample.total_ms for sample in evidence.of(phase)]
        criteria.append(
            at_most(
                f"99th percentile while a backend {phase}",
                percentile(times, 99),
                calm + LOST_MS,
                len(times),
                50,
                "ms",
            )
        )
    silent = evidence.of("is silent")
    slow = [sample for sample in silent if sample.total_ms >= READ_TIMEOUT_MS * 0.9]
    begin, end = evidence.spans["is silent"]
    gateway = evidence.settings.failover
    # Those that are under way until the breaker opens, and a trial each time when it half-opens.
    bound = USERS + gateway.breaker_failures + (end - begin) / BREAKER_OPEN_SECONDS
    longest = max((sample.total_ms for sample in silent), default=0.0)
    late = evidence.of("recovered")
    return [
        *criteria,
        at_least("requests that met the silent backend", len(slow), 1, len(silent), 40),
        at_most("requests that lost the read timeout", len(slow), round(bound), len(silent), 40),
        at_most(
            "longest request while a backend is silent",
            longest,
            READ_TIMEOUT_MS + CONNECT_TIMEOUT_MS,
            len(silent),
            40,
            "ms",
        ),
        *(
            at_least(
                f"share of {name} when all is well again", share_of(late, name), 0.15, len(late), 60, "%"
            )
            for name in (PTU, PAYG_1, PAYG_2)
        ),
    ]


SCENARIOS = (
    Scenario(
        ROUTE,
        "A region that is out costs no request, and each request little time.",
        (
            Phase("calm", 3, _users()),
            Phase("refuses", 5, _users(), before=_fail(PTU, refuse=True)),
            Phase("is silent", 7, _users(), before=_fail(PAYG_1, hang=True)),
            Phase("resets", 5, _users(), before=_fail(PAYG_2, reset=True)),
            Phase("settling", 6, _users(), before=lambda stage: stage.simulators.clear()),
            Phase("recovered", 4, _users()),
        ),
        _judge,
        settings={
            "AI_PROXY_READ_TIMEOUT_MS": str(READ_TIMEOUT_MS),
            "AI_PROXY_CONNECT_TIMEOUT_MS": str(CONNECT_TIMEOUT_MS),
            "BREAKER_OPEN_SECONDS": str(BREAKER_OPEN_SECONDS),
            "BREAKER_MAX_OPEN_SECONDS": str(2 * BREAKER_OPEN_SECONDS),
        },
    ),
)
