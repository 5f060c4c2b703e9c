"""A simulator with two regions, reset for every test, and clients of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import openai
import pytest

from e2e.simulator import Deployment, Quota, Region, Simulator

API_VERSION = "2024-10-21"
CHAT_PATH = f"/openai/deployments/gpt-4o/chat/completions?api-version={API_VERSION}"
CHAT = {"messages": [{"role": "user", "content": "hello there"}]}
STREAMED_CHAT = {**CHAT, "stream": True}


@pytest.fixture(scope="session")
def running() -> Iterator[Simulator]:
    regions = [
        Region(
            "eastus", key="key-east", secondary_key="key-east-2", token="identity-token", background_s=3600
        ),
        Region(
            "westus",
            key="key-west",
            deployments=[
                "gpt-4o",
                "text-embedding-3-small",
                Deployment("small", model="gpt-4o-mini-2024-07-18", quota=Quota(tpm=100, rpm=3)),
            ],
        ),
    ]
    with Simulator(regions) as simulator:
        yield simulator


@pytest.fixture
def sim(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture
def http(sim: Simulator) -> Iterator[httpx.Client]:
    """Plain HTTP to eastus with its key."""
    with httpx.Client(
        base_url=sim.endpoint("eastus"), headers={"api-key": "key-east"}, trust_env=False, timeout=10
    ) as client:
        yield client


@pytest.fixture
def west(sim: Simulator) -> Iterator[httpx.Client]:
    """Plain HTTP to westus with its key."""
    with httpx.Client(
        base_url=sim.endpoint("westus"), headers={"api-key": "key-west"}, trust_env=False, timeout=10
    ) as client:
        yield client


@pytest.fixture
def azure(sim: Simulator) -> Iterator[openai.AzureOpenAI]:
    with openai.AzureOpenAI(
        azure_endpoint=sim.endpoint("eastus"), api_key="key-east", api_version=API_VERSION, max_retries=0
    ) as client:
        yield client


@pytest.fixture
def v1(sim: Simulator) -> Iterator[openai.OpenAI]:
    base_url = sim.endpoint("eastus") + "/openai/v1/"
    with openai.OpenAI(base_url=base_url, api_key="key-east", max_retries=0) as client:
        yield client
