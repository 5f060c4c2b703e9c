"""What a scenario sees of the target that it runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from e2e.targets.simulators import Simulators
from renderer import Settings

RELOAD = "change settings while it runs"
REPLICAS = "run several replicas of the gateway"
METRICS = "read the metrics of the gateway"
SIMULATORS = "steer the simulated backends"
CONFIG_API = "change preference by the config API"
ABILITIES = (RELOAD, REPLICAS, METRICS, SIMULATORS, CONFIG_API)


Files = dict[str, str]
"""Rendered files: texts by name."""


class TargetError(Exception):
    """The target cannot be used; `problems` has one line for each reason."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class Stage(Protocol):
    """A running gateway with its simulated backends."""

    urls: list[str]
    """The addresses of the gateway: one for each replica that can be reached by itself."""
    keys: dict[str, str]
    """The keys of the clients, by name. A scenario may change them."""

    @property
    def settings(self) -> Settings:
        """The gateway's settings, from which criteria are derived."""

    @property
    def simulators(self) -> Simulators:
        """The simulated backends."""

    def change_settings(self, changes: Mapping[str, str]) -> None:
        """Lets the running gateway serve with other settings. Only with the ability `RELOAD`."""

    def tokens_by_client(self) -> dict[str, float]:
        """How many tokens the gateway has counted for each client. Only with the ability `METRICS`."""


@dataclass(frozen=True)
class Breakage:
    """What is wrong on purpose, to see that a criterion notices. See `e2e.break_scenarios`."""

    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings that the gateway gets, and the criteria do not know of."""
    files: Callable[[Files], Files] | None = None
    """Changes the rendered files."""
    bundle: tuple[tuple[str, str, str], ...] = ()
    """Changes of the Lua bundle: file below apisix/plugins, text in it, the text to put there."""
    simulators: Callable[[Simulators], None] | None = None
    """What is done to the simulated backends after the scenario has set them up."""


class Needs(Protocol):
    """What a scenario asks of a target."""

    @property
    def needs(self) -> frozenset[str]:
        """Abilities, of `ABILITIES`."""

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of the gateway beside those of the stage."""

    @property
    def routes(self) -> frozenset[str]:
        """Test routes that it uses."""

    @property
    def replicas(self) -> int:
        """How many replicas the gateway has locally."""


def missing_abilities(scenario: Needs, abilities: frozenset[str]) -> str:
    """Says which abilities are missing; empty when none is."""
    missing = sorted(scenario.needs - abilities)
    return f"this target cannot {' and cannot '.join(missing)}" if missing else ""


class Target(Protocol):
    """A place where scenarios run."""

    @property
    def description(self) -> str:
        """The target for people."""

    @property
    def abilities(self) -> frozenset[str]:
        """What scenarios may ask of it, of `ABILITIES`."""

    def unfit(self, scenario: Needs) -> str:
        """Why a scenario cannot run here; empty when it can."""

    def stage(self, scenario: Needs, breakage: Breakage | None = None) -> AbstractContextManager[Stage]:
        """A gateway for one scenario, until the end of the block."""

    def close(self) -> None:
        """Ends what runs through all scenarios."""
