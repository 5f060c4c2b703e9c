"""`round-robin-…`: equal backends share the requests by their weights."""

from __future__ import annotations

from e2e.criteria import Criterion, none, share
from e2e.load.plan import Users
from e2e.scenarios.scenario import Evidence, Phase, Scenario
from e2e.scenarios.shared import failures, pool_of
from e2e.targets.simulators import CHAT_100M
from renderer.test_routes import Member

TOLERANCE = 0.1
"""Weights of 1:1 and 2:1 differ by 0.17 in their shares, so this tells them apart."""


def _judge(evidence: Evidence, members: tuple[Member, ...]) -> list[Criterion]:
    total = sum(member.weight for member in members)
    answered = [sample.backend for sample in evidence.samples if sample.status]
    criteria = [
        share(
            f"share of {member.name}",
            answered.count(member.name),
            len(answered),
            member.weight / total,
            TOLERANCE,
        )
        for member in members
    ]
    names = {member.name for member in members}
    strangers = [name for name in answered if name not in names]
    return [
        *criteria,
        none(
            "answers of other backends", len(strangers), len(answered), criteria[0].least, str(strangers[:1])
        ),
        failures("failed requests", evidence.samples, criteria[0].least),
    ]


def _scenario(name: str) -> Scenario:
    members = pool_of(name).members
    weights = ":".join(str(member.weight) for member in members)
    users = Users("steady", 6, "completion", name, 0.1, options={"deployment": CHAT_100M, "max_tokens": 10})
    return Scenario(
        name,
        f"Two pay-as-you-go backends share the requests {weights}.",
        (Phase("steady", 12, (users,)),),
        lambda evidence: _judge(evidence, members),
        needs=frozenset(),
        quick=0.6 if name == "round-robin-weighted" else None,
    )


SCENARIOS = tuple(
    _scenario(name)
    for name in (
        "round-robin-simple",
        "round-robin-simple-v2",
        "round-robin-weighted",
        "round-robin-weighted-v2",
    )
)
