"""O1: how many series the metrics have, and that a rate misses no event of them."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from e2e.metrics import Sample, parse
from e2e.simulator import Region, Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import API_VERSION, CHAT, Stage
from tests.behaviour.support import EXPORT_SECONDS, PREFIX, USAGE, samples, total

BACKENDS = [f"region-{number}" for number in range(10)]
DEPLOYMENTS = [f"deployment-{number}" for number in range(5)]
CLIENTS = [f"client-{number}" for number in range(10)]
LANES = ["high", "low"]
PAIRS = list(itertools.product(BACKENDS, DEPLOYMENTS))
FAULTS: list[dict[str, Any]] = [
    {"status": 429, "retry_after_ms": 1},
    {"status": 500},
    {"status": 400},
    {"reset": True},
    {"status": 401},
]
QUOTA = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "250"}
# How many series each has at first: by how requests end, with a backend, without one, and by client.
COUNTERS = {
    "requests_total": 4 * len(PAIRS) + 5 * len([*DEPLOYMENTS, "other"]),
    "client_requests_total": 7 * len(LANES) * len(CLIENTS),
}
MOST = 1500
MANY_CLIENTS = 300
"""More than start with series of their own, and with more sums than a worker hands over in one second."""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator([Region(name, key=f"key-of-{name}") for name in BACKENDS]) as simulator:
        yield simulator


@pytest.fixture
def stage(sim: Simulator, pytestconfig: pytest.Config) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(sim, pytestconfig.getoption("--engine"), stack)


def large(stage: Stage) -> Gateway:
    """A gateway of ten backends, five deployments and ten clients with three budgets each."""
    settings: dict[str, object] = {"GATEWAY_LOG_MODE": "test", "BREAKER_FAILURES": 100}
    for index, name in enumerate(BACKENDS):
        settings[f"AZURE_OPENAI_DEPLOYMENTS_{index}"] = ",".join(DEPLOYMENTS)
        settings[f"AZURE_OPENAI_REGION_{index}"] = name
    for index, name in enumerate(CLIENTS):
        settings[f"GATEWAY_CLIENT_NAME_{index}"] = name
        settings[f"GATEWAY_CLIENT_KEY_{index}"] = key_of(name)
        for period in ("HOUR", "DAY", "MONTH"):
            settings[f"GATEWAY_CLIENT_TOKENS_PER_{period}_{index}"] = 10**9
    return stage.gateway(BACKENDS, **settings)


def identity(sample: Sample) -> tuple[str, ...]:
    return (sample.name, *(f"{name}={text}" for name, text in sorted(sample.labels.items())))


def key_of(client: str) -> str:
    return f"key-of-the-client-called-{client}"


def exported(gateway: Gateway) -> list[Sample]:
    return parse(httpx.get(gateway.metrics_url).text)


def ours(samples: list[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.name.startswith(PREFIX)]


def answer_with_usage(sim: Simulator) -> None:
    """Lets all backends report every kind of token, a model for each deployment and their quota."""
    usage = USAGE | {"prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 300}}
    for backend, deployment in PAIRS:
        body = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [], "usage": usage}
        headers = {"content-type": "application/json"} | QUOTA
        body["model"] = f"model-of-{deployment}"
        sim.fail(backend, deployment=deployment, method="POST", status=200, body=body, headers=headers)


def chats(clients: list[httpx.Client], version: str, **members: object) -> int:
    """One chat of each client, in both lanes, for each deployment; returns how many."""
    for deployment, client, lane in itertools.product(DEPLOYMENTS, clients, LANES):
        target = f"/openai/deployments/{deployment}/chat/completions?api-version={version}"
        client.post(target, json=CHAT | members, headers={"x-priority": lane})
    return len(DEPLOYMENTS) * len(clients) * len(LANES)


def load(stage: Stage, sim: Simulator, gateway: Gateway) -> int:
    """Requests of every client in both lanes for every deployment, at backends that fail in several ways."""
    clients = [stage.http(gateway, key_of(name)) for name in CLIENTS]
    # Streams without a usage, whose tokens are estimated.
    count = chats(clients, "2024-06-01", stream=True)
    for fault in FAULTS:
        for backend, deployment in PAIRS:
            sim.fail(backend, deployment=deployment, count=1, **fault)
        count += chats(clients, API_VERSION)
    answer_with_usage(sim)
    return count + chats(clients, API_VERSION)


def test_o1_series_are_bounded_and_start_at_zero(stage: Stage, sim: Simulator) -> None:
    gateway = large(stage)
    # A page may be made while a worker hands its series over.
    eventually(
        lambda: [len(samples(gateway, name)) for name in COUNTERS] == list(COUNTERS.values()),
        seconds=EXPORT_SECONDS,
    )
    before = exported(gateway)
    count = load(stage, sim, gateway)
    eventually(lambda: total(gateway, "requests_total") == count, seconds=EXPORT_SECONDS)
    after = exported(gateway)
    print(
        f"{count} requests: {len(ours(before))} series of ours at first and {len(ours(after))} after, "
        f"{len(after) - len(ours(after))} of APISIX's"
    )
    assert len(ours(after)) <= MOST
    # What a rate over the first minute would see.
    counters = {PREFIX + name for name in COUNTERS}
    first = {identity(sample): sample.value for sample in before if sample.name in counters}
    seen = sum(sample.value - first[identity(sample)] for sample in after if identity(sample) in first)
    assert seen == len(counters) * count


def test_o1_the_series_of_many_clients_begin_when_they_count(stage: Stage, sim: Simulator) -> None:
    """And a worker that has more to hand over than one turn takes loses nothing of it."""
    names = [f"client-{number}" for number in range(MANY_CLIENTS)]
    settings: dict[str, object] = {"GATEWAY_LOG_MODE": "test"}
    for index, name in enumerate(names):
        settings[f"GATEWAY_CLIENT_NAME_{index}"] = name
        settings[f"GATEWAY_CLIENT_KEY_{index}"] = key_of(name)
    gateway = stage.gateway(BACKENDS[:1], **settings)
    eventually(lambda: samples(gateway, "refusals_total"), seconds=EXPORT_SECONDS)
    before = samples(gateway, "client_requests_total")
    assert len(samples(gateway, "forbidden_total")) == MANY_CLIENTS  # an alert reads these
    client = stage.http(gateway)
    for name in names:
        client.post("/openai/v1/chat/completions", json=CHAT, headers={"api-key": key_of(name)})
    # A page may be made between two turns of a worker.
    eventually(
        lambda: (
            [
                total(gateway, "client_requests_total"),
                len(samples(gateway, "tokens_total", kind="prompt")),
            ]
            == [MANY_CLIENTS, MANY_CLIENTS]
        ),
        seconds=EXPORT_SECONDS,
    )
    assert before == []


@pytest.mark.parametrize("name", ["apisix_http_status", PREFIX + "requests_total"])
def test_o1_the_last_request_of_a_stopping_worker_counts(stage: Stage, sim: Simulator, name: str) -> None:
    if stage.engine == "docker":
        pytest.skip("nothing outside of a container makes its workers stop one by one")
    sim.fail(BACKENDS[0], slow_first_byte=1)
    gateway = stage.gateway(BACKENDS[:1])
    client = stage.http(gateway)
    thread = threading.Thread(target=client.post, args=["/openai/v1/chat/completions"], kwargs={"json": CHAT})
    thread.start()
    sim.wait_for_requests(BACKENDS[0])
    os.kill(gateway.pid, signal.SIGHUP)
    thread.join()
    eventually(
        lambda: (
            sum(each.value for each in exported(gateway) if each.name == name and counts_inference(each)) == 1
        ),
        seconds=EXPORT_SECONDS,
    )


def counts_inference(sample: Sample) -> bool:
    """Whether a sample is of our requests, or of APISIX's route for them: probes are counted, too."""
    return sample.labels.get("route", "inference") == "inference"
