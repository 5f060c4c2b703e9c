"""Asks the Azure Resource Manager what the login may do.

Its answers cover every way to hold a role: through a group, inherited from a management group, built in or
custom. They do not cover conditions of an assignment and deny assignments.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from azure.core import PipelineClient
from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest, HttpResponse

from scripts.deploy.deploy_errors import DeployError, NotReadyError
from scripts.deploy.waiting import Waiter, backoff, retry_after

_PERMISSIONS = "2022-04-01"
_RESOURCES = "2021-04-01"
_PATIENCE_SECONDS = 60.0
_THROTTLED = 429


@dataclass(frozen=True, slots=True)
class Permission:
    """What one role allows at a scope: patterns of actions, and of the actions that it excludes again."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    @classmethod
    def from_answer(cls, value: Mapping[str, Any]) -> Permission:
        """One entry of the answer: `{"actions": ["*/read"]}` gives `Permission(actions=("*/read",))`."""
        names = ("actions", "notActions", "dataActions", "notDataActions")
        return cls(*(tuple(map(str, value.get(name) or ())) for name in names))

    def allows(self, action: str, *, data: bool = False) -> bool:
        """Whether the role allows an action on a resource, or on the data inside it."""
        given, taken = self.actions, self.not_actions
        if data:
            given, taken = self.data_actions, self.not_data_actions
        return _any_matches(given, action) and not _any_matches(taken, action)


def _any_matches(patterns: tuple[str, ...], action: str) -> bool:
    """Whether a pattern matches the action: `*/read` matches `A/Read`."""
    return any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), action, re.IGNORECASE)
        for pattern in patterns
    )


class ResourceManager:
    """Reads from one subscription. Raises `DeployError`. While Azure is throttling, it waits and says so."""

    def __init__(self, endpoint: str, subscription_id: str, waiter: Waiter) -> None:
        from azure.identity import AzureCliCredential  # takes a while to load

        self.subscription = f"/subscriptions/{subscription_id}"
        self._endpoint = endpoint.rstrip("/")
        self._credential = AzureCliCredential(subscription=subscription_id, process_timeout=60)
        self._scope = f"{self._endpoint}/.default"
        token = BearerTokenCredentialPolicy(self._credential, self._scope)
        self._client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            self._endpoint, policies=[token]
        )
        self._waiter = waiter

    def __enter__(self) -> ResourceManager:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def permissions(self, scope: str) -> list[Permission] | None:
        """What the login may do at a scope, inherited rights included; None when there is no such scope."""
        path = f"{scope}/providers/Microsoft.Authorization/permissions?api-version={_PERMISSIONS}"
        found = self._list(path)
        return None if found is None else [Permission.from_answer(item) for item in found]

    def resource(self, kind: str, name: str) -> str | None:
        """Id of the resource of that kind and name; None when the login sees none."""
        query = {"$filter": f"name eq '{name}' and resourceType eq '{kind}'", "api-version": _RESOURCES}
        found = self._list(f"{self.subscription}/resources?{urlencode(query, quote_via=quote)}")
        return str(found[0]["id"]) if found else None

    def object_id(self) -> str | None:
        """The object id of the login, read from its token; None when the token does not have it."""
        try:
            payload = self._credential.get_token(self._scope).token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            return str(UUID(claims["oid"]))
        except ClientAuthenticationError:
            raise self._no_login() from None
        except (IndexError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _list(self, path: str) -> list[Mapping[str, Any]] | None:
        """All pages of a list; None when its scope does not exist."""
        items: list[Mapping[str, Any]] = []
        for page in self._pages(f"{self._endpoint}{path}"):
            if page is None:
                return None
            items += page
        return items

    def _pages(self, url: str | None) -> Iterator[list[Mapping[str, Any]] | None]:
        while url is not None:
            if not url.startswith(f"{self._endpoint}/"):  # no other server may see the token
                raise self._failure("continues its answer at another address")
            response = self._get(url)
            if response.status_code == 404:
                yield None
                return
            try:
                body = response.json()
                yield [dict(item) for item in body["value"]]
                url = body.get("nextLink") or None
            except (ValueError, TypeError, KeyError, AttributeError):
                raise self._failure("does not answer as the Azure Resource Manager does") from None

    def _get(self, url: str) -> HttpResponse:
        """The answer, 200 or 404. Repeats the call while the reason of its failure can pass."""
        deadline = self._waiter.deadline(_PATIENCE_SECONDS)
        attempt = 0
        while True:
            response = self._send(url)
            status = response.status_code
            if status in {200, 404}:
                return response
            passing = status == _THROTTLED or status >= 500
            reason = "Azure is throttling" if status == _THROTTLED else f"Azure answers HTTP {status}"
            if not (passing and deadline.pause(reason, backoff(attempt, retry_after(response.headers)))):
                raise self._refusal(response)
            attempt += 1

    def _send(self, url: str) -> HttpResponse:
        try:
            return self._client.send_request(HttpRequest("GET", url), connection_timeout=10, read_timeout=30)
        except ClientAuthenticationError:
            raise self._no_login() from None
        except ServiceRequestError:
            raise self._failure("cannot be reached", "Check the network and its proxy.") from None
        except AzureError as error:  # `from None`: the exception has the request, and so the token
            raise self._failure(f"did not answer ({type(error).__name__})", "Try again.") from None

    def _refusal(self, response: HttpResponse) -> DeployError:
        status, code = response.status_code, _code(response)
        if status == 401:
            return self._no_login()
        if status == 403:
            return NotReadyError(
                f"The login may not read its own permissions ({code or 'HTTP 403'}).",
                remedy=f"It needs a role on {self.subscription}; Reader is enough for that.",
            )
        if status == _THROTTLED:
            return self._failure("keeps throttling", "Try again in some minutes.")
        return self._failure(f"answers HTTP {status} {code}".rstrip(), "Try again in some minutes.")

    def _no_login(self) -> DeployError:
        return NotReadyError(
            "The Azure Resource Manager did not accept the login.", remedy="Run `az login` again."
        )

    def _failure(self, what: str, remedy: str = "") -> DeployError:
        return DeployError(f"The Azure Resource Manager at {self._endpoint} {what}.", remedy=remedy)


def _code(response: HttpResponse) -> str:
    """The code of an error, such as `AuthorizationFailed`. Its message may quote the request."""
    try:
        code = response.json()["error"]["code"]
    except (ValueError, TypeError, KeyError):
        return ""
    return str(code) if re.fullmatch(r"\w{1,60}", str(code)) else ""
