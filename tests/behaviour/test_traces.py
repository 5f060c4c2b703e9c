"""O3: the trace of each request, which ones are kept, and what Application Insights makes of them.

`azuremonitor` makes of a server span a request that succeeded when its `http.response.status_code` is below
400, and of a client span with `http.request.method` a dependency of type HTTP whose target is the host in
`url.full`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from e2e.simulator import Simulator
from tests.behaviour.conftest import CHAT, CLIENT_KEY, Stage
from tests.behaviour.support import (
    DEPLOYMENT_CHAT,
    V1_CHAT,
    attempts,
    chat,
    leave_before_the_answer,
    record_of,
    records,
)
from tests.behaviour.telemetry import (
    NOT_SAMPLED,
    attempt_spans,
    fail_in_mid_stream,
    leave,
    log_of,
    logs_of,
    observed,
    read_broken,
    server_span,
    spans_of,
)
from tests.behaviour.test_observability import answer_with
from tests.support.otlp import CLIENT, SERVER, OtlpReceiver

TRACE, CALLER = "ab" * 16, "cd" * 8
ERROR = 2


def test_o3_a_request_is_one_server_span(stage: Stage, receiver: OtlpReceiver) -> None:
    stage.http(observed(stage, receiver)).post(DEPLOYMENT_CHAT, json=CHAT)
    assert server_span(receiver).name == "POST /openai/deployments/{deployment}/chat/completions"


def test_o3_the_server_span_says_what_was_generated(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    answer_with(sim, "gpt-4o-2024-08-06")
    chat(stage.http(observed(stage, receiver)))
    expected = {
        "gen_ai.provider.name": "azure.ai.openai",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 200,
        "gen_ai.usage.cache_read.input_tokens": 400,
        "gen_ai.usage.reasoning.output_tokens": 50,
        "azure_openai.cost_usd": 0.004,
        "azure_openai.backend": "eastus",
        "azure_openai.client": "team-a",
        "azure_openai.outcome": "success",
    }
    attributes = server_span(receiver).attributes
    assert {name: attributes.get(name) for name in expected} == expected


def test_o3_the_server_span_says_what_was_asked_for(stage: Stage, receiver: OtlpReceiver) -> None:
    client = stage.http(observed(stage, receiver))
    client.headers["user-agent"] = "the-test"
    chat(client)
    expected = {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": V1_CHAT,
        "url.scheme": "http",
        "url.path": V1_CHAT,
        "server.address": "127.0.0.1",
        "user_agent.original": "the-test",
    }
    attributes = server_span(receiver).attributes
    assert {name: attributes.get(name) for name in expected} == expected


def test_o3_a_path_of_any_bytes_arrives(stage: Stage, receiver: OtlpReceiver) -> None:
    stage.http(observed(stage, receiver)).get("/openai/v1/%ff%22" + "x" * 3000)
    assert server_span(receiver).attributes["url.path"] == '/openai/v1/%FF"' + "x" * 3000


def test_o3_the_ids_of_the_request_are_in_its_span(stage: Stage, receiver: OtlpReceiver) -> None:
    client = stage.http(observed(stage, receiver))
    client.headers["x-request-id"] = "of-the-client"
    answer = chat(client)
    attributes = server_span(receiver).attributes
    ids = [attributes[f"azure_openai.{name}"] for name in ("request_id", "backend_request_id")]
    assert ids == ["of-the-client", answer.headers["x-request-id"]]


def test_o3_each_attempt_is_a_child(stage: Stage, sim: Simulator, receiver: OtlpReceiver) -> None:
    sim.fail("eastus", status=429, retry_after=60)
    chat(stage.http(observed(stage, receiver)))
    children = [
        (span.name, span.attributes["http.response.status_code"], span.status)
        for span in attempt_spans(receiver)
    ]
    assert children == [("attempt eastus", 429, ERROR), ("attempt westus", 200, 0)]


def test_o3_an_attempt_names_the_server_that_it_asked(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    settings = {"AZURE_OPENAI_DEPLOYMENTS_0": "gpt-4o=own-name"}
    stage.http(observed(stage, receiver, **settings)).post(f"{DEPLOYMENT_CHAT}&api-key=secret", json=CHAT)
    endpoint = urlsplit(sim.endpoint("eastus"))
    expected = {
        "http.request.method": "POST",
        "server.address": endpoint.hostname,
        "server.port": endpoint.port,
        "url.full": f"{sim.endpoint('eastus')}/openai/deployments/own-name/chat/completions",
    }
    attributes = attempt_spans(receiver)[0].attributes
    assert {name: attributes.get(name) for name in expected} == expected


def test_o3_an_attempt_without_an_answer_has_no_status(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    sim.fail("eastus", reset=True)
    chat(stage.http(observed(stage, receiver)))
    first = attempt_spans(receiver)[0]
    found = first.attributes.get("http.response.status_code"), first.attributes["error.type"], first.status
    assert found == (None, "reset", ERROR)


def test_o3_an_attempt_lies_within_its_request(stage: Stage, sim: Simulator, receiver: OtlpReceiver) -> None:
    sim.fail("eastus", slow_first_byte=0.2)
    chat(stage.http(observed(stage, receiver)))
    server, [attempt] = server_span(receiver), attempt_spans(receiver)
    millisecond = 1_000_000
    assert server.start - 5 * millisecond <= attempt.start < attempt.end <= server.end + 5 * millisecond
    assert attempt.end - attempt.start >= 200 * millisecond


def test_o3_so_it_is_for_streams_and_other_requests(stage: Stage, receiver: OtlpReceiver) -> None:
    client = stage.http(observed(stage, receiver))
    chat(client, stream=True)
    client.get("/openai/v1/models")
    assert [span.name for span in spans_of(receiver, CLIENT, 2)] == ["attempt eastus"] * 2


def test_o3_a_client_that_leaves_is_an_error_of_its_span_and_not_of_its_attempt(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    sim.fail("eastus", stall=60, after=2)
    leave(stage.http(observed(stage, receiver)))
    span, [attempt] = server_span(receiver), attempt_spans(receiver)
    attributes = span.attributes
    assert (attributes["http.response.status_code"], attributes["azure_openai.sent_status"]) == (499, 200)
    assert (attributes["error.type"], span.status, attempt.status) == ("client_gone", ERROR, 0)


def test_o3_a_client_that_leaves_before_the_answer(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    sim.fail("eastus", hang=True)
    leave_before_the_answer(observed(stage, receiver), sim, CHAT)
    span, [attempt] = server_span(receiver), attempt_spans(receiver)
    assert (span.attributes["http.response.status_code"], span.status, attempt.status) == (499, ERROR, 0)
    assert "azure_openai.sent_status" not in span.attributes


def test_o3_an_interrupted_stream_is_an_error_of_its_span_and_of_its_attempt(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    sim.fail("eastus", cut=8)
    read_broken(stage.http(observed(stage, receiver)))
    both = [server_span(receiver), *attempt_spans(receiver)]
    found = [
        (span.attributes["http.response.status_code"], span.attributes["error.type"], span.status)
        for span in both
    ]
    assert found == [(502, "stream_interrupted", ERROR)] * 2


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [("rate_limit_exceeded", 429, "throttled"), ("server_error", 500, "server_error")],
)
def test_o3_an_error_in_mid_stream_has_its_status(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver, code: str, status: int, error: str
) -> None:
    fail_in_mid_stream(sim, code=code, message="too late")
    chat(stage.http(observed(stage, receiver)), stream=True)
    both = [server_span(receiver), *attempt_spans(receiver)]
    found = [
        (span.attributes["http.response.status_code"], span.attributes["error.type"], span.status)
        for span in both
    ]
    assert found == [(status, error, ERROR)] * 2


def test_o3_a_throttled_request_is_no_error_of_the_server(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    for region in ("eastus", "westus"):
        sim.fail(region, status=429, retry_after=60)
    chat(stage.http(observed(stage, receiver)))
    span = server_span(receiver)
    assert (span.attributes["http.response.status_code"], span.status) == (429, 0)


def test_o3_an_answer_of_the_gateways_own_is_an_error_when_it_is_a_5xx(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    sim.fail("eastus", status=503)
    sim.fail("westus", status=503)
    chat(stage.http(observed(stage, receiver)))
    span = server_span(receiver)
    assert (span.attributes["http.response.status_code"], span.status) == (503, ERROR)


def test_o2_o3_the_limit_of_a_lane_is_an_error_of_the_span_alone(
    stage: Stage, receiver: OtlpReceiver
) -> None:
    """It is a 5xx by default, and no failure: the alert on records leaves `lane` out."""
    limit = {"ENABLE_AI_RATE_LIMIT": "true", "AI_RATE_LIMIT_STRATEGY": "req", "AI_RATE_LIMIT_HIGH_LIMIT": 1}
    gateway = observed(stage, receiver, **limit)
    client = stage.http(gateway)
    for _ in range(2):
        chat(client)
    [_, record] = records(gateway, 2)
    assert (record["status"], record["outcome"], record["error"]) == (503, "refused", "lane")
    [_, span] = spans_of(receiver, SERVER, 2)
    found = span.attributes["azure_openai.outcome"], span.attributes["http.response.status_code"], span.status
    assert found == ("refused", 503, ERROR)


def test_o3_the_backend_learns_the_trace(stage: Stage, sim: Simulator, receiver: OtlpReceiver) -> None:
    chat(stage.http(observed(stage, receiver)))
    span = server_span(receiver)
    traceparent = sim.requests("eastus")[0].header("traceparent")
    assert traceparent == f"00-{span.trace_id}-{span.span_id}-01"


@pytest.mark.parametrize("version", ["00", "01"])
def test_o3_the_clients_trace_is_continued(stage: Stage, receiver: OtlpReceiver, version: str) -> None:
    client = stage.http(observed(stage, receiver, **NOT_SAMPLED))
    client.headers["traceparent"] = f"{version}-{TRACE}-{CALLER}-01"
    chat(client)
    span = server_span(receiver)
    assert (span.trace_id, span.parent_id) == (TRACE, CALLER)


def test_o3_callers_that_cannot_be_understood_are_none(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    callers = [
        "nonsense",
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}-01-more",
        f"00-{TRACE}-{CALLER}",
        f"00-{TRACE[1:]}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}cd-01",
        f"00-{TRACE.upper()}-{CALLER}-01",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{CALLER}-xy",
        f"01-{TRACE}-{CALLER}-01-{' ' * 300}more",
    ]
    client = stage.http(observed(stage, receiver))
    for caller in callers:
        chat_with = {"traceparent": caller, "tracestate": "of-nobody=1"}
        client.post(V1_CHAT, json=CHAT, headers=chat_with)
    told = [request.header("traceparent") or "" for request in sim.requests("eastus")]
    assert [caller[:3] for caller in told] == ["00-"] * len(callers)
    assert [caller for caller in told if TRACE in caller.lower()] == []
    assert {request.header("tracestate") for request in sim.requests("eastus")} == {None}


def test_o3_what_vendors_add_to_a_trace_is_passed_on(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    client = stage.http(observed(stage, receiver))
    client.headers.update({"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "a=1,tenant@b=2"})
    chat(client)
    assert sim.requests("eastus")[0].header("tracestate") == "a=1,tenant@b=2"


def test_o3_no_span_holds_a_key_or_a_body(stage: Stage, receiver: OtlpReceiver) -> None:
    client = stage.http(observed(stage, receiver))
    chat(client, messages=[{"role": "user", "content": "a very private question"}])
    server_span(receiver)
    log_of(receiver)
    telemetry = repr(receiver.spans) + repr(receiver.logs)
    assert [text for text in (CLIENT_KEY, "key-of-eastus", "private") if text in telemetry] == []


@pytest.mark.parametrize("path", [V1_CHAT, "/openai/v1/models", "/elsewhere"])
def test_o3_no_span_holds_a_query(stage: Stage, receiver: OtlpReceiver, path: str) -> None:
    stage.http(observed(stage, receiver)).post(f"{path}?api-key=a-key-in-the-query", json=CHAT)
    attributes = server_span(receiver).attributes
    log_of(receiver)
    telemetry = repr(receiver.spans) + repr(receiver.logs)
    assert (attributes["url.path"], "a-key-in-the-query" in telemetry) == (path, False)


def test_o3_a_trace_that_the_client_does_not_sample_is_not_sent(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    client = stage.http(observed(stage, receiver))
    client.headers["traceparent"] = f"00-{TRACE}-{CALLER}-00"
    chat(client)
    del client.headers["traceparent"]
    chat(client)
    span = server_span(receiver)
    first, second = (request.header("traceparent") or "" for request in sim.requests("eastus"))
    assert (first[:36], first[-3:]) == (f"00-{TRACE}-", "-00")
    assert second == f"00-{span.trace_id}-{span.span_id}-01"


def test_o3_traces_that_are_not_sampled_are_told_so_to_the_backend(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    chat(stage.http(observed(stage, receiver, **NOT_SAMPLED)))
    assert (sim.requests("eastus")[0].header("traceparent") or "").endswith("-00")


def test_o3_what_is_sampled_is_a_share_of_the_traces(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    client = stage.http(observed(stage, receiver, OTEL_SAMPLE_RATE=0.5))
    for _ in range(400):
        client.get("/openai/v1/models")
    told = [request.header("traceparent") or "" for request in sim.requests("eastus")]
    sampled = [caller.split("-")[1] for caller in told if caller.endswith("-01")]
    # 400 draws at one half fall outside 140 to 260 once in a thousand million runs.
    assert 140 <= len(sampled) <= 260
    spans = spans_of(receiver, SERVER, len(sampled))
    assert {span.trace_id for span in spans} == set(sampled)
    assert {span.attributes["azure_openai.sample_weight"] for span in spans} == {2}


FAULTS: dict[str, list[dict[str, Any]]] = {
    "failover": [{"status": 429, "retry_after": 60}, {}],
    "throttled": [{"status": 429, "retry_after": 60}, {"status": 429, "retry_after": 60}],
    "server error": [{"status": 500}, {"status": 500}],
    "request of the client": [{"status": 400}, {}],
    "slow": [{"slow_first_byte": 0.3}, {}],
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("parent", [None, f"00-{TRACE}-{CALLER}-00"])
def test_o3_a_notable_request_is_always_kept_and_stands_for_itself(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver, name: str, parent: str | None
) -> None:
    for region, fault in zip(("eastus", "westus"), FAULTS[name], strict=True):
        if fault:
            sim.fail(region, **fault)
    client = stage.http(observed(stage, receiver, **NOT_SAMPLED, OTEL_SLOW_FIRST_TOKEN_MS=250))
    client.headers.update({"traceparent": parent} if parent else {})
    chat(client)
    weights = [span.attributes["azure_openai.sample_weight"] for span in receiver_spans(receiver)]
    assert weights == [1] * len(weights)


def receiver_spans(receiver: OtlpReceiver) -> list[Any]:
    """All spans of the only request, which has attempts."""
    return [server_span(receiver), *attempt_spans(receiver)]


@pytest.mark.parametrize("how", [leave, read_broken])
def test_o3_so_is_one_whose_stream_did_not_end(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver, how: Any
) -> None:
    sim.fail("eastus", **({"cut": 8} if how is read_broken else {"stall": 60, "after": 2}))
    how(stage.http(observed(stage, receiver, **NOT_SAMPLED)))
    assert server_span(receiver).attributes["azure_openai.sample_weight"] == 1


@pytest.mark.parametrize(("path", "key"), [(V1_CHAT, "not-a-key-of-anybody"), ("/elsewhere", CLIENT_KEY)])
def test_o3_strangers_are_traced_by_chance_only(
    stage: Stage, receiver: OtlpReceiver, path: str, key: str
) -> None:
    stage.http(observed(stage, receiver, **NOT_SAMPLED), key).post(path, json=CHAT)
    assert (log_of(receiver).flags, receiver.spans) == (0, [])


def test_o3_a_flood_of_notable_requests_is_not_kept_whole(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    sim.fail("eastus", status=429, retry_after=600)
    gateway = observed(stage, receiver, **NOT_SAMPLED, GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0=1)
    client = stage.http(gateway)
    for _ in range(600):
        client.post(V1_CHAT, content=b"{}", headers={"content-type": "application/json"})
    refused = logs_of(receiver, 600)
    kept = {log.trace_id for log in refused if log.flags == 1}
    spans = spans_of(receiver, SERVER, len(kept))
    assert {span.trace_id for span in spans} == kept


def test_o3_health_probes_leave_no_trace(stage: Stage, receiver: OtlpReceiver) -> None:
    client = stage.http(observed(stage, receiver))
    for path in ("/health/live", "/health/ready", "/elsewhere"):
        client.get(path)
    assert server_span(receiver).attributes["url.path"] == "/elsewhere"
    assert log_of(receiver).attributes["path"] == "/elsewhere"


def test_o3_a_collector_that_is_down_fails_no_request(stage: Stage, receiver: OtlpReceiver) -> None:
    client = stage.http(observed(stage, receiver, OTEL_COLLECTOR_ENDPOINT="http://127.0.0.1:9"))
    assert attempts(chat(client)) == ["eastus:200"]


def test_o3_without_a_collector_the_clients_trace_is_passed_on(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    client = stage.http(stage.gateway(["eastus"], GATEWAY_LOG_MODE="test"))
    client.headers["traceparent"] = f"00-{TRACE}-{CALLER}-01"
    chat(client)
    assert sim.requests("eastus")[0].header("traceparent") == f"00-{TRACE}-{CALLER}-01"


def test_o2_o3_record_log_and_span_agree(stage: Stage, sim: Simulator, receiver: OtlpReceiver) -> None:
    sim.fail("eastus", status=429, retry_after=60)
    gateway = observed(stage, receiver)
    chat(stage.http(gateway))
    record, log, span = record_of(gateway), log_of(receiver), server_span(receiver)
    assert (log.trace_id, log.span_id) == (span.trace_id, span.span_id)
    for name in ("request_id", "client", "lane", "backend", "region", "outcome"):
        assert record[name] == log.attributes[name] == span.attributes[f"azure_openai.{name}"]
    assert records(gateway) == [record]
