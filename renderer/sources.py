"""One text for each variable: from the environment, else from Key Vault, else from an env file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic_core import PydanticCustomError

from renderer.model.gateway import KeyVault, Telemetry
from renderer.names import is_known, secret_of, variable
from renderer.origins import Origin, Text
from renderer.parsers.urls import parse_vault_url

VaultReader = Callable[[str, Callable[[str], bool], str | None], Mapping[str, str]]
"""Reads a vault: its URL, whether a variable is wanted, the identity's client id -> variables and texts."""


def gather(
    env: Mapping[str, str], env_file: Mapping[str, str], read_vault: VaultReader | None = None
) -> dict[str, str]:
    """Merge the sources: `env` wins over Key Vault, which wins over `env_file`.

    Texts are trimmed, and an empty one counts as unset. Each knows where it comes from, as far as `env_file`
    tells. `read_vault` replaces the Azure SDK. Raises `KeyVaultError`.
    Example: `gather({"REDIS_HOST": " a "}, {"REDIS_HOST": "b", "REDIS_PORT": "1"})` →
    `{"REDIS_HOST": "a", "REDIS_PORT": "1"}`.
    """
    env, env_file = _from(Origin("environment"), _present(env)), _present(env_file)
    merged = {**env_file, **env}
    url = _vault_url(merged)
    if url is None:
        return merged

    def wanted(name: str) -> bool:
        return is_known(name) and name not in env

    client_id = merged.get(variable(Telemetry, "client_id"))
    secrets = _present((read_vault or _read_vault)(url, wanted, client_id))
    vault = url.removeprefix("https://")
    places = {name: Origin(f"secret {secret_of(name)} of {vault}") for name in secrets}
    return {**env_file, **{name: Text(text, places[name]) for name, text in secrets.items()}, **env}


def _present(texts: Mapping[str, str]) -> dict[str, str]:
    trimmed = ((name, _trimmed(text)) for name, text in texts.items())
    return {name: text for name, text in trimmed if text}


def _trimmed(text: str) -> str:
    return Text(text.strip(), text.origin) if isinstance(text, Text) else text.strip()


def _from(origin: Origin, texts: Mapping[str, str]) -> dict[str, str]:
    return {name: Text(text, origin) for name, text in texts.items()}


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
