"""What a scenario is, and what its criteria are judged on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from e2e.criteria import Criterion
from e2e.load.plan import Users
from e2e.load.samples import Sample, in_phases
from e2e.targets.simulators import Asked
from e2e.targets.stage import SIMULATORS, Stage
from renderer import Settings

Action = Callable[[Stage], None]


@dataclass(frozen=True)
class Event:
    """Something that is done while a phase runs; `share` is when, as a part of the phase's length."""

    share: float
    title: str
    action: Action


@dataclass(frozen=True)
class Phase:
    """A part of a scenario. `before` runs while nothing is sent."""

    name: str
    seconds: float
    users: tuple[Users, ...]
    before: Action | None = None
    during: tuple[Event, ...] = ()


@dataclass
class Evidence:
    """Everything that was seen of one run."""

    settings: Settings
    samples: list[Sample] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    """What reached the simulated backends."""
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    """When each phase began and ended, in seconds since the epoch."""
    marks: list[tuple[float, str]] = field(default_factory=list)
    """When something was done during a phase, and what."""
    counted: dict[str, float] | None = None
    """The gateway's count of tokens by client; `None` where it cannot be read."""
    notes: dict[str, Any] = field(default_factory=dict)

    def of(self, *phases: str) -> list[Sample]:
        """The samples of these phases, or of all."""
        return in_phases(self.samples, *phases) if phases else list(self.samples)

    def asked_in(self, *phases: str) -> list[Asked]:
        """What reached the backends during these phases."""
        spans = [self.spans[phase] for phase in phases]
        return [asked for asked in self.asked if any(begin <= asked.at <= end for begin, end in spans)]

    def mark(self, title: str) -> float:
        """When the event with this title happened, in seconds since the epoch."""
        return next(at for at, found in self.marks if found == title)


@dataclass(frozen=True)
class Scenario:
    """One scenario: what it promises, what it does, and how that is judged."""

    name: str
    promise: str
    phases: tuple[Phase, ...]
    judge: Callable[[Evidence], list[Criterion]]
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings beside those of the stage."""
    prepare: Action | None = None
    """Sets the simulated backends up, before the first phase."""
    needs: frozenset[str] = frozenset({SIMULATORS})
    """Abilities that the target has to have."""
    replicas: int = 1
    """How many replicas the gateway has locally."""
    counts_tokens: bool = False
    """Whether its criteria need the gateway's count of tokens."""
    quick: float | None = None
    """By what its phases are shortened with `--quick`; `None`: it is not part of that selection."""

    @property
    def routes(self) -> frozenset[str]:
        """The test routes that its users call."""
        return frozenset(users.route for phase in self.phases for users in phase.users)
