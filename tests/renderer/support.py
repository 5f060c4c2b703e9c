"""Settings to begin with, and what the tests ask of them."""

from __future__ import annotations

from typing import Any

import yaml

from renderer import ConfigurationError, Problem, Settings, load_settings, render_files

CLIENT_KEY = "client-key-0123456789"
BACKEND_KEY = "backend-key-0123456789"


def env(**changes: str | None) -> dict[str, str]:
    """A small valid environment with `changes` applied; None removes a variable."""
    values: dict[str, str | None] = {
        "AZURE_OPENAI_ENDPOINT_0": "https://my-eastus.openai.azure.com",
        "AZURE_OPENAI_KEY_0": BACKEND_KEY,
        "GATEWAY_CLIENT_NAME_0": "team-a",
        "GATEWAY_CLIENT_KEY_0": CLIENT_KEY,
        "GATEWAY_WORKER_PROCESSES": "2",
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}


def load(**changes: str | None) -> Settings:
    """The settings of that environment."""
    return load_settings(env(**changes))


def problems(**changes: str | None) -> list[Problem]:
    """The problems of that environment; none when it is valid."""
    try:
        load(**changes)
    except ConfigurationError as error:
        return error.problems
    return []


def problem(setting: str, **changes: str | None) -> Problem:
    """The one problem that environment has, which must be with `setting`."""
    found = problems(**changes)
    assert [each.setting for each in found] == [setting], found
    return found[0]


def documents(**changes: str | None) -> dict[str, Any]:
    """The rendered files of that environment, parsed."""
    files = render_files(load(**changes), "/bundle")
    return {name: yaml.load(text, Loader=yaml.CSafeLoader) for name, text in files.items()}


def metadata(plugin: str, **changes: str | None) -> dict[str, Any]:
    """The metadata of a plugin in the rendered apisix.yaml."""
    items = documents(**changes)["apisix.yaml"]["plugin_metadata"]
    found: dict[str, Any] = next(item for item in items if item["id"] == plugin)
    return found


def route(name: str, **changes: str | None) -> dict[str, Any]:
    """A route of the rendered apisix.yaml."""
    items = documents(**changes)["apisix.yaml"]["routes"]
    found: dict[str, Any] = next(item for item in items if item["id"] == name)
    return found
