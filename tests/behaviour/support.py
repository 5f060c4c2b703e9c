"""Short forms for what most behaviour tests do."""

from __future__ import annotations

import httpx

from tests.behaviour.conftest import API_VERSION, CHAT

DEPLOYMENT_CHAT = f"/openai/deployments/gpt-4o/chat/completions?api-version={API_VERSION}"
V1_CHAT = "/openai/v1/chat/completions"
V1_RESPONSES = "/openai/v1/responses"


def chat(client: httpx.Client, **members: object) -> httpx.Response:
    """A chat completion on the v1 surface."""
    return client.post(V1_CHAT, json=CHAT | members)


def attempts(response: httpx.Response) -> list[str]:
    """The attempt trail that the gateway reports, for example ``["eastus:429", "westus:200"]``."""
    return response.headers.get("x-gateway-attempts", "").split(",")


def winner(response: httpx.Response) -> str:
    """The name of the backend that answered."""
    return response.headers["x-gateway-backend"]
