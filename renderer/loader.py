"""From the sources to settings that hold together, or to a list of everything that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from renderer import cross_rules, warning_rules
from renderer.draft import Draft, parse
from renderer.model import Settings
from renderer.names import place_of, yaml_path
from renderer.origins import Origin, origin_of
from renderer.problems import ConfigurationError, Problem
from renderer.sources import VaultReader, gather
from renderer.unknown_names import ignored_in_environment, unknown_in_environment, unknown_in_file
from renderer.warning_rules.placeholders import placeholder


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, what may be wrong with them although they are valid, and where their texts come from."""

    settings: Settings
    warnings: tuple[Problem, ...]
    """Values that are valid and cannot work."""
    ignored: tuple[str, ...]
    """Variables of the environment that look like the gateway's and are not: those of other tools."""
    texts: Mapping[str, str] = field(repr=False)
    """The text of each variable, which knows its origin."""

    def located(self, problem: Problem) -> Problem:
        """A problem that was found later, with the place of its setting."""
        return _Places(self.texts).of(problem)


def load(
    env: Mapping[str, str],
    *,
    env_file: Mapping[str, str] | None = None,
    read_vault: VaultReader | None = None,
) -> Loaded:
    """Build the settings from environment variables, Key Vault when `KEY_VAULT_URL` is set, and a file.

    `env` wins over Key Vault, which wins over `env_file` (the parsed file, see `read_settings_file`).
    `read_vault` replaces the Azure SDK. Raises `ConfigurationError` with every problem found, and with the
    warnings about all other values, or `KeyVaultError`.
    """
    env_file = env_file or {}
    texts = gather(env, env_file, read_vault)
    draft = parse(texts)
    foreign = {name: text for name, text in draft.unknown.items() if name not in env_file}
    problems = [
        *_of_values(draft),
        *draft.damaged.values(),
        *unknown_in_file(env_file),
        *unknown_in_environment(foreign),
    ]
    faulty = {problem.setting for problem in problems}
    doubts = (doubt for doubt in warning_rules.check(draft) if doubt.setting not in faulty)
    places = _Places({**env_file, **texts})
    warnings = _sorted(map(places.of, doubts))
    ignored = tuple(sorted(name for name in ignored_in_environment(foreign) if name not in faulty))
    if problems:
        raise ConfigurationError(_sorted(map(places.of, problems)), warnings, ignored)
    return Loaded(draft.settings(), tuple(warnings), ignored, texts)


def load_settings(
    env: Mapping[str, str],
    *,
    env_file: Mapping[str, str] | None = None,
    read_vault: VaultReader | None = None,
) -> Settings:
    """The settings alone; see `load`."""
    return load(env, env_file=env_file, read_vault=read_vault).settings


def _of_values(draft: Draft) -> Iterable[Problem]:
    """What is wrong with values. One that marks a place, or was damaged on its way, has that problem only."""
    for problem in (*draft.problems, *cross_rules.check(draft)):
        if problem.setting not in draft.damaged:
            yield placeholder(problem.setting, draft.texts.get(problem.setting, "")) or problem


class _Places:
    """Where each setting is written, and where a YAML file would have one that is missing."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._file = ""
        self._members: dict[tuple[object, int | None], str] = {}
        for name, text in texts.items():
            origin, place = origin_of(text), place_of(name)
            if origin is not None and origin.path and place is not None:
                self._file = origin.where.rpartition(", line ")[0]
                self._members.setdefault((place.group, place.index), origin.where)

    def of(self, problem: Problem) -> Problem:
        """The problem with the place of its setting, as far as it is known."""
        origin = origin_of(self._texts.get(problem.setting)) or self._missing(problem.setting)
        return problem if origin is None or problem.origin else replace(problem, origin=str(origin))

    def _missing(self, setting: str) -> Origin | None:
        place = place_of(setting)
        if place is None or setting in self._texts or not self._file:
            return None
        return Origin(self._members.get((place.group, place.index), self._file), yaml_path(place))


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once, in the order of the settings' names: `…_2` comes before `…_10`."""

    def key(problem: Problem) -> list[tuple[bool, int, str]]:
        parts = re.split(r"(\d{1,9})", problem.setting)
        return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]

    return sorted(dict.fromkeys(problems), key=key)
