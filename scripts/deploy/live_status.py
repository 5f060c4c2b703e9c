"""The live page of a deployed gateway: where it is, and what to do when it shows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx

from renderer.model.clients import Client
from renderer.model.gateway import LivePage
from renderer.names import indices, secret_of, variable
from scripts.deploy.deploy_errors import DeployError, InvalidSettingsError, NotReadyError
from scripts.deploy.derived_settings import output_text
from scripts.deploy.layout import STACKS
from scripts.deploy.session import Session
from scripts.live.events import LiveError

_WORKLOAD = STACKS["workload"]


def gateway_url(session: Session) -> str:
    """The address of the deployed gateway. Raises `NotReadyError` when there is none."""
    environment = session.layout.environment
    outputs = session.outputs(_WORKLOAD) if session.has_storage() else {}
    if "gateway_url" not in outputs:
        raise NotReadyError(
            f"{environment} has no gateway yet.",
            remedy=f"`aoai-gateway status {environment}` shows what is missing, "
            f"`aoai-gateway deploy up {environment}` makes it.",
        )
    return output_text(outputs, "gateway_url")


def explained(session: Session, error: LiveError) -> DeployError:
    """The error of a deployed gateway, with what to do about it."""
    return DeployError(str(error), remedy=_remedy(session, error.status))


def _remedy(session: Session, status: int | None) -> str:
    environment = session.layout.environment
    if status == httpx.codes.NOT_FOUND:
        path = session.settings.path(_WORKLOAD).name
        return (
            f'Write GATEWAY_LIVE_PAGE = "keys" into app_settings of {path}, '
            f"then run deploy-workload {environment}."
        )
    if status == httpx.codes.UNAUTHORIZED:
        secret = _secret(session)
        command = f"az keyvault secret show --id {secret} --query value --output tsv"
        return f"export GATEWAY_KEY=$({command})" if secret else ""
    if status is None and _values(session).get("ingress_external") is False:
        return "ingress_external is false: only what runs in its network reaches the gateway."
    return ""


def _values(session: Session) -> Mapping[str, Any]:
    with suppress(InvalidSettingsError):  # the gateway's own error matters more here
        return session.settings.read(_WORKLOAD)
    return {}


def _secret(session: Session) -> str | None:
    """The address of the secret with the key of an operator of the live page, else of the first client."""
    stage = session.outputs(_WORKLOAD).get("e2e_stage")
    if stage is not None and stage.value:
        vault, secrets = stage.value["key_vault_uri"], sorted(stage.value["client_key_secrets"].values())
    else:
        vault = output_text(session.outputs(STACKS["platform"]), "key_vault_uri")
        secrets = [secret_of(variable(Client, "key", index)) for index in _clients_with_keys(session)]
    return f"{vault.rstrip('/')}/secrets/{secrets[0]}" if secrets else None


def _clients_with_keys(session: Session) -> list[int]:
    """Numbers of the clients that have a key in `secrets`, operators of the live page first."""
    values = _values(session)
    settings, secrets = values.get("app_settings") or {}, values.get("secrets") or {}
    operators = {name.strip() for name in str(settings.get(variable(LivePage, "operators"), "")).split(",")}
    found = [index for index in indices(Client, secrets) if variable(Client, "key", index) in secrets]
    return sorted(found, key=lambda index: settings.get(variable(Client, "name", index)) not in operators)
