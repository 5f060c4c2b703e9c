"""Seeds Key Vault with the secrets of the user's tfvars: compares first, so nothing changes without need.

Terraform has no part in this. It would keep every value in its state and in its saved plans.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.keyvault.secrets import SecretClient

from scripts.deploy.deploy_errors import InvalidSettingsError, VaultError
from scripts.deploy.tfvars import is_placeholder
from scripts.deploy.waiting import Deadline, Waiter, retry_after

MAXIMUM_BYTES = 25 * 1024
"""What a secret's value may have at most (Key Vault service limits)."""

CONFLICT = 409

T = TypeVar("T")


class Action(StrEnum):
    """What was, or would be, done with a secret."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    RECOVERED = "recovered"
    KEPT = "kept"  # tfvars have a placeholder, the vault has a value


@dataclass(frozen=True, slots=True)
class Seeded:
    """A secret in the vault: its variable, what happened to it, its version (None: not written yet)."""

    variable: str
    action: Action
    version: str | None


def secret_name(variable: str) -> str:
    """Name in Key Vault of a variable: `AZURE_OPENAI_KEY_0` is `azure-openai-key-0`."""
    return variable.lower().replace("_", "-")


def secret_problems(secrets: Mapping[str, str]) -> list[str]:
    """A complaint about every secret that Key Vault would not take."""
    problems = []
    for variable, value in secrets.items():
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,126}", variable):
            problems.append(f"{variable}: Key Vault takes names of 1 to 127 letters, digits and dashes.")
        if len(value.encode()) > MAXIMUM_BYTES:
            problems.append(f"{variable}: its value has more than 25 KB, the most that Key Vault takes.")
    return problems


class Seeder:
    """Brings a vault into line with the given secrets.

    `client` should not retry by itself (`retry_total=0`): waiting is done here, in sight of the operator.
    """

    # A role that was just assigned takes up to ten minutes to be known to the vault.
    patience_seconds = 600.0

    def __init__(self, client: SecretClient, waiter: Waiter) -> None:
        self._client = client
        self._waiter = waiter

    def compare(self, secrets: Mapping[str, str]) -> list[Seeded]:
        """Say what `seed` would do; writes nothing."""
        compared: list[Seeded] = []
        without_value: list[str] = []
        for variable, value in sorted(secrets.items()):
            try:
                compared.append(self._compare(variable, value))
            except InvalidSettingsError:
                without_value.append(variable)
        if without_value:
            raise _no_value(without_value)
        return compared

    def seed(self, secrets: Mapping[str, str]) -> list[Seeded]:
        """Write what differs. Raises `VaultError`; running again goes on where it stopped."""
        return [self._seed(variable, value) for variable, value in sorted(secrets.items())]

    def read(self, variable: str) -> str | None:
        """Current value of a secret; None when there is none."""
        found = self._current(variable)
        return None if found is None else found[0]

    def _compare(self, variable: str, value: str) -> Seeded:
        found = self._current(variable)
        if is_placeholder(value):
            if found is None or is_placeholder(found[0]):
                raise _no_value([variable])
            return Seeded(variable, Action.KEPT, found[1])
        if found is None:
            return Seeded(variable, Action.CREATED, None)
        if hmac.compare_digest(found[0].encode(), value.encode()):
            return Seeded(variable, Action.UNCHANGED, found[1])
        return Seeded(variable, Action.CHANGED, None)

    def _seed(self, variable: str, value: str) -> Seeded:
        planned = self._compare(variable, value)
        if planned.version is not None:
            return planned
        action = planned.action
        try:
            version = self._write(variable, value)
        except _DeletedError:
            self._recover(variable)
            action = Action.RECOVERED
            # The value that came back may be the very one: then its version is current again.
            again = self._compare(variable, value)
            version = again.version or self._write(variable, value)
        return Seeded(variable, action, version)

    def _current(self, variable: str) -> tuple[str, str] | None:
        def get() -> tuple[str, str] | None:
            try:
                secret = self._client.get_secret(secret_name(variable))
            except ResourceNotFoundError:
                return None
            return secret.value or "", secret.properties.version or ""

        return self._patiently(variable, get)

    def _write(self, variable: str, value: str) -> str:
        def write() -> str:
            secret = self._client.set_secret(
                secret_name(variable),
                value,
                content_type="text/plain",
                tags={"managed-by": "deploy-workload"},
            )
            return secret.properties.version or ""

        return self._patiently(variable, write)

    def _recover(self, variable: str) -> None:
        def recover() -> None:
            try:
                # Its own poller would wait without a word; the next write shows when the name is back.
                self._client.begin_recover_deleted_secret(secret_name(variable))
            except ResourceNotFoundError:
                return  # somebody was quicker: recovered, or purged

        self._patiently(variable, recover)

    def _patiently(self, variable: str, call: Callable[[], T]) -> T:
        """Make a call, again while the vault gives a reason that passes."""
        deadline = self._waiter.deadline(self.patience_seconds)
        attempt = 0
        while True:
            try:
                return call()
            except AzureError as error:
                # `from None`: the SDK's exceptions hold the request and so, for a write, the value.
                failure = _Failure.of(error)
            if failure.status == CONFLICT and failure.passing is None and self._is_deleted(variable):
                raise _DeletedError
            if not self._wait(failure, variable, attempt, deadline):
                raise failure.explain(self._client.vault_url, variable) from None
            attempt += 1

    def _is_deleted(self, variable: str) -> bool:
        """Whether the name is taken by a deleted secret: asked, since conflicts come with various codes."""
        try:
            self._client.get_deleted_secret(secret_name(variable))
        except AzureError:
            return False
        return True

    @staticmethod
    def _wait(failure: _Failure, variable: str, attempt: int, deadline: Deadline) -> bool:
        reason = failure.passing
        if reason is None:
            return False
        pause = failure.retry_after if failure.retry_after is not None else min(2.0**attempt, 15.0)
        return deadline.pause(f"{variable}: {reason}", pause)


class _DeletedError(Exception):
    """The name is taken by a deleted secret that can be recovered."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """An answer of the vault that is no success; status 0 when there was none."""

    status: int
    code: str
    retry_after: float | None = None

    @classmethod
    def of(cls, error: AzureError) -> _Failure:
        if isinstance(error, HttpResponseError) and error.response is not None:
            codes = _codes(error)
            headers = getattr(error.response, "headers", None) or {}
            return cls(error.status_code or 0, codes[-1] if codes else "", retry_after(headers))
        if isinstance(error, ClientAuthenticationError):
            return cls(401, "NoToken")
        if isinstance(error, ServiceRequestError):
            return cls(0, "Unreachable")
        if isinstance(error, ServiceResponseError):
            return cls(0, "ConnectionLost")
        return cls(0, type(error).__name__)

    @property
    def passing(self) -> str | None:
        """Why it is worth trying again; None when it is not."""
        if self.status == 429:
            return "Key Vault is throttling"
        if self.status >= 500 or self.code == "ConnectionLost":
            return "Key Vault does not answer properly"
        if self.code == "ObjectIsBeingRecovered":
            return "is being recovered"
        if self.code == "ObjectIsBeingDeleted":
            return "is still being deleted"
        if self.status == 403 and not self._by_network and not self._disabled:
            return "access is denied, which is normal for some minutes after a role assignment"
        return None

    @property
    def _by_network(self) -> bool:
        return self.code in {"ForbiddenByFirewall", "ForbiddenByConnection"}

    @property
    def _disabled(self) -> bool:
        return self.code == "SecretDisabled"

    def explain(self, vault: str, variable: str) -> VaultError:
        """The failure in the operator's words."""
        message, remedy = f"Key Vault {vault} refused {variable} (HTTP {self.status} {self.code}).", ""
        if self._by_network:
            message = f"Key Vault {vault} does not take connections from this address."
            remedy = "Add it to key_vault_allowed_ip_ranges of the platform stack, or run inside its network."
        elif self._disabled:
            message = f"{variable} is disabled in Key Vault {vault}: its value cannot be compared."
            remedy = (
                f"Enable it: az keyvault secret set-attributes --id {vault}/secrets/{secret_name(variable)} "
            )
            remedy += "--enabled true. Or delete it there: it then comes back with the value in tfvars."
        elif self.status == 403:
            message = f"Key Vault {vault} denies access to its secrets."
            remedy = (
                "Put your object id (`az ad signed-in-user show --query id`) into deployer_principals of the "
                "platform stack and run deploy-platform: it assigns Key Vault Secrets Officer."
            )
        elif self.status == 429:
            message, remedy = (
                f"Key Vault {vault} is throttling all the time.",
                "Run the command again in some minutes.",
            )
        elif self.status == 401:
            message, remedy = (
                f"Key Vault {vault} did not accept the login.",
                "Run `az login` for the vault's tenant.",
            )
        elif self.code == "Unreachable":
            message = f"Key Vault {vault} cannot be reached."
            remedy = "Check the network, and that the vault still exists (`status`)."
        return VaultError(message, remedy=remedy)


def _no_value(variables: Sequence[str]) -> InvalidSettingsError:
    return InvalidSettingsError(
        "tfvars have a placeholder, and Key Vault has no value either, for:",
        details=variables,
        remedy="Write it into `secrets`. Once it is in Key Vault a placeholder may stand for it.",
    )


def _codes(error: HttpResponseError) -> list[str]:
    """Error codes of an answer, the innermost last."""
    codes = []
    item = error.error
    while item is not None:
        if getattr(item, "code", None):
            codes.append(str(item.code))
        inner = getattr(item, "innererror", None) or {}
        while isinstance(inner, Mapping) and inner:
            if inner.get("code"):
                codes.append(str(inner["code"]))
            inner = inner.get("innererror") or {}
        item = None
    return codes
