"""What the gateway gets from other stacks beside the user's own settings: backends and telemetry."""

from __future__ import annotations

import re
import secrets as randomness
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.deploy.deploy_errors import InvalidSettingsError, NotReadyError
from scripts.deploy.vault_seeder import Seeded, Seeder
from scripts.deploy.workload_settings import INSIGHTS, FoundryBackend, WorkloadSettings
from scripts.terraform.runner import Output

DEFAULT_E2E_REGIONS = ("eastus", "westus")


@dataclass(frozen=True, slots=True)
class Wiring:
    """Settings by variable, and the names of the secrets that are added to the user's."""

    settings: Mapping[str, str] = field(default_factory=dict)
    insights: str = ""  # connection string for traces; empty without an observability stack's output
    simulators: tuple[str, ...] = ()  # simulated regions

    @property
    def secret_names(self) -> list[str]:
        """Variables of the added secrets, as the gateway sees them."""
        simulated = [f"AZURE_OPENAI_KEY_{index}" for index, _ in enumerate(self.simulators)]
        return [*([INSIGHTS] if self.insights else []), *simulated]

    def secrets(self, seeder: Seeder) -> dict[str, str]:
        """Values of the added secrets as they are to be in Key Vault; a simulator's key is made up once."""
        found = {INSIGHTS: self.insights} if self.insights else {}
        for region in self.simulators:
            name = simulator_key(region)
            found[name] = seeder.read(name) or randomness.token_urlsafe(32)
        return found

    def variables(self, seeded: list[Seeded], user: WorkloadSettings) -> dict[str, Any]:
        """Variables of the workload stack. No value of a secret is among them, only versions."""
        # With `--plan` a secret that is to be written has no version yet; this one shows that it will change.
        versions = {item.variable: item.version or f"pending-{item.action}" for item in seeded}
        keys = {region: versions.pop(simulator_key(region)) for region in self.simulators}
        return {
            "app_settings": {**self.settings, **user.app_settings},
            "secret_versions": versions,
            "simulator_key_versions": keys,
            "deploy_e2e": bool(self.simulators),
        }


def simulator_key(region: str) -> str:
    """Name of a simulator's key, as a variable; in Key Vault it is `simulator-key-<region>`."""
    return f"SIMULATOR_KEY_{region.upper()}"


def e2e_regions(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The regions to simulate: the user's choice, or the stack's default."""
    regions = values.get("e2e_regions")
    if regions is None:
        return DEFAULT_E2E_REGIONS
    # The stack checks the same, but only after their keys are in Key Vault.
    names = regions if isinstance(regions, list) else []
    good = [name for name in names if isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9]{0,9}", name)]
    if not good or len(set(good)) != len(names):
        raise InvalidSettingsError(
            "e2e_regions must be a list of different names of 1 to 10 characters of a-z and 0-9.",
            remedy='For example: e2e_regions = ["eastus", "westus"].',
        )
    return tuple(good)


def simulated(regions: tuple[str, ...], stem: str, domain: str) -> dict[str, str]:
    """Settings of the simulated backends, as the stack gives them to the gateway."""
    found = {"GATEWAY_E2E_TEST_MODE": "true"}
    for index, region in enumerate(regions):
        found |= {
            f"AZURE_OPENAI_ENDPOINT_{index}": f"https://ca-{stem}-sim-{region}.internal.{domain}",
            f"AZURE_OPENAI_NAME_{index}": f"sim-{region}",
            f"AZURE_OPENAI_REGION_{index}": region,
        }
    return found


def wire_azure(upstream: Mapping[str, Output], user: WorkloadSettings, *, with_foundry: bool) -> Wiring:
    """Backends of the foundry stack follow the user's own; none has to be written down anywhere."""
    output = upstream.get("azure_openai_backends") if with_foundry else None
    backends = [FoundryBackend.from_output(item) for item in output.value] if output is not None else []
    settings: dict[str, str] = {}
    for index, backend in enumerate(backends, start=user.next_backend):
        settings |= backend.variables(index, text(upstream, "gateway_identity_client_id"))
    return Wiring(settings, _insights(upstream))


def wire_simulators(upstream: Mapping[str, Output], regions: tuple[str, ...]) -> Wiring:
    """Simulators are the only backends of an end-to-end test: no request may reach a paid one."""
    return Wiring(insights=_insights(upstream), simulators=regions)


def text(outputs: Mapping[str, Output], name: str) -> str:
    """An output as text. Raises `NotReadyError` when the stack it comes from is not complete."""
    if name not in outputs:
        raise NotReadyError(
            f"The output {name} is missing.", remedy="Run the command of the stack that has it once more."
        )
    return str(outputs[name].value)


def _insights(upstream: Mapping[str, Output]) -> str:
    output = upstream.get("application_insights_connection_string")
    return str(output.value) if output is not None and output.value else ""
