"""The end-to-end stage as the workload stack makes it: its settings, and the keys that the command makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from e2e.load.plan import CLIENTS
from e2e.targets.simulators import BACKENDS, PTU
from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.model.gateway import EndToEnd, Gateway, Redis
from renderer.names import is_secret_name, variable, variables

SIMULATOR_KEY = "E2E_SIMULATOR_KEY"
"""The one key of all simulators, as clients that measure them expect."""

ADMIN_KEY = "E2E_SIMULATOR_ADMIN_KEY"
"""The key with which tests script the simulators' faults."""

CONFIG_API_TOKEN = "E2E_CONFIG_API_TOKEN"  # noqa: S105 - a name
"""What the gateway and the config API beside it know each other by."""

DEFAULT_MAX_REPLICAS = 5
"""What the stack takes for `max_replicas`."""


def client_key(name: str) -> str:
    """The secret with a client's key: `client-one` gives `E2E_CLIENT_ONE_KEY`."""
    return f"E2E_{name.upper().replace('-', '_')}_KEY"


def stage_secrets() -> dict[str, str]:
    """For each secret that the gateway reads, the one in Key Vault that has its value.

    Their names are the stage's own, so the user's keys stay as they are: `{"AZURE_OPENAI_KEY_0":
    "E2E_SIMULATOR_KEY", …, "GATEWAY_CLIENT_KEY_0": "E2E_CLIENT_ONE_KEY", …}`.
    """
    simulators = {variable(Backend, "key", index): SIMULATOR_KEY for index, _ in enumerate(BACKENDS)}
    clients = {variable(Client, "key", index): client_key(name) for index, name in enumerate(CLIENTS)}
    return simulators | clients | {variable(EndToEnd, "config_api_token"): CONFIG_API_TOKEN}


def made_secrets() -> tuple[str, ...]:
    """Every secret in Key Vault whose value the command makes."""
    return tuple(dict.fromkeys([*stage_secrets().values(), ADMIN_KEY]))


def stage_settings(values: Mapping[str, Any], domain: str) -> dict[str, str]:
    """The settings that the workload stack gives to the gateway of the stage. `values` are its tfvars.

    `({"name": "aigw", "environment": "dev"}, "env.example.com")` gives, beside the test mode and more,
    `{"AZURE_OPENAI_ENDPOINT_0": "https://ca-aigw-dev-sim-ptu1.env.example.com"}`.
    """
    stem = f"{values.get('name')}-{values.get('environment')}"
    inside = "internal." if values.get("ingress_external") is False else ""
    found = {variable(Gateway, "e2e_test_mode"): "true"}
    for index, name in enumerate(BACKENDS):
        app = name.replace("-backend-", "")
        fields = {
            "endpoint": f"https://ca-{stem}-sim-{app}.{inside}{domain}",
            "name": name,
            "priority": "1" if name == PTU else "0",
        }
        found |= variables(Backend, index, fields)
    for index, name in enumerate(CLIENTS):
        found[variable(Client, "name", index)] = name
    return found


def fixed_in_stage(map_name: str, chosen: Mapping[str, str]) -> Iterator[str]:
    """A complaint about each setting in a map of the tfvars that the stage has of its own."""
    fixed = {_unnumbered(name) for name in stage_settings({}, "example.com")}
    for name in sorted(chosen):
        if _unnumbered(name) in fixed or is_secret_name(name):
            yield f"{map_name}.{name} cannot be chosen: the end-to-end stage has its own. Remove it."


def _unnumbered(name: str) -> str:
    """`AZURE_OPENAI_NAME_3` gives `AZURE_OPENAI_NAME`."""
    return name.rstrip("0123456789").rstrip("_")


def stage_problems(values: Mapping[str, Any], app_settings: Mapping[str, str]) -> Iterator[str]:
    """What the stack would refuse only after the keys are in Key Vault."""
    shared = values.get("redis_enabled") is True or variable(Redis, "host") in app_settings
    if values.get("max_replicas", DEFAULT_MAX_REPLICAS) != 1 and not shared:
        yield (
            "--deploy-e2e with more than one replica needs Redis, which keeps limits, ownership and "
            "preferred backends for all of them: set redis_enabled = true with REDIS_PASSWORD in secrets, "
            "or max_replicas = 1."
        )
