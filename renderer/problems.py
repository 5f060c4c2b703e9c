"""What can go wrong, in the words of the person who has to fix it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake or doubt: the setting, what is wrong, what to write instead, where the value comes from.

    None of the texts ever holds the value of a secret.
    """

    setting: str
    message: str
    remedy: str
    origin: str = ""
    """Where the value was written, such as `.env, line 3`; empty when there is none or nobody knows."""

    def __str__(self) -> str:
        return f"{self.setting}{self.place} {self.message}. {self.remedy_sentence}"

    @property
    def place(self) -> str:
        """The origin as it follows the setting. Example: ` (.env, line 3)`."""
        return f" ({self.origin})" if self.origin else ""

    @property
    def remedy_sentence(self) -> str:
        """The remedy with its full stop or question mark. Example: `Write true` → `Write true.`"""
        return self.remedy if self.remedy.endswith("?") else f"{self.remedy}."


class ConfigurationError(Exception):
    """The settings cannot be used; `problems` lists every reason, not only the first.

    `warnings` are doubts about other values, and `ignored` variables that are not read: see `loader.Loaded`.
    `readable` are the texts that a file has in spite of its problems; they hold secrets.
    """

    exit_code = 2

    def __init__(
        self,
        problems: Iterable[Problem],
        warnings: Iterable[Problem] = (),
        ignored: Iterable[str] = (),
        *,
        readable: Mapping[str, str] | None = None,
    ) -> None:
        self.problems: list[Problem] = list(problems)
        self.warnings: list[Problem] = list(warnings)
        self.ignored: list[str] = list(ignored)
        self.readable: Mapping[str, str] = readable or {}
        super().__init__("\n".join(map(str, self.problems)))


class KeyVaultError(Exception):
    """Key Vault did not hand out the secrets; `remedy` says what to do about it."""

    exit_code = 3

    def __init__(self, vault_url: str, message: str, remedy: str) -> None:
        self.vault_url = vault_url
        self.message = message
        self.remedy = remedy
        super().__init__(f"Key Vault {vault_url}: {message}. {remedy}.")


class KeyVaultPermissionError(KeyVaultError):
    """The identity is missing, unknown to the vault, or not allowed to read its secrets."""


class KeyVaultUnreachableError(KeyVaultError):
    """There is no such vault, or no network path to it."""


class KeyVaultThrottledError(KeyVaultError):
    """The vault still answered 429 after every retry."""
