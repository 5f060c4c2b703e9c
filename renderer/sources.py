"""One text for each variable: from the environment, else from Key Vault, else from an env file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from pydantic_core import PydanticCustomError

from renderer.model.gateway import KeyVault, Telemetry
from renderer.names import is_known, variable
from renderer.parsers.urls import parse_vault_url
from renderer.problems import Problem

VaultReader = Callable[[str, Callable[[str], bool], str | None], Mapping[str, str]]
"""Reads a vault: its URL, whether a variable is wanted, the identity's client id -> variables and texts."""

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def gather(
    env: Mapping[str, str], env_file: Mapping[str, str], read_vault: VaultReader | None = None
) -> dict[str, str]:
    """Merge the sources: `env` wins over Key Vault, which wins over `env_file`.

    Texts are trimmed, and an empty one counts as unset. `read_vault` replaces the Azure SDK. Raises
    `KeyVaultError`. Example: `gather({"REDIS_HOST": " a "}, {"REDIS_HOST": "b", "REDIS_PORT": "1"})` →
    `{"REDIS_HOST": "a", "REDIS_PORT": "1"}`.
    """
    env, env_file = _present(env), _present(env_file)
    merged = {**env_file, **env}
    url = _vault_url(merged)
    if url is None:
        return merged

    def wanted(name: str) -> bool:
        return is_known(name) and name not in env

    client_id = merged.get(variable(Telemetry, "client_id"))
    return {**env_file, **_present((read_vault or _read_vault)(url, wanted, client_id)), **env}


def _present(texts: Mapping[str, str]) -> dict[str, str]:
    trimmed = ((name, text.strip()) for name, text in texts.items())
    return {name: text for name, text in trimmed if text}


def _vault_url(texts: Mapping[str, str]) -> str | None:
    """The vault's URL; a wrong one is None here, because the model reports it."""
    text = texts.get(variable(KeyVault, "url"))
    try:
        return None if text is None else str(parse_vault_url(text))
    except PydanticCustomError:
        return None


def _read_vault(url: str, wanted: Callable[[str], bool], client_id: str | None) -> Mapping[str, str]:
    from renderer import key_vault  # the Azure SDK is slow to import and seldom needed

    return key_vault.read_vault(url, wanted, client_id)


def badly_written(texts: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each known variable whose text was damaged: `"in quotes"`, control characters."""
    for name, text in texts.items():
        if not is_known(name):
            continue
        if _UNPRINTABLE.search(text):
            yield Problem(
                name, "has control characters or bytes that are not UTF-8", "Write it again as plain text"
            )
        elif len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            yield Problem(  # only an env file takes them off
                name,
                "has quotation marks around it, which would be part of the value",
                "Write it without them",
            )
