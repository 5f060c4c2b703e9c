"""What a scenario sees of the target that it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from e2e.targets.simulators import Simulators
from renderer import Settings

RELOAD = "change settings while it runs"
REPLICAS = "several replicas of the gateway that share Redis"
METRICS = "read the gateway's metrics"
SIMULATORS = "steer the simulated backends"
CONFIG_API = "the config API"
ABILITIES = (RELOAD, REPLICAS, METRICS, SIMULATORS, CONFIG_API)


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
