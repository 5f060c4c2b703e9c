"""A first request through the new gateway: the door is open for a client, and closed for everybody else."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from scripts.deploy.deploy_errors import DeployError
from scripts.deploy.waiting import Waiter

PATH = "/openai/v1/models"
"""Reaches a backend and costs no tokens."""

_PATIENCE_SECONDS = 300.0
_REFUSED_IDENTITY = re.compile(r":(401|403|identity)\b")
_PASSING = {404, 502, 503, 504}  # the ingress's answers while the new replica is being put behind it


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """How the gateway answered: the status, the backend that served, milliseconds."""

    status: int
    backend: str | None
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Door:
    """Whether the gateway lets in clients only, and the key of one; None when no client has a key.

    `tells` is whether its answers name the backends that were asked.
    """

    is_closed: bool
    key: str | None
    tells: bool = True


def check_gateway(
    url: str, door: Door, waiter: Waiter, client: httpx.Client, *, new_roles: bool = False
) -> SmokeResult:
    """Send requests through the gateway.

    A gateway whose clients have no keys is only seen to be closed: nobody here has a token. With `new_roles`
    a backend that refuses the gateway's identity is tried again for some minutes, which a new role may take
    to be known. Raises `DeployError` when the gateway does not do what it should.
    """
    if door.is_closed:
        refused = _get(client, url, None, waiter)
        if refused.status_code not in {401, 403}:
            raise DeployError(
                f"{url}{PATH} answers HTTP {refused.status_code} without a key; 401 was expected.",
                remedy="Look at GATEWAY_REQUIRE_AUTH and at what is in front of the gateway.",
            )
        if door.key is None:
            return _result(refused)
    answer = _get(client, url, door.key if door.is_closed else None, waiter, new_roles=new_roles)
    if answer.status_code != httpx.codes.OK:
        attempts = answer.headers.get("x-gateway-attempts")
        raise DeployError(
            f"Deployed, but {url}{PATH} answers HTTP {answer.status_code} to a client's request.",
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
    "With GATEWAY_EXPOSE_BACKEND_HEADERS off the answer does not say whether a backend was asked. "
    "The record of the request in the gateway's log does."
)


def _remedy(status: int, attempts: str | None) -> str:
    if attempts:
        return (
            "401 or 403 in the attempts: the backend refuses its key, or does not know the role of the "
            "gateway's identity. Run the command again to try once more."
        )
    if status in {401, 403}:
        return (
            "No backend was asked: the client's key is not the one in force, or this address is not among "
            "ingress_allowed_ip_ranges or IP_ALLOWLIST."
        )
    return "No backend was asked. `status` shows how the revision does."


def _get(
    client: httpx.Client, url: str, key: str | None, waiter: Waiter, *, new_roles: bool = False
) -> httpx.Response:
    deadline = waiter.deadline(_PATIENCE_SECONDS)
    headers = {} if key is None else {"api-key": key}
    while True:
        try:
            answer = client.get(url + PATH, headers=headers)
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
                remedy="If its environment is inside a network, run this command there.",
            )


def _passing(answer: httpx.Response, *, new_roles: bool) -> str | None:
    """Why it is worth asking again; None when it is not."""
    attempts = answer.headers.get("x-gateway-attempts")
    if attempts is None:
        return f"the gateway answers HTTP {answer.status_code}" if answer.status_code in _PASSING else None
    if new_roles and not answer.is_success and _REFUSED_IDENTITY.search(attempts):
        return f"a backend does not know the role of the gateway's identity yet ({attempts})"
    return None
