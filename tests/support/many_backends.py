"""Settings of a gateway with very many backends and clients, for the live page."""

from __future__ import annotations

from typing import Any

BACKENDS, CLIENTS = 300, 50
DEPLOYMENTS = ("gpt-4o", "gpt-4o-mini", "o4-mini")


def key_of(client: int) -> str:
    """The key of one of the clients."""
    return f"client-key-number-{client:04d}"


def many(endpoint: str, key: str) -> dict[str, Any]:
    """All backends are one server, under names of their own; everybody on this machine may watch."""
    settings: dict[str, Any] = {"GATEWAY_LIVE_PAGE": "local"}
    for index in range(BACKENDS):
        settings[f"AZURE_OPENAI_NAME_{index}"] = f"backend-{index}"
        settings[f"AZURE_OPENAI_ENDPOINT_{index}"] = endpoint
        settings[f"AZURE_OPENAI_KEY_{index}"] = key
        settings[f"AZURE_OPENAI_DEPLOYMENTS_{index}"] = ",".join(DEPLOYMENTS)
    for index in range(CLIENTS):
        settings[f"GATEWAY_CLIENT_NAME_{index}"] = f"client-{index}"
        settings[f"GATEWAY_CLIENT_KEY_{index}"] = key_of(index)
    return settings
