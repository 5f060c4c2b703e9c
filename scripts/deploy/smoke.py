"""A first request through the new gateway: the door is open for a client, and closed for everybody else."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from scripts.deploy.errors import DeployError
from scripts.deploy.waiting import Waiter

PATH = "/openai/v1/models"
"""Reaches a backend and costs no tokens."""

_PATIENCE_SECONDS = 120.0
_PASSING = {404, 502, 503, 504}  # the ingress's answers while the new replica is being put behind it


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """How the gateway answered: the status, the backend that served, milliseconds."""

    status: int
    backend: str | None
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Door:
    """Whether the gateway lets in clients only, and the key of one; None when no client has a key."""

    is_closed: bool
    key: str | None


def check_gateway(url: str, door: Door, waiter: Waiter, client: httpx.Client) -> SmokeResult:
    """Send requests through the gateway.

    A gateway whose clients have no keys is only seen to be closed: nobody here has a token. Raises
    `DeployError` when the gateway does not do what it should.
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
    answer = _get(client, url, door.key if door.is_closed else None, waiter)
    if answer.status_code != httpx.codes.OK:
        raise DeployError(
            f"{url}{PATH} answers HTTP {answer.status_code} to a client's request.",
            details=[f"attempts: {answer.headers.get('x-gateway-attempts', 'none')}", answer.text[:300]],
            remedy="401 or 403 in the attempts is a backend that refuses its credential.",
        )
    return _result(answer)


def _result(answer: httpx.Response) -> SmokeResult:
    return SmokeResult(
        answer.status_code,
        answer.headers.get("x-gateway-backend"),
        round(answer.elapsed.total_seconds() * 1000),
    )


def _get(client: httpx.Client, url: str, key: str | None, waiter: Waiter) -> httpx.Response:
    deadline = waiter.deadline(_PATIENCE_SECONDS)
    headers = {} if key is None else {"api-key": key}
    while True:
        try:
            answer = client.get(url + PATH, headers=headers)
            reason = f"the gateway answers HTTP {answer.status_code}"
            if answer.status_code not in _PASSING or "x-gateway-attempts" in answer.headers:
                return answer
        except httpx.TransportError as error:
            answer, reason = None, f"the gateway cannot be reached ({type(error).__name__})"
        if not deadline.pause(reason, 5):
            if answer is not None:
                return answer
            raise DeployError(
                f"{url} cannot be reached.",
                remedy="For an internal gateway run this command inside its network.",
            )
