"""Where the state of each stack is: in Azure storage, or in a directory for tests and trials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scripts.deploy.azure_cli import AzureCli
from scripts.deploy.declarations import backend_type
from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.layout import STACKS, Layout, Stack
from scripts.terraform import Terraform


class StateStore(Protocol):
    """The place of the states of one environment."""

    @property
    def kind(self) -> str:
        """Terraform's name of the backend, such as `azurerm`."""

    def backend_config(self, stack: Stack) -> dict[str, str]:
        """The arguments of `terraform init` for a stack's state."""

    def exists(self) -> bool:
        """Whether the place exists, so that states can be read."""


@dataclass(frozen=True, slots=True)
class AzureStateStore:
    """A blob for each stack. An Entra token opens it, and its lease is the lock."""

    subscription_id: str
    resource_group: str
    account: str
    container: str
    environment: str
    az: AzureCli
    kind: str = "azurerm"

    def backend_config(self, stack: Stack) -> dict[str, str]:
        """See `StateStore`."""
        return {
            "subscription_id": self.subscription_id,
            "resource_group_name": self.resource_group,
            "storage_account_name": self.account,
            "container_name": self.container,
            "key": f"{self.environment}/{stack.directory}.tfstate",
            "use_azuread_auth": "true",
        }

    def exists(self) -> bool:
        """See `StateStore`. Raises `NotReadyError` without a login, or with one of another cloud."""
        self.az.account().check_cloud()
        return self.az.storage_account_exists(self.resource_group, self.account)


@dataclass(frozen=True, slots=True)
class LocalStateStore:
    """A file for each stack."""

    directory: Path
    kind: str = "local"

    def backend_config(self, stack: Stack) -> dict[str, str]:
        """See `StateStore`."""
        return {"path": str(self.directory / f"{stack.directory}.tfstate")}

    def exists(self) -> bool:
        """See `StateStore`."""
        return Path(self.backend_config(STACKS["bootstrap"])["path"]).exists()


def find_state_store(layout: Layout, settings: Mapping[str, Any], az: AzureCli, binary: str) -> StateStore:
    """The store that the `backend` block of the stacks names."""
    kind = backend_type(layout.directory(STACKS["bootstrap"]))
    if kind == "local":
        parent = Path(os.environ.get("GATEWAY_STATE_DIR", layout.working.parent / "state"))
        return LocalStateStore(parent / layout.environment)
    if kind != "azurerm":
        raise InvalidSettingsError(
            f"The stacks keep their state in {kind}: these commands know only azurerm and local."
        )
    names = resource_names(layout, settings, binary)
    return AzureStateStore(
        subscription_id=str(settings["subscription_id"]),
        resource_group=names["state_resource_group"],
        account=names["state_storage_account"],
        container=names["state_container"],
        environment=layout.environment,
        az=az,
    )


def resource_names(layout: Layout, settings: Mapping[str, Any], binary: str) -> dict[str, str]:
    """The names that are unique in all of Azure, from the Terraform module that derives them.

    For example `{"key_vault": "kv-aigw-dev-d6281", "state_container": "tfstate", …}`.
    """
    inputs = {name: str(settings[name]) for name in ("subscription_id", "name", "environment")}
    if settings.get("suffix"):
        inputs["suffix"] = str(settings["suffix"])
    names: dict[str, str] = Terraform(layout.naming, binary=binary).evaluate("local.names", inputs)
    return names


def group_name(values: Mapping[str, object], stack: str) -> str:
    """The resource group of a stack: `rg-aigw-dev-platform`, and `rg-aigw-dev-state` for bootstrap."""
    part = "state" if stack == "bootstrap" else stack
    return f"rg-{values['name']}-{values['environment']}-{part}"
