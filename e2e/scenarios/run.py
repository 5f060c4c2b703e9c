"""Plays a scenario on a stage and judges it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from e2e.criteria import Criterion, printable
from e2e.load.plan import Load
from e2e.load.samples import Sample
from e2e.load.session import LoadSession
from e2e.scenarios.scenario import Event, Evidence, Phase, Scenario
from e2e.simulator.problems import ProblemsError
from e2e.targets.simulators import Simulators
from e2e.targets.stage import METRICS, SIMULATORS, Breakage, Stage, Target, TargetError
from renderer import ConfigurationError
from scripts.engines import EngineError

SEED = 1
METRICS_SECONDS = 20.0
"""APISIX renews its page of metrics every 15 s."""

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


def run_scenario(
    scenario: Scenario,
    target: Target,
    load: LoadSession,
    *,
    factor: float = 1.0,
    watch: Watch = lambda _phase, _sample: None,
    breakage: Breakage | None = None,
) -> Result:
    """Runs and judges one scenario. What goes wrong becomes its result, so that the others still run."""
    began = time.monotonic()
    unfit = target.unfit(scenario)
    if unfit:
        return Result(scenario, 0.0, skipped=unfit)
    spoil = breakage.simulators if breakage else None
    try:
        with target.stage(scenario, breakage) as stage:
            evidence = play(
                scenario, stage, load, abilities=target.abilities, factor=factor, watch=watch, spoil=spoil
            )
    except httpx.HTTPError as error:
        return _not_judged(scenario, began, [f"{type(error).__name__}: {error}"])
    except (EngineError, ConfigurationError, TargetError, ProblemsError) as error:
        return _not_judged(scenario, began, error.problems)
    return Result(scenario, time.monotonic() - began, scenario.judge(evidence), evidence)


def _not_judged(scenario: Scenario, began: float, problems: Sequence[object]) -> Result:
    text = printable("; ".join(str(problem) for problem in problems))
    return Result(scenario, time.monotonic() - began, error=text)


def play(
    scenario: Scenario,
    stage: Stage,
    load: LoadSession,
    *,
    abilities: frozenset[str],
    factor: float = 1.0,
    watch: Watch = lambda _phase, _sample: None,
    spoil: Callable[[Simulators], None] | None = None,
) -> Evidence:
    """Runs all phases, each `factor` as long as the scenario says. `spoil` is done after its preparation."""
    evidence = Evidence(stage.settings)
    if scenario.prepare is not None:
        scenario.prepare(stage)
    if spoil is not None:
        spoil(stage.simulators)
    before = stage.tokens_by_client() if scenario.counts_tokens and METRICS in abilities else None
    for phase in scenario.phases:
        watch(phase.name, None)
        _play_phase(phase, stage, load, evidence, factor, watch)
    if before is not None:
        evidence.counted = _counted(stage, before, sum(sample.tokens for sample in evidence.samples))
    if SIMULATORS in abilities:
        evidence.asked = stage.simulators.asked()
    return evidence


def _counted(stage: Stage, before: Mapping[str, float], expected: int) -> dict[str, float]:
    """The tokens that the gateway has counted since; waits while there are fewer than expected."""
    deadline = time.monotonic() + METRICS_SECONDS
    while True:
        after = stage.tokens_by_client()
        counted = {name: count - before.get(name, 0.0) for name, count in after.items()}
        if sum(counted.values()) >= expected or time.monotonic() >= deadline:
            return counted


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
