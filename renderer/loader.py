"""From text to settings: merge the sources, parse every variable, report all mistakes at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from renderer import names
from renderer.cross_rules import Parsed, check
from renderer.model import Group, NumberedGroup, Settings
from renderer.problems import ConfigurationError, Problem
from renderer.sources import in_quotes, present
from renderer.wording import explain

G = TypeVar("G", bound=Group)

VaultReader = Callable[[str, Callable[[str], bool], str | None], Mapping[str, str]]
"""Reads a vault: its URL, whether a variable is wanted, the identity's client id -> variables and values."""

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


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
    values = _merge(present(env), present(env_file or {}), read_vault)
    known = {name: value for name, value in values.items() if names.is_known(name)}
    badly_written = {problem.setting: problem for problem in _badly_written(known)}
    problems: list[Problem] = []
    parsed = Parsed(values=values)
    for field, group in names.scalar_groups().items():
        parsed.groups[field] = _parse(group, known, problems)
    for group in names.NUMBERED_GROUPS:
        parsed.members[group] = _parse_numbered(group, known, problems)
    problems.extend(check(parsed))
    # What is wrong with such a value besides is a consequence.
    problems = [problem for problem in problems if problem.setting not in badly_written]
    problems += [*badly_written.values(), *names.misspelt(values)]
    if problems:
        raise ConfigurationError(_sorted(problems))
    return parsed.settings()


def _merge(env: dict[str, str], env_file: dict[str, str], read_vault: VaultReader | None) -> dict[str, str]:
    outside = {**env_file, **env}
    vault_url = _vault_url(outside)
    if vault_url is None:
        return outside

    def wanted(name: str) -> bool:
        return names.is_known(name) and name not in env

    secrets = (read_vault or _read_vault)(vault_url, wanted, outside.get("AZURE_CLIENT_ID"))
    return {**env_file, **present(secrets), **env}


def _read_vault(url: str, wanted: Callable[[str], bool], client_id: str | None) -> Mapping[str, str]:
    from renderer import key_vault  # the Azure SDK is slow to import and seldom needed

    return key_vault.read_vault(url, wanted, client_id)


def _vault_url(values: Mapping[str, str]) -> str | None:
    """The vault's URL; an invalid one is None here and reported when the settings are parsed."""
    group = names.scalar_groups()["sources"]
    parsed = _parse(group, values, [])
    url = getattr(parsed, "key_vault_url", None)
    return url if isinstance(url, str) else None


def _badly_written(values: Mapping[str, str]) -> Iterable[Problem]:
    for name, value in values.items():
        if _UNPRINTABLE.search(value):
            yield Problem(
                name, "has control characters or bytes that are not UTF-8", "Write it again as plain text"
            )
        elif in_quotes(value):
            yield Problem(
                name,
                "has quotation marks around it, which would be part of the value",
                "Write it without them",
            )


def _parse(group: type[G], values: Mapping[str, str], problems: list[Problem]) -> G | None:
    data = {
        field: values[variable]
        for field, info in group.model_fields.items()
        if (variable := names.env_of(info)) in values
    }
    return _validate(group, data, None, problems)


def _parse_numbered(
    group: type[NumberedGroup], values: Mapping[str, str], problems: list[Problem]
) -> dict[int, NumberedGroup | None]:
    by_index: dict[int, dict[str, str]] = {}
    for name, value in values.items():
        parts = names.numbered(name)
        if parts is not None and parts.group is group:
            by_index.setdefault(parts.index, {})[parts.field] = value
    problems.extend(_gaps(group, by_index))
    return {index: _validate(group, data, index, problems) for index, data in sorted(by_index.items())}


def _gaps(group: type[NumberedGroup], by_index: Mapping[int, Collection[str]]) -> Iterable[Problem]:
    """A problem for each run of missing numbers, naming the variables that come after it."""
    expected = 0
    for place, index in enumerate(sorted(by_index)):
        if index > expected:
            missing = str(expected) if index == expected + 1 else f"{expected} to {index - 1}"
            orphans = ", ".join(
                names.variable(group, field, index)
                for field in group.model_fields
                if field in by_index[index]
            )
            yield Problem(
                f"{group.prefix}_*_{expected}",
                f"is missing: there is no {group.member} {missing}, which leaves {orphans} behind a gap",
                f"Number the {group.member}s from 0 without gaps: rename _{index} to _{place} (and those "
                f"after it), or set {names.variable(group, next(iter(group.model_fields)), expected)}",
            )
        expected = index + 1


def _validate(
    group: type[G], data: Mapping[str, Any], index: int | None, problems: list[Problem]
) -> G | None:
    try:
        return group.model_validate(data)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False, include_input=False):
            problems.append(_problem(group, index, error, data))
    return None


def _problem(group: type[Group], index: int | None, error: ErrorDetails, data: Mapping[str, Any]) -> Problem:
    field = str(error["loc"][0])
    what, remedy = explain(group, field, error, data.get(field))
    return Problem(names.variable(group, field, index), what, remedy)


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once, in the order of the settings' names with numbers counted, not spelt."""

    def key(problem: Problem) -> list[tuple[bool, int, str]]:
        parts = re.split(r"(\d{1,9})", problem.setting)
        return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]

    return sorted(dict.fromkeys(problems), key=key)
