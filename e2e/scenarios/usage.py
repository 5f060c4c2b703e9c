"""`usage-tracking`: the gateway's count of tokens by client is what the clients counted."""

from __future__ import annotations

from e2e.criteria import Criterion, at_least, equal, not_measured
from e2e.load.plan import CLIENTS, Users
from e2e.scenarios.scenario import Evidence, Phase, Scenario
from e2e.scenarios.shared import failures
from e2e.simulator import Latency
from e2e.targets.simulators import CHAT_100M, PAYG_1
from e2e.targets.stage import Stage

ROUTE = "usage-tracking"
LEAST = 50
"""Requests of each client."""


def _prepare(stage: Stage) -> None:
    # Longer than every `max_tokens`, so each answer has as many tokens as its request allows.
    stage.simulators.latency(PAYG_1, Latency(), answer_tokens=40)


def _judge(evidence: Evidence) -> list[Criterion]:
    criteria = [failures("failed requests", evidence.samples, 3 * LEAST)]
    for client in CLIENTS:
        own = [sample for sample in evidence.samples if sample.client == client]
        counted = sum(sample.tokens for sample in own)
        name = f"tokens of {client}"
        if evidence.counted is None:
            criteria.append(not_measured(name, f"{counted}", "this target's metrics cannot be read"))
        else:
            criteria.append(equal(name, evidence.counted.get(client, 0.0), counted, len(own), LEAST))
    lengths = {sample.completion_tokens for sample in evidence.samples}
    return [*criteria, at_least("different lengths of answers", len(lengths), 10, len(evidence.samples), 150)]


SCENARIOS = (
    Scenario(
        ROUTE,
        "The tokens that the gateway counts for each client are those that the client's answers say.",
        (
            Phase(
                "steady",
                10,
                (
                    Users(
                        "steady",
                        6,
                        "completion",
                        ROUTE,
                        0.12,
                        clients=CLIENTS,
                        options={"deployment": CHAT_100M, "max_tokens": [5, 20]},
                    ),
                ),
            ),
        ),
        _judge,
        prepare=_prepare,
        counts_tokens=True,
        quick=0.7,
    ),
)
