"""O1, O2, O3: of one load client, records, metrics and Application Insights tell the same numbers."""

from __future__ import annotations

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from e2e.metrics import Sample, parse
from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.collector.conftest import CHAT, CLIENT_KEY, Stage, rendered
from tests.collector.ingestion import Ingestion

REQUESTS = 300
ARRIVAL_SECONDS = 60
V1 = "/openai/v1"
KINDS = ("prompt", "completion", "cached", "reasoning")
FAULTS: list[dict[str, Any]] = [
    {"status": 429, "retry_after": 1},
    {"status": 500},
    {"status": 400},
    {"reset": True},
    {"cut": 8},
]


@dataclass
class Totals:
    """What one source tells of the load."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Requests by the backend that answered ("" for none) and outcome."""
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Failed attempts by backend and reason."""
    tokens: Counter[str] = field(default_factory=Counter)
    cost: float = 0.0


def ask(client: httpx.Client, number: int) -> tuple[str, int, str]:
    """Makes one of several kinds of requests; returns its id, status and winner as the client saw them."""
    id = f"request-{number}"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("chat/completions", CHAT),
        ("chat/completions", CHAT | {"stream": True}),
        ("chat/completions", CHAT | {"model": "gpt-4o-mini"}),
        ("responses", {"model": "gpt-4o", "input": "Hello", "stream": True}),
        ("embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
    ]
    path, body = calls[number % len(calls)]
    head: list[httpx.Response] = []
    try:
        with client.stream("POST", f"{V1}/{path}", json=body, headers={"x-request-id": id}) as response:
            head.append(response)
            response.read()
    except httpx.RemoteProtocolError:
        pass  # the backend broke off
    [response] = head
    return id, response.status_code, response.headers.get("x-gateway-backend", "")


def of_records(records: list[dict[str, Any]]) -> Totals:
    """The totals of records, as on the console."""
    totals = Totals()
    for record in records:
        totals.outcomes[record.get("backend", ""), record["outcome"]] += 1
        for attempt in record["attempts"]:
            if "reason" in attempt:
                totals.failures[attempt["backend"], attempt["reason"]] += 1
        tokens = record.get("tokens", {})
        totals.tokens.update({kind: tokens[kind] for kind in KINDS if tokens.get(kind)})
        totals.cost += record.get("cost_usd", 0)
    return totals


def of_metrics(gateway: Gateway) -> Totals:
    """The totals of the gateway's own metrics."""
    totals = Totals()
    samples = parse(httpx.get(gateway.metrics_url).text)

    def named(name: str) -> list[Sample]:
        return [each for each in samples if each.name == f"apisix_azure_openai_{name}" and each.value]

    for each in named("requests_total"):
        totals.outcomes[each.labels["backend"], each.labels["outcome"]] += int(each.value)
    for each in named("failovers_total"):
        totals.failures[each.labels["backend"], each.labels["reason"]] += int(each.value)
    for each in named("tokens_total"):
        totals.tokens[each.labels["kind"]] += int(each.value)
    totals.cost = sum(each.value for each in named("cost_usd_total"))
    return totals


SPAN_KINDS = {
    "gen_ai.usage.input_tokens": "prompt",
    "gen_ai.usage.output_tokens": "completion",
    "gen_ai.usage.cache_read.input_tokens": "cached",
    "gen_ai.usage.reasoning.output_tokens": "reasoning",
}


def properties(ingestion: Ingestion, base_type: str) -> list[dict[str, str]]:
    """The properties of all envelopes of a type."""
    return [each["data"]["baseData"]["properties"] for each in ingestion.of_type(base_type)]


def of_spans(ingestion: Ingestion) -> Totals:
    """The totals of the requests and dependencies of Application Insights."""
    totals = Totals()
    for each in properties(ingestion, "RequestData"):
        totals.outcomes[each.get("azure_openai.backend", ""), each["azure_openai.outcome"]] += 1
        tokens = {kind: int(each[name]) for name, kind in SPAN_KINDS.items() if int(each.get(name, 0))}
        totals.tokens.update(tokens)
        totals.cost += float(each.get("azure_openai.cost_usd", 0))
    for each in properties(ingestion, "RemoteDependencyData"):
        # What came too late for another attempt is an error of its dependency, and no failover.
        if "error.type" in each and each["error.type"] != "stream_interrupted":
            totals.failures[each["azure_openai.backend"], each["error.type"]] += 1
    return totals


def log_records(ingestion: Ingestion) -> list[dict[str, Any]]:
    """The records of Application Insights, in the form of the console."""
    records: list[dict[str, Any]] = []
    for each in properties(ingestion, "MessageData"):
        tokens = {kind: int(each[f"tokens.{kind}"]) for kind in KINDS if f"tokens.{kind}" in each}
        record: dict[str, Any] = dict(each)
        record |= {"attempts": json.loads(each["attempts"]), "tokens": tokens}
        record["cost_usd"] = float(each.get("cost_usd", 0))
        records.append(record)
    return records


def console_records(gateway: Gateway) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gateway.access_log.read_text().splitlines()]


def make_load(gateway: Gateway, simulator: Simulator, seed: int) -> list[tuple[str, int, str]]:
    """Makes the requests, eight at a time, against backends that fail now and then."""
    chance = random.Random(seed)
    for region in ("eastus", "westus"):
        for _ in range(40):
            simulator.fail(region, **chance.choice(FAULTS), count=1)
    with (
        httpx.Client(base_url=gateway.url, headers={"api-key": CLIENT_KEY}, timeout=30) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        return list(pool.map(lambda number: ask(client, number), range(REQUESTS)))


@pytest.mark.parametrize("seed", [20261129])
def test_all_sources_agree(stage: Stage, simulator: Simulator, ingestion: Ingestion, seed: int) -> None:
    insights = {"APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string}
    collector = stage.collector(rendered(**insights), environment=insights)
    simulator.reset()
    gateway = stage.gateway(
        OTEL_COLLECTOR_ENDPOINT=collector.otlp_endpoint,
        OTEL_SAMPLE_RATE="1",
        GATEWAY_LOG_MODE="test",
        BREAKER_FAILURES="1000",
        AZURE_OPENAI_NAME_1="westus",
        AZURE_OPENAI_ENDPOINT_1=simulator.endpoint("westus"),
        AZURE_OPENAI_KEY_1="key-of-westus",
    )
    told = make_load(gateway, simulator, seed)

    eventually(lambda: len(ingestion.of_type("MessageData")) >= REQUESTS, ARRIVAL_SECONDS)
    eventually(lambda: len(ingestion.of_type("RequestData")) >= REQUESTS, ARRIVAL_SECONDS)
    eventually(lambda: sum(of_metrics(gateway).outcomes.values()) >= REQUESTS, ARRIVAL_SECONDS)
    records = console_records(gateway)
    logs = log_records(ingestion)

    seen = {record["request_id"]: (record["status"], record.get("backend", "")) for record in records}
    assert seen == {id: (status, winner) for id, status, winner in told}
    assert sorted(log["request_id"] for log in logs) == sorted(seen)
    expected = of_records(records)
    assert expected.failures, "the load met no failure"
    for source, totals in {
        "logs": of_records(logs),
        "metrics": of_metrics(gateway),
        "traces": of_spans(ingestion),
    }.items():
        assert totals.outcomes == expected.outcomes, source
        assert totals.failures == expected.failures, source
        assert totals.tokens == expected.tokens, source
        assert totals.cost == pytest.approx(expected.cost, rel=1e-9), source
