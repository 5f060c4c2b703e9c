"""`noisy-neighbour`: one client's bad requests cost the others nothing."""

from __future__ import annotations

from e2e.criteria import Criterion, at_least, at_most, none, percentile
from e2e.load.behaviour_words import POISON
from e2e.load.plan import CLIENTS, Users
from e2e.load.samples import labelled
from e2e.scenarios.scenario import Evidence, Phase, Scenario
from e2e.scenarios.shared import failures
from e2e.targets.simulators import BACKENDS, CHAT_100M
from e2e.targets.stage import Stage

ROUTE = "noisy-neighbour"
DELAY_MS = 250
"""How much the 95th percentile of good requests may grow."""

_GOOD = Users(
    "good", 6, "chat", ROUTE, 0.15, clients=(CLIENTS[0], CLIENTS[2]), options={"deployment": CHAT_100M}
)
_BAD = Users("bad", 4, "nuisance", ROUTE, 0.1, clients=(CLIENTS[1],), options={"deployment": CHAT_100M})


def _prepare(stage: Stage) -> None:
    for name in BACKENDS:
        stage.simulators.fault(name, status=500, contains=POISON)


def _judge(evidence: Evidence) -> list[Criterion]:
    good, bad = labelled(evidence.samples, "good"), labelled(evidence.samples, "bad")
    quiet = percentile([sample.total_ms for sample in evidence.of("quiet")], 95)
    noisy = [sample for sample in evidence.of("noisy") if sample.label == "good"]
    served = sum(sample.status == 200 for sample in bad)
    poison = sum(sample.step == "poison" for sample in bad)
    return [
        failures("failed requests of the good clients", good, 200),
        none("bad requests that were served", served, len(bad), 100),
        at_least("requests that make every backend fail", poison, 10, len(bad), 100),
        at_most(
            "95th percentile of good requests beside the noise",
            percentile([sample.total_ms for sample in noisy], 95),
            quiet + DELAY_MS,
            len(noisy),
            100,
            "ms",
        ),
    ]


SCENARIOS = (
    Scenario(
        ROUTE,
        "A client whose requests are malformed, unknown or make backends fail takes nothing from the others.",
        (Phase("quiet", 4, (_GOOD,)), Phase("noisy", 10, (_GOOD, _BAD))),
        _judge,
        prepare=_prepare,
        quick=0.7,
    ),
)
