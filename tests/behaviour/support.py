"""Helpers that most behaviour tests use."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx

from e2e.metrics import Sample, parse
from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import API_VERSION, CHAT, CLIENT_KEY

DEPLOYMENT_CHAT = f"/openai/deployments/gpt-4o/chat/completions?api-version={API_VERSION}"
V1_CHAT = "/openai/v1/chat/completions"
V1_RESPONSES = "/openai/v1/responses"
PREFIX = "apisix_azure_openai_"
# APISIX refreshes the metrics that it exports every 5 s.
EXPORT_SECONDS = 20
# What a backend reports of an answer, with some tokens of each kind.
USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 400},
    "completion_tokens_details": {"reasoning_tokens": 50},
}


def chat(client: httpx.Client, **members: object) -> httpx.Response:
    """A chat completion on the v1 surface."""
    return client.post(V1_CHAT, json=CHAT | members)


def leave_before_the_answer(
    gateway: Gateway, sim: Simulator, body: dict[str, Any], path: str = V1_CHAT
) -> None:
    """Sends a request in one piece, as many clients do, and leaves as soon as eastus has it."""
    content = json.dumps(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: gateway\r\napi-key: {CLIENT_KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(f"{head}{content}".encode())
        sim.wait_for_requests("eastus")


def attempts(response: httpx.Response) -> list[str]:
    """The attempt trail that the gateway reports, for example ``["eastus:429", "westus:200"]``."""
    return response.headers.get("x-gateway-attempts", "").split(",")


def winner(response: httpx.Response) -> str:
    """The name of the backend that answered."""
    return response.headers["x-gateway-backend"]


def samples(gateway: Gateway, name: str, **labels: str) -> list[Sample]:
    """The samples that one of the gateway's own metrics exports now."""
    export = parse(httpx.get(gateway.metrics_url).text)
    return [sample for sample in export if sample.name == PREFIX + name and sample.has(**labels)]


def total(gateway: Gateway, name: str, **labels: str) -> float:
    """The sum of the samples with some labels now."""
    return sum(sample.value for sample in samples(gateway, name, **labels))


def value(gateway: Gateway, name: str, **labels: str) -> float:
    """The sum of the samples with some labels, as soon as it is not 0."""
    return eventually(lambda: total(gateway, name, **labels), seconds=EXPORT_SECONDS) or 0


def logged(gateway: Gateway, text: str) -> str:
    """Waits for the line of the error log that holds a text; a container's log takes a moment."""

    def read() -> str | None:
        lines = gateway.error_log.read_text().splitlines()
        return next((line for line in lines if text in line), None)

    found = eventually(read, seconds=10)
    assert found is not None
    return found


def records(gateway: Gateway, count: int = 1) -> list[dict[str, Any]]:
    """Waits for the records of the first `count` requests."""

    def read() -> list[dict[str, Any]] | None:
        lines = gateway.access_log.read_text().splitlines()
        return [json.loads(line) for line in lines] if len(lines) >= count else None

    found = eventually(read, seconds=10)
    assert found is not None
    return found


def record_of(gateway: Gateway) -> dict[str, Any]:
    """The record of the only request."""
    [record] = records(gateway)
    return record
