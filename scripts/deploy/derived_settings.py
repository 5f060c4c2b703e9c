"""The settings that the gateway gets from other stacks, in addition to the user's: backends and telemetry."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from renderer.names import secret_of
from scripts.deploy.deploy_errors import NotReadyError
from scripts.deploy.foundry_backend import FoundryBackend
from scripts.deploy.simulated_stage import made_secrets, stage_secrets, stage_settings
from scripts.deploy.vault_seeder import Seeded, Seeder
from scripts.deploy.workload_settings import INSIGHTS, WorkloadSettings
from scripts.terraform import Output


@dataclass(frozen=True, slots=True)
class DerivedSettings:
    """Settings by variable, and the secrets that the command adds to the user's."""

    settings: Mapping[str, str] = field(default_factory=dict)
    insights: str = ""  # connection string for traces; empty without an observability stack
    deploy_e2e: bool = False

    @property
    def secret_names(self) -> list[str]:
        """Variables of the added secrets, as the gateway reads them."""
        return [*([INSIGHTS] if self.insights else []), *(stage_secrets() if self.deploy_e2e else [])]

    def secrets(self, seeder: Seeder) -> dict[str, str]:
        """Values of the added secrets for Key Vault. A key of the stage is random, and made only once."""
        found = {INSIGHTS: self.insights} if self.insights else {}
        for name in self._made:
            found[name] = seeder.read(name) or randomness.token_urlsafe(32)
        return found

    def kept_as(self, variable: str) -> str:
        """The secret in Key Vault that has the value of a variable."""
        return stage_secrets().get(variable, variable) if self.deploy_e2e else variable

    def variables(self, seeded: list[Seeded], user: WorkloadSettings) -> dict[str, Any]:
        """Variables of the workload stack: versions of secrets, never a value."""
        # With `--plan` a secret to be written has no version yet. This text shows the change in the plan.
        versions = {item.variable: item.version or f"pending-{item.action}" for item in seeded}
        of_stage = {secret_of(name): versions.pop(name) for name in self._made}
        return {
            # The stack itself adds the settings of the stage.
            "app_settings": {**({} if self.deploy_e2e else self.settings), **user.app_settings},
            "secret_versions": versions,
            "e2e_secret_versions": of_stage,
            "deploy_e2e": self.deploy_e2e,
        }

    @property
    def _made(self) -> tuple[str, ...]:
        return made_secrets() if self.deploy_e2e else ()


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


def of_stage(upstream: Mapping[str, Output], values: Mapping[str, Any]) -> DerivedSettings:
    """The end-to-end stage: simulators as the only backends, so no test calls a paid one; and telemetry."""
    settings = stage_settings(values, output_text(upstream, "environment_default_domain"))
    return DerivedSettings(settings, _insights(upstream), deploy_e2e=True)


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
