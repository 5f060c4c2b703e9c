"""Writes the secrets of the user's tfvars into Key Vault. It compares first and writes only what differs.

Terraform cannot do this: it would keep every value in its state and in its saved plans.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from azure.core.exceptions import AzureError, ResourceNotFoundError

from renderer.names import secret_of
from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.tfvars import is_placeholder
from scripts.deploy.vault_failure import CONFLICT, VaultFailure
from scripts.deploy.waiting import Waiter, backoff

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient

MAXIMUM_BYTES = 25 * 1024
"""Highest size of a secret's value (Key Vault service limits)."""

T = TypeVar("T")


class Action(StrEnum):
    """What the seeder did, or would do, with a secret."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    RECOVERED = "recovered"
    KEPT = "kept"  # tfvars contain a placeholder, and the vault has a value


@dataclass(frozen=True, slots=True)
class Seeded:
    """A secret in the vault: its variable, what was done, and its version (None: not written yet)."""

    variable: str
    action: Action
    version: str | None


def open_vault(url: str) -> SecretClient:
    """Client of a vault, with the login of the Azure CLI. It does not retry by itself: the seeder does."""
    # Another credential, such as this machine's identity, would have other roles than that login.
    # Both take a while to load.
    from azure.identity import AzureCliCredential
    from azure.keyvault.secrets import SecretClient

    return SecretClient(url, AzureCliCredential(process_timeout=60), retry_total=0)


def secret_problems(secrets: Mapping[str, str]) -> list[str]:
    """A complaint about every secret that Key Vault would refuse, such as a value that is too long."""
    problems = []
    for variable, value in secrets.items():
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,126}", variable):
            problems.append(f"{variable}: Key Vault accepts names of 1 to 127 letters, digits and dashes.")
        if len(value.encode()) > MAXIMUM_BYTES:
            problems.append(f"{variable}: its value is longer than 25 KB, which Key Vault does not accept.")
    return problems


class Seeder:
    """Writes secrets into a vault.

    `client` should not retry by itself (`retry_total=0`): the seeder waits, and tells the operator.
    """

    # The vault can take ten minutes to know a new role.
    patience_seconds = 600.0

    def __init__(self, client: SecretClient, waiter: Waiter) -> None:
        self._client = client
        self._waiter = waiter

    def compare(self, secrets: Mapping[str, str]) -> list[Seeded]:
        """What `seed` would do. Raises `InvalidSettingsError` when a secret has no value anywhere."""
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
        """Write what differs. Raises `VaultError`; another run goes on from there."""
        return [self._seed(variable, value) for variable, value in sorted(secrets.items())]

    def read(self, variable: str) -> str | None:
        """Current value of a secret; None when the vault does not have it."""
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
            # The recovered value may be the wanted one already. Then its version is current again.
            again = self._compare(variable, value)
            version = again.version or self._write(variable, value)
        return Seeded(variable, action, version)

    def _current(self, variable: str) -> tuple[str, str] | None:
        def get() -> tuple[str, str] | None:
            try:
                secret = self._client.get_secret(secret_of(variable))
            except ResourceNotFoundError:
                return None
            return secret.value or "", secret.properties.version or ""

        return self._patiently(variable, get)

    def _write(self, variable: str, value: str) -> str:
        def write() -> str:
            secret = self._client.set_secret(
                secret_of(variable),
                value,
                content_type="text/plain",
                tags={"managed-by": "deploy-workload"},
            )
            return secret.properties.version or ""

        return self._patiently(variable, write)

    def _recover(self, variable: str) -> None:
        def recover() -> None:
            try:
                # The SDK's poller would wait silently; the next write shows when the name is back.
                self._client.begin_recover_deleted_secret(secret_of(variable))
            except ResourceNotFoundError:
                return  # another run has recovered or purged it

        self._patiently(variable, recover)

    def _patiently(self, variable: str, call: Callable[[], T]) -> T:
        """Make a call. Repeat it while the reason of its failure can pass."""
        deadline = self._waiter.deadline(self.patience_seconds)
        attempt = 0
        while True:
            try:
                return call()
            except AzureError as error:
                failure = VaultFailure.of(error)
            if failure.status == CONFLICT and failure.passing is None and self._is_deleted(variable):
                raise _DeletedError
            pause = backoff(attempt, failure.retry_after)
            if failure.passing is None or not deadline.pause(f"{variable}: {failure.passing}", pause):
                # `from None`: the SDK's exception has the request and so, for a write, the value.
                raise failure.explain(self._client.vault_url, variable) from None
            attempt += 1

    def _is_deleted(self, variable: str) -> bool:
        """Whether a deleted secret has the name. The code of a conflict does not tell."""
        try:
            self._client.get_deleted_secret(secret_of(variable))
        except AzureError:
            return False
        return True


class _DeletedError(Exception):
    """A deleted secret has the name; it can be recovered."""


def _no_value(variables: Sequence[str]) -> InvalidSettingsError:
    return InvalidSettingsError(
        "tfvars contain only a placeholder, and Key Vault has no value, for:",
        details=variables,
        remedy="Write the value into `secrets`. Once it is in Key Vault, a placeholder is enough.",
    )
