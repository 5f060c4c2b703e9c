"""Finds the end-to-end stage that `deploy-workload --deploy-e2e` made: its addresses, settings and keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from renderer import Settings as GatewaySettings
from renderer import load_settings
from renderer.names import secret_of
from scripts.deploy.deploy_errors import NotReadyError
from scripts.deploy.layout import STACKS
from scripts.deploy.session import Session
from scripts.deploy.simulated_stage import made_secrets, stage_secrets
from scripts.deploy.vault_seeder import Seeder, open_vault

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient


@dataclass(frozen=True, slots=True)
class DeployedStage:
    """A deployed gateway in test mode with its simulated backends, as tests see it."""

    url: str
    settings: GatewaySettings
    """What the gateway was rendered from, so tests can derive what they expect."""
    keys: Mapping[str, str] = field(repr=False)
    """The key of each client, by the client's name."""
    simulators: Mapping[str, str]
    """The address of each simulated backend, by the backend's name."""
    simulator_key: str = field(repr=False)
    admin_key: str = field(repr=False)
    """Opens the admin API of every simulator."""
    variables: Mapping[str, str]
    """The settings without secrets, by variable."""
    max_replicas: int


def find_stage(session: Session, vault: Callable[[str], SecretClient] = open_vault) -> DeployedStage:
    """Read the stage of an environment: from its state, and the keys from Key Vault.

    Raises `NotReadyError` when there is no stage, and `VaultError` when Key Vault does not answer.
    """
    outputs = session.outputs(STACKS["workload"])
    output = outputs.get("e2e_stage")
    if output is None or output.value is None:
        raise NotReadyError(
            f"{session.layout.environment} has no end-to-end stage.",
            remedy=f"Run deploy-workload {session.layout.environment} --deploy-e2e first.",
        )
    found: Mapping[str, Any] = output.value
    seeder = Seeder(vault(found["key_vault_uri"]), session.waiter)
    keys = {secret_of(name): _key(seeder, name) for name in made_secrets()}
    session.screen.hide(keys.values())
    secrets = {variable: keys[secret_of(name)] for variable, name in stage_secrets().items()}
    return DeployedStage(
        str(outputs["gateway_url"].value),
        load_settings({}, env_file={**found["app_settings"], **secrets}),
        {client: keys[secret] for client, secret in found["client_key_secrets"].items()},
        found["simulator_urls"],
        keys[found["simulator_key_secret"]],
        keys[found["simulator_admin_key_secret"]],
        found["app_settings"],
        found["max_replicas"],
    )


def _key(seeder: Seeder, name: str) -> str:
    value = seeder.read(name)
    if value is None:
        raise NotReadyError(
            f"Key Vault has no {secret_of(name)}.",
            remedy="Run deploy-workload with --deploy-e2e again: it makes the key and gives it to the stage.",
        )
    return value
