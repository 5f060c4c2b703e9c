"""The settings that the gateway gets from other stacks, in addition to the user's: backends and telemetry."""

from __future__ import annotations

import re
import secrets as randomness
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from renderer.model.backends import Backend
from renderer.model.gateway import Gateway
from renderer.names import variable, variables
from scripts.deploy.deploy_errors import InvalidSettingsError, NotReadyError
from scripts.deploy.foundry_backend import FoundryBackend
from scripts.deploy.vault_seeder import Seeded, Seeder
from scripts.deploy.workload_settings import INSIGHTS, WorkloadSettings
from scripts.terraform import Output

DEFAULT_E2E_REGIONS = ("eastus", "westus")
E2E_REGION = "[a-z][a-z0-9]{0,8}"


@dataclass(frozen=True, slots=True)
class DerivedSettings:
    """Settings by variable, and the secrets that the command adds to the user's."""

    settings: Mapping[str, str] = field(default_factory=dict)
    insights: str = ""  # connection string for traces; empty without an observability stack
    simulators: tuple[str, ...] = ()  # simulated regions

    @property
    def secret_names(self) -> list[str]:
        """Variables of the added secrets, as the gateway reads them."""
        simulated = [variable(Backend, "key", index) for index, _ in enumerate(self.simulators)]
        return [*([INSIGHTS] if self.insights else []), *simulated]

    def secrets(self, seeder: Seeder) -> dict[str, str]:
        """Values of the added secrets for Key Vault. A simulator's key is random, and made only once."""
        found = {INSIGHTS: self.insights} if self.insights else {}
        for region in self.simulators:
            name = simulator_key(region)
            found[name] = seeder.read(name) or randomness.token_urlsafe(32)
        return found

    def variables(self, seeded: list[Seeded], user: WorkloadSettings) -> dict[str, Any]:
        """Variables of the workload stack: versions of secrets, never a value."""
        # With `--plan` a secret to be written has no version yet. This text shows the change in the plan.
        versions = {item.variable: item.version or f"pending-{item.action}" for item in seeded}
        keys = {region: versions.pop(simulator_key(region)) for region in self.simulators}
        return {
            "app_settings": {**self.settings, **user.app_settings},
            "secret_versions": versions,
            "simulator_key_versions": keys,
            "deploy_e2e": bool(self.simulators),
        }


def simulator_key(region: str) -> str:
    """The variable of a simulator's key: `eastus` gives `SIMULATOR_KEY_EASTUS`."""
    return f"SIMULATOR_KEY_{region.upper()}"


def e2e_regions(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The regions to simulate: the user's choice, or the stack's default.

    `{"e2e_regions": ["eastus"]}` gives `("eastus",)`. Raises `InvalidSettingsError` for anything that the
    stack would refuse, since the stack checks the regions only after their keys are in Key Vault.
    """
    regions = values.get("e2e_regions")
    if regions is None:
        return DEFAULT_E2E_REGIONS
    names = regions if isinstance(regions, list) else []
    good = [name for name in names if isinstance(name, str) and re.fullmatch(E2E_REGION, name)]
    if not good or len(set(good)) != len(names):
        raise InvalidSettingsError(
            "e2e_regions must be a list of different names of 1 to 9 characters of a-z and 0-9, each with a "
            "letter first.",
            remedy='For example: e2e_regions = ["eastus", "westus"].',
        )
    return tuple(good)


def simulated(regions: tuple[str, ...], stem: str, domain: str) -> dict[str, str]:
    """Settings of the simulated backends, as the workload stack gives them to the gateway.

    `simulated(("eastus",), "aigw-dev", "env.example.com")` gives, beside the test mode and more,
    `{"AZURE_OPENAI_ENDPOINT_0": "https://ca-aigw-dev-sim-eastus.internal.env.example.com"}`.
    """
    found = {variable(Gateway, "e2e_test_mode"): "true"}
    for index, region in enumerate(regions):
        fields = {
            "endpoint": f"https://ca-{stem}-sim-{region}.internal.{domain}",
            "name": f"sim-{region}",
            "region": region,
        }
        found |= variables(Backend, index, fields)
    return found


def with_foundry_accounts(
    upstream: Mapping[str, Output], user: WorkloadSettings, *, azure_openai: bool
) -> DerivedSettings:
    """The foundry stack's accounts as backends after the user's own, and telemetry."""
    output = upstream.get("azure_openai_backends") if azure_openai else None
    backends = [FoundryBackend.from_output(item) for item in output.value] if output is not None else []
    settings: dict[str, str] = {}
    for index, backend in enumerate(backends, start=user.next_backend):
        settings |= backend.variables(index, output_text(upstream, "gateway_identity_client_id"))
    return DerivedSettings(settings, _insights(upstream))


def with_simulators(upstream: Mapping[str, Output], regions: tuple[str, ...]) -> DerivedSettings:
    """Simulators as the only backends, so that no end-to-end test calls a paid one, and telemetry."""
    return DerivedSettings(insights=_insights(upstream), simulators=regions)


def output_text(outputs: Mapping[str, Output], name: str) -> str:
    """An output as a text. Raises `NotReadyError` when it is missing."""
    if name not in outputs:
        raise NotReadyError(
            f"The output {name} is missing.", remedy="Run the command of the stack that has it once more."
        )
    return str(outputs[name].value)


def _insights(upstream: Mapping[str, Output]) -> str:
    output = upstream.get("application_insights_connection_string")
    return str(output.value) if output is not None and output.value else ""
