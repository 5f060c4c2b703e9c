"""A file of settings: YAML if its name ends in .yaml or .yml, else `NAME=value` lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from renderer.draft import parse
from renderer.env_file import read_env_file
from renderer.origins import origin_of
from renderer.problems import ConfigurationError, Problem

YAML_EXTENSIONS = (".yaml", ".yml")


def read_settings_file(path: Path | str) -> dict[str, str]:
    """Read a file of settings; returns a text for each variable, and for each name that no variable has.

    Example: a `gateway.yaml` with `redis: {host: a}` and an env file with `REDIS_HOST=a` both give
    `{"REDIS_HOST": "a"}`. Raises `ConfigurationError` when the file cannot be read as its format, also
    with what is wrong with the values that could be read.
    """
    try:
        return _read(path)
    except ConfigurationError as error:
        raise ConfigurationError([*error.problems, *_of_values(error.readable)]) from None


def _read(path: Path | str) -> dict[str, str]:
    if Path(path).suffix.lower() in YAML_EXTENSIONS:
        from renderer.yaml_file import read_yaml_file  # env files do without

        return read_yaml_file(path)
    return read_env_file(path)


def _of_values(texts: Mapping[str, str]) -> Iterator[Problem]:
    """Mistakes in the values of known settings.

    What is missing may stand in a line that could not be read. An unknown name is not told: beside such lines
    it may be a part of a secret, such as a private key.
    """
    draft = parse({name: text for name, text in texts.items() if text.strip()})
    for problem in draft.problems:
        if (origin := origin_of(texts.get(problem.setting))) is not None:
            yield replace(problem, origin=str(origin))
