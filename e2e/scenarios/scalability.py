"""`scalability` and `scalability-burst`: several replicas act as one."""

from __future__ import annotations

from e2e.criteria import Criterion, at_least, at_most, none, percentile
from e2e.load.plan import CLIENTS, Users
from e2e.load.samples import labelled
from e2e.scenarios.affinity import judge_conversations
from e2e.scenarios.scenario import Evidence, Phase, Scenario
from e2e.scenarios.shared import failures
from e2e.targets.simulators import CHAT_100M, PAYG_1
from e2e.targets.stage import REPLICAS, SIMULATORS, Stage
from renderer.model.clients import Client
from renderer.names import variable

STEADY, BURST = "scalability", "scalability-burst"
LIMITED = CLIENTS[1]
REQUESTS_PER_MINUTE = 60
RETRY_AFTER_SECONDS = 20
BURST_USERS = 40
BURST_MS = 2000
"""How long the 95th percentile may be in the burst. Generous: load and gateway share the machine."""

_OPTIONS = {"deployment": CHAT_100M}


def _chat(route: str, label: str, count: int, pace_s: float, client: str, **options: object) -> Users:
    return Users(label, count, "chat", route, pace_s, clients=(client,), options={**_OPTIONS, **options})


def _conversations(route: str) -> Users:
    options = {**_OPTIONS, "turns": 4, "any_replica": True, "stranger": CLIENTS[2]}
    return Users("conversation", 4, "conversation", route, 0.4, options=options)


def _throttle(stage: Stage) -> None:
    stage.simulators.fault(PAYG_1, status=429, retry_after=RETRY_AFTER_SECONDS)


def _judge(evidence: Evidence) -> list[Criterion]:
    limited = labelled(evidence.samples, "limited")
    granted = sum(sample.status == 200 for sample in limited)
    refused = [sample for sample in limited if sample.status != 200]
    wrong = [sample for sample in refused if sample.status != 429 or "retry-after" not in sample.headers]
    own = [s for s in labelled(evidence.samples, "conversation") if s.step != "foreign read"]
    first = [asked for asked in evidence.asked_in("first replica learns") if asked.backend == PAYG_1]
    second = [asked for asked in evidence.asked_in("second replica knows") if asked.backend == PAYG_1]
    knowing = evidence.of("second replica knows")
    return [
        failures("failed steps of conversations", own, 60),
        *judge_conversations(evidence, 50),
        at_most(
            "requests that the limited client was granted by all replicas",
            granted,
            REQUESTS_PER_MINUTE,
            len(limited),
            2 * REQUESTS_PER_MINUTE,
        ),
        at_least(
            "and of those it may have", granted, REQUESTS_PER_MINUTE, len(limited), 2 * REQUESTS_PER_MINUTE
        ),
        none("its refusals that are no 429 with a hint", len(wrong), len(refused), 10),
        at_least("refusals that the first replica saw", len(first), 1, len(evidence.samples), 100),
        none("calls of that backend by the second replica", len(second), len(knowing), 20),
    ]


def _judge_burst(evidence: Evidence) -> list[Criterion]:
    calm, burst = evidence.of("calm"), evidence.of("burst")
    begin, end = evidence.spans["calm"]
    before = len(calm) / (end - begin)
    begin, end = evidence.spans["burst"]
    during = len(burst) / (end - begin)
    return [
        failures("failed requests", evidence.samples, 200),
        at_least("growth of the load", during / max(before, 0.1), 5, len(burst), 100),
        at_most(
            "95th percentile in the burst",
            percentile([sample.total_ms for sample in burst], 95),
            BURST_MS,
            len(burst),
            100,
            "ms",
        ),
        failures("failed requests after it", evidence.of("calm again"), 10),
    ]


SCENARIOS = (
    Scenario(
        STEADY,
        "Replicas share the limits of clients, cool-downs, and who owns a conversation.",
        (
            Phase(
                "shared",
                10,
                (_chat(STEADY, "limited", 6, 0.25, LIMITED), _conversations(STEADY)),
            ),
            Phase(
                "first replica learns",
                2,
                (_chat(STEADY, "plain", 3, 0.2, CLIENTS[0], replica=0),),
                before=_throttle,
            ),
            Phase("second replica knows", 3, (_chat(STEADY, "plain", 3, 0.2, CLIENTS[0], replica=1),)),
        ),
        _judge,
        settings={variable(Client, "requests_per_minute", 1): str(REQUESTS_PER_MINUTE)},
        needs=frozenset({SIMULATORS, REPLICAS}),
        replicas=2,
    ),
    Scenario(
        BURST,
        "A load that grows tenfold at once is served, and nothing fails.",
        (
            Phase("calm", 4, (_chat(BURST, "plain", 2, 0.3, CLIENTS[0]),)),
            Phase("burst", 8, (_chat(BURST, "plain", BURST_USERS, 0.4, CLIENTS[0]),)),
            Phase("calm again", 4, (_chat(BURST, "plain", 2, 0.3, CLIENTS[0]),)),
        ),
        _judge_burst,
        needs=frozenset({SIMULATORS, REPLICAS}),
        replicas=3,
    ),
)
