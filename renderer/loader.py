"""From the sources to settings that hold together, or to a list of everything that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from renderer import cross_rules
from renderer.draft import parse
from renderer.model import Settings
from renderer.problems import ConfigurationError, Problem
from renderer.sources import VaultReader, gather
from renderer.unknown_names import unknown_in_environment, unknown_in_file


def load_settings(
    env: Mapping[str, str],
    *,
    env_file: Mapping[str, str] | None = None,
    read_vault: VaultReader | None = None,
) -> Settings:
    """Build the settings from environment variables, Key Vault when `KEY_VAULT_URL` is set, and an env file.

    `env` wins over Key Vault, which wins over `env_file` (the parsed file, see `read_env_file`). `read_vault`
    replaces the Azure SDK. Raises `ConfigurationError` with every problem found, or `KeyVaultError`.
    """
    env_file = env_file or {}
    texts = gather(env, env_file, read_vault)
    draft = parse(texts)
    found = [*draft.problems, *cross_rules.check(draft)]
    # Other problems of a damaged text follow from the damage.
    problems = [problem for problem in found if problem.setting not in draft.damaged]
    foreign = {name: text for name, text in draft.unknown.items() if name not in env_file}
    problems += [*draft.damaged.values(), *unknown_in_file(env_file), *unknown_in_environment(foreign)]
    if problems:
        raise ConfigurationError(_sorted(problems))
    return draft.settings()


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once, in the order of the settings' names: `…_2` comes before `…_10`."""

    def key(problem: Problem) -> list[tuple[bool, int, str]]:
        parts = re.split(r"(\d{1,9})", problem.setting)
        return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]

    return sorted(dict.fromkeys(problems), key=key)
