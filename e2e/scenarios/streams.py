"""`stream-faults`: streams that fail before their first output are saved, later ones end with an error."""

from __future__ import annotations

from collections import Counter

from e2e.criteria import Criterion, at_least, equal, none
from e2e.load.plan import CLIENTS, Users
from e2e.load.samples import BROKEN, ERROR_EVENT, SILENT_END
from e2e.scenarios.scenario import Action, Evidence, Phase, Scenario
from e2e.scenarios.shared import failures
from e2e.simulator import Latency
from e2e.targets.simulators import BACKENDS, CHAT_100M, PAYG_1
from e2e.targets.stage import Stage

ROUTE = "stream-faults"
# In the simulator's chat streams, two events come before the first output.
EARLY: dict[str, dict[str, object]] = {
    "error first": {"stream_error": "auto", "code": "server_error", "after": 0},
    "cut first": {"cut": 1},
}
LATE: dict[str, dict[str, object]] = {
    "error later": {"stream_error": "auto", "code": "server_error", "after": 4},
    "cut later": {"cut": 6},
    "reset later": {"cut": 6, "cut_inside": True, "cut_rst": True},
}
HARMLESS: dict[str, dict[str, object]] = {
    "in pieces": {"split": 5, "crlf": True},
    "with a silence": {"stall": 0.4, "after": 3},
}


def _users() -> tuple[Users, ...]:
    options = {"deployment": CHAT_100M, "stream": True}
    return (Users("stream", 8, "chat", ROUTE, 0.2, clients=CLIENTS, options=options),)


def _fault(fault: dict[str, object]) -> Action:
    def act(stage: Stage) -> None:
        stage.simulators.clear()
        stage.simulators.fault(PAYG_1, **fault)

    return act


def _prepare(stage: Stage) -> None:
    for name in BACKENDS:
        stage.simulators.latency(name, Latency(first_byte_ms=5, per_token_ms=4))


def _judge(evidence: Evidence) -> list[Criterion]:
    samples = evidence.samples
    saved, broken = evidence.of(*EARLY), evidence.of(*LATE)
    told = sum(sample.end == ERROR_EVENT for sample in broken)
    spoiled = sum(asked.fault is not None for asked in evidence.asked_in(*LATE))
    ends = Counter(sample.end for sample in samples)
    names = Counter(sample.answer for sample in samples if sample.answer)
    doubled = sum(count - 1 for count in names.values()) + sum(sample.answers > 1 for sample in samples)
    return [
        failures("failed streams whose fault came before output", saved, 50),
        at_least(
            "of those, streams that were saved by failover",
            sum(s.failovers > 0 for s in saved),
            10,
            len(saved),
            50,
        ),
        equal("streams that were told of a later fault", told, spoiled, len(broken), 50),
        at_least("faults after output", spoiled, 10, len(broken), 50),
        failures("failed streams in pieces or with a silence", evidence.of(*HARMLESS), 40),
        none("streams that ended silently", ends[SILENT_END], len(samples), 200),
        none("streams that broke without an error event", ends[BROKEN], len(samples), 200),
        none("answers that were mixed or came twice", doubled, len(samples), 200),
    ]


SCENARIOS = (
    Scenario(
        ROUTE,
        "A stream that fails before its output is repeated elsewhere; later, it ends with one error event.",
        tuple(
            Phase(name, 3.5, _users(), before=_fault(fault))
            for name, fault in (EARLY | LATE | HARMLESS).items()
        ),
        _judge,
        # Without it, the breaker closes the faulty backend after the first three faults.
        settings={"BREAKER_FAILURES": "1000"},
        prepare=_prepare,
        quick=0.7,
    ),
)
