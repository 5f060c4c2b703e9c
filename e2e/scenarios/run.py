"""Plays a scenario on a stage and judges it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from e2e.criteria import Criterion
from e2e.load.plan import Load
from e2e.load.samples import Sample
from e2e.load.session import LoadSession
from e2e.scenarios.scenario import Event, Evidence, Phase, Scenario
from e2e.targets.stage import METRICS, SIMULATORS, Stage

SEED = 1

Watch = Callable[[str, Sample | None], None]
"""Told of each phase as it begins, and of each sample."""


@dataclass(frozen=True)
class Result:
    """One scenario that was run, or why it was not."""

    scenario: Scenario
    seconds: float
    criteria: Sequence[Criterion] = ()
    evidence: Evidence | None = None
    skipped: str = ""
    error: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether every criterion holds. A skipped scenario has not failed."""
        return not self.error and all(criterion.passed for criterion in self.criteria)


def play(
    scenario: Scenario,
    stage: Stage,
    load: LoadSession,
    *,
    abilities: frozenset[str],
    factor: float = 1.0,
    watch: Watch = lambda _phase, _sample: None,
    spoil: Callable[[], None] = lambda: None,
) -> Evidence:
    """Runs all phases, each `factor` as long as the scenario says. `spoil` is done after its preparation."""
    evidence = Evidence(stage.settings)
    if scenario.prepare is not None:
        scenario.prepare(stage)
    spoil()
    before = stage.tokens_by_client() if METRICS in abilities else None
    for phase in scenario.phases:
        watch(phase.name, None)
        _play_phase(phase, stage, load, evidence, factor, watch)
    if before is not None:
        after = stage.tokens_by_client()
        evidence.counted = {name: count - before.get(name, 0.0) for name, count in after.items()}
    if SIMULATORS in abilities:
        evidence.asked = stage.simulators.asked()
    return evidence


def _play_phase(
    phase: Phase, stage: Stage, load: LoadSession, evidence: Evidence, factor: float, watch: Watch
) -> None:
    if phase.before is not None:
        phase.before(stage)
    seconds = phase.seconds * factor

    def act(event: Event) -> None:
        event.action(stage)
        evidence.marks.append((time.time(), event.title))

    def change(event: Event) -> Callable[[], None]:
        return lambda: act(event)

    wanted = Load(phase.name, seconds, phase.users).as_json(stage.urls, stage.keys, SEED)
    began = time.time()
    samples = load.play(
        wanted,
        [(event.share * seconds, change(event)) for event in phase.during],
        lambda sample: watch(phase.name, sample),
    )
    evidence.spans[phase.name] = (began, time.time())
    evidence.samples += samples
