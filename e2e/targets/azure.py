"""The stage that `deploy-workload ENV --deploy-e2e` made.

Scenarios that script faults need to reach the simulated backends. Where these cannot be reached, because the
ingress is internal or allows other addresses only, such scenarios are skipped, and say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from e2e.load.plan import CLIENTS
from e2e.simulator.admin import HEALTH_PATH
from e2e.targets.simulators import Simulators
from e2e.targets.stage import (
    CONFIG_API,
    REPLICAS,
    SIMULATORS,
    Breakage,
    Needs,
    TargetError,
    missing_abilities,
)
from renderer import Settings
from renderer.test_routes import pools_of
from scripts.deploy.azure_cli import AzureCli
from scripts.deploy.cli import subscription_of
from scripts.deploy.console import Screen
from scripts.deploy.deploy_errors import DeployError
from scripts.deploy.deployed_stage import DeployedStage, find_stage
from scripts.deploy.layout import Layout
from scripts.deploy.session import Session
from scripts.deploy.waiting import Waiter
from scripts.terraform import TerraformError, TerraformMissingError

_REACH_SECONDS = 3.0


def read_stage(environment: str) -> DeployedStage:
    """The deployed stage of an environment. Raises `TargetError` when there is none."""
    layout, screen = Layout.find(environment), Screen()
    try:
        return find_stage(
            Session(layout, screen, AzureCli(subscription_id=subscription_of(layout)), Waiter(screen))
        )
    except DeployError as error:
        raise TargetError(*filter(None, [error.message, *error.details, error.remedy])) from None
    except (TerraformError, TerraformMissingError) as error:
        raise TargetError(str(error)) from None


class AzureStage:
    """The deployed gateway. Only what `AzureTarget.abilities` names can be done with it."""

    def __init__(self, found: DeployedStage, simulators: Simulators) -> None:
        self.urls = [found.url.rstrip("/")]
        self.keys = {name: found.keys[name] for name in CLIENTS}
        self.settings: Settings = found.settings
        self.simulators = simulators

    def change_settings(self, changes: Mapping[str, str]) -> None:
        """Not here: a change of settings is a new revision."""
        raise TargetError(f"settings of a deployed gateway are not changed: {', '.join(changes)}")

    def tokens_by_client(self) -> dict[str, float]:
        """Not here: its metrics go to Azure Monitor."""
        raise TargetError("the metrics of a deployed gateway are not read")


class AzureTarget:
    """A deployed environment."""

    def __init__(self, environment: str, found: DeployedStage | None = None) -> None:
        self._found = found or read_stage(environment)
        missing = [name for name in CLIENTS if not self._found.keys.get(name)]
        if missing:
            raise TargetError(
                f"these clients are missing in the environment {environment}: {', '.join(missing)}",
                f"run deploy-workload {environment} --deploy-e2e again: it makes them",
            )
        urls = self._found.simulators
        keys = dict.fromkeys(urls, self._found.simulator_key)
        self._simulators = Simulators(urls, keys, admin_key=self._found.admin_key)
        self._reached = bool(urls) and all(map(_is_reached, urls.values()))
        self.description = f"azure, environment {environment}, {self._found.url}"

    @property
    def abilities(self) -> frozenset[str]:
        """The platform runs the replicas, up to the maximum of the deployment."""
        found = {CONFIG_API}
        if self._found.max_replicas > 1:
            found.add(REPLICAS)
        return frozenset(found | {SIMULATORS} if self._reached else found)

    def unfit(self, scenario: Needs) -> str:
        """Missing abilities, routes that are not rendered there, and settings that differ."""
        rendered = {pool.name for pool in pools_of(self._found.settings)}
        absent = sorted(scenario.routes - rendered)
        if absent:
            return f"these routes are not there, because their backends are not: {', '.join(absent)}"
        given = self._found.variables
        others = [f"{name}={value}" for name, value in scenario.settings.items() if given.get(name) != value]
        if others:
            return f"the gateway there needs other settings: {', '.join(others)}"
        return missing_abilities(scenario, self.abilities)

    @contextmanager
    def stage(self, scenario: Needs, breakage: Breakage | None = None) -> Iterator[AzureStage]:
        """The deployed gateway, as it is."""
        del scenario
        if breakage is not None:
            raise TargetError("a deployed gateway is not broken on purpose")
        yield AzureStage(self._found, self._simulators)

    def close(self) -> None:
        """Nothing runs here."""


def _is_reached(url: str) -> bool:
    try:
        return httpx.get(url + HEALTH_PATH, timeout=_REACH_SECONDS).is_success
    except httpx.HTTPError:
        return False
