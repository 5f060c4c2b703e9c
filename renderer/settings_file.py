"""A file of settings: YAML if its name ends in .yaml or .yml, else `NAME=value` lines."""

from __future__ import annotations

from pathlib import Path

from renderer.env_file import read_env_file

YAML_EXTENSIONS = (".yaml", ".yml")


def read_settings_file(path: Path | str) -> dict[str, str]:
    """Read a file of settings; returns a text for each variable, and for each name that no variable has.

    Example: a `gateway.yaml` with `redis: {host: a}` and an env file with `REDIS_HOST=a` both give
    `{"REDIS_HOST": "a"}`. Raises `ConfigurationError` when the file cannot be read as its format.
    """
    if Path(path).suffix.lower() in YAML_EXTENSIONS:
        from renderer.yaml_file import read_yaml_file  # env files do without

        return read_yaml_file(path)
    return read_env_file(path)
