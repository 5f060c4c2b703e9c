"""The gateway of end-to-end tests. Each backend that the test routes know is one of the simulated regions."""

from __future__ import annotations

from typing import Any

import httpx

from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, REGIONS, Stage
from tests.behaviour.support import V1_CHAT

PTU, PAYG_1, PAYG_2 = REGIONS
NAMES = {PTU: "ptu-backend-1", PAYG_1: "payg-backend-1", PAYG_2: "payg-backend-2"}


def e2e_gateway(stage: Stage, **settings: Any) -> Gateway:
    """A gateway in `GATEWAY_E2E_TEST_MODE`."""
    names = {f"AZURE_OPENAI_NAME_{index}": name for index, name in enumerate(NAMES.values())}
    mode: dict[str, Any] = {"GATEWAY_E2E_TEST_MODE": "true", "AZURE_OPENAI_PRIORITY_0": 1}
    return stage.gateway(REGIONS, **names, **(mode | settings))


def chat(client: httpx.Client, prefix: str, **members: object) -> httpx.Response:
    """A chat completion on the v1 surface below a prefix."""
    return client.post(f"/{prefix}{V1_CHAT}", json=CHAT | members)
