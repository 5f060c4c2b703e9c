"""Checks that the new gateway works: its revision runs, and it answers its clients and refuses others."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from scripts.deploy.azure_cli import AzureCli
from scripts.deploy.deploy_errors import DeployError
from scripts.deploy.revision_report import App, has_failed, report
from scripts.deploy.waiting import Waiter

MODELS_PATH = "/openai/v1/models"
"""A request for this path reaches a backend and costs no tokens."""

_REVISION_PATIENCE_SECONDS = 600.0
_READY_STATES = {"Running", "RunningAtMaxScale", "ScaledToZero"}
_REQUEST_PATIENCE_SECONDS = 300.0
_REFUSED_IDENTITY = re.compile(r":(401|403|identity)\b")
_PASSING = {404, 502, 503, 504}  # answers of the ingress until it knows the new replica


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """The gateway's answer: its status, the backend that served, and the duration in milliseconds."""

    status: int
    backend: str | None
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Door:
    """What the settings say about access: whether a call needs a key or token, and the key of a client.

    `key` is None when no client has one. `tells` is whether answers name the backends that were asked.
    """

    is_closed: bool
    key: str | None
    tells: bool = True


def wait_for_revision(az: AzureCli, app: App, name: str, waiter: Waiter) -> None:
    """Wait for a revision to run. Raises `DeployError` when it fails or takes longer than ten minutes."""
    deadline = waiter.deadline(_REVISION_PATIENCE_SECONDS)
    while True:
        revision = az.revision(app.group, app.name, name)
        if revision.running_state in _READY_STATES and revision.health_state != "Unhealthy":
            return
        reason = revision.running_state or revision.provisioning_state or "not started"
        if has_failed(revision) or not deadline.pause(f"{name} is {reason}", 5):
            raise report(az, app, name, revision)


def check_gateway(
    url: str, door: Door, waiter: Waiter, client: httpx.Client, *, new_roles: bool = False
) -> SmokeResult:
    """Send requests through the gateway. Raises `DeployError` when it does not answer as it should.

    When no client has a key, this only checks that a request without a key is refused: the command has no
    token of a client. With `new_roles` a backend that refuses the gateway's identity is tried again for some
    minutes, since Azure needs that long to make a new role known.
    """
    if door.is_closed:
        refused = _get(client, url, None, waiter)
        if refused.status_code not in {401, 403}:
            raise DeployError(
                f"{url}{MODELS_PATH} answers HTTP {refused.status_code} without a key; 401 was expected.",
                remedy="Look at GATEWAY_REQUIRE_AUTH, and at proxies in front of the gateway.",
            )
        if door.key is None:
            return _result(refused)
    answer = _get(client, url, door.key if door.is_closed else None, waiter, new_roles=new_roles)
    if answer.status_code != httpx.codes.OK:
        attempts = answer.headers.get("x-gateway-attempts")
        raise DeployError(
            f"Deployed, but {url}{MODELS_PATH} answers HTTP {answer.status_code} to a client's request.",
            details=[f"attempts: {attempts or ('none' if door.tells else 'unknown')}", answer.text[:300]],
            remedy=_remedy(answer.status_code, attempts) if door.tells else _REMEDY_UNTOLD,
        )
    return _result(answer)


def _result(answer: httpx.Response) -> SmokeResult:
    return SmokeResult(
        answer.status_code,
        answer.headers.get("x-gateway-backend"),
        round(answer.elapsed.total_seconds() * 1000),
    )


_REMEDY_UNTOLD = (
    "With GATEWAY_EXPOSE_BACKEND_HEADERS off, the answer does not say whether a backend was asked. "
    "The record of the request in the gateway's log does."
)


def _remedy(status: int, attempts: str | None) -> str:
    if attempts:
        return (
            "401 or 403 in the attempts: the backend refuses its key, or does not know the role of the "
            "gateway's identity yet. Run the command again to try once more."
        )
    if status in {401, 403}:
        return (
            "No backend was asked: the gateway does not know the client's key, or this address is not in "
            "ingress_allowed_ip_ranges or IP_ALLOWLIST."
        )
    return "No backend was asked. `aoai-gateway status` shows the health of the revision."


def _get(
    client: httpx.Client, url: str, key: str | None, waiter: Waiter, *, new_roles: bool = False
) -> httpx.Response:
    deadline = waiter.deadline(_REQUEST_PATIENCE_SECONDS)
    headers = {} if key is None else {"api-key": key}
    while True:
        try:
            answer = client.get(url + MODELS_PATH, headers=headers)
            reason = _passing(answer, new_roles=new_roles)
            if reason is None:
                return answer
        except httpx.TransportError as error:
            answer, reason = None, f"the gateway cannot be reached ({type(error).__name__})"
        if not deadline.pause(reason, 5):
            if answer is not None:
                return answer
            raise DeployError(
                f"Deployed, but {url} cannot be reached.",
                remedy="If its environment is inside a network, run the command there.",
            )


def _passing(answer: httpx.Response, *, new_roles: bool) -> str | None:
    """The reason to wait for when another try can succeed; None when it cannot."""
    attempts = answer.headers.get("x-gateway-attempts")
    if attempts is None:
        return f"the gateway answers HTTP {answer.status_code}" if answer.status_code in _PASSING else None
    if new_roles and not answer.is_success and _REFUSED_IDENTITY.search(attempts):
        return f"a backend does not know the role of the gateway's identity yet ({attempts})"
    return None
