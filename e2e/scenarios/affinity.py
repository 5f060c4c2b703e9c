"""`responses-affinity`: stored responses stay with the backend and the client that made them."""

from __future__ import annotations

from e2e.criteria import Criterion, at_least, none
from e2e.load.plan import CLIENTS, Users
from e2e.scenarios.scenario import Evidence, Phase, Scenario
from e2e.scenarios.shared import failures
from e2e.targets.simulators import BACKENDS, CHAT_100M

ROUTE = "responses-affinity"


def judge_conversations(evidence: Evidence, least: int) -> list[Criterion]:
    """Conversations continue where they began, without a search, and are closed to other clients."""
    steps = [sample for sample in evidence.samples if sample.step in ("continue", "read")]
    foreign = [sample for sample in evidence.samples if sample.step == "foreign read"]
    moved = sum(sample.backend != sample.place for sample in steps)
    searched = sum(sample.failovers > 0 for sample in steps)
    seen = sum(sample.status != 404 for sample in foreign)
    return [
        none("steps at another backend than the first one", moved, len(steps), least),
        none("steps that had to search their backend", searched, len(steps), least),
        none("foreign reads that were not 404", seen, len(foreign), least // 5),
    ]


def _judge(evidence: Evidence) -> list[Criterion]:
    own = [sample for sample in evidence.samples if sample.step != "foreign read"]
    begun = {sample.backend for sample in own if sample.step == "create"}
    return [
        failures("failed steps", own, 150),
        at_least("backends on which conversations began", len(begun), len(BACKENDS), len(own), 150),
        *judge_conversations(evidence, 100),
    ]


SCENARIOS = (
    Scenario(
        ROUTE,
        "A conversation stays with its backend and its client.",
        (
            Phase(
                "conversations",
                10,
                (
                    Users(
                        "conversation",
                        6,
                        "conversation",
                        ROUTE,
                        0.3,
                        options={"deployment": CHAT_100M, "turns": 4, "stranger": CLIENTS[1]},
                    ),
                ),
            ),
        ),
        _judge,
        needs=frozenset(),
        quick=0.7,
    ),
)
