"""Section 9 of the gateway's behaviour: metrics, the record of each request, and traces."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from functools import partial
from typing import Any

import httpx
import pytest

from e2e.metrics import parse
from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, CLIENT_KEY, Stage
from tests.behaviour.support import (
    DEPLOYMENT_CHAT,
    EXPORT_SECONDS,
    USAGE,
    V1_CHAT,
    V1_RESPONSES,
    attempts,
    chat,
    leave_before_the_answer,
    logged,
    record_of,
    records,
    samples,
    total,
    value,
)

EASTUS_FIRST: dict[str, Any] = {"AZURE_OPENAI_PRIORITY_0": 10}
AT_ONCE: dict[str, Any] = {"GATEWAY_LOG_MODE": "test"}
STREAM: dict[str, Any] = CHAT | {"stream": True}
NAMES = 300


def counted(gateway: Gateway) -> float:
    """How many requests the metrics count now."""
    return total(gateway, "requests_total")


def leave(client: httpx.Client, body: dict[str, Any]) -> None:
    """Starts a request and leaves in the middle of its answer."""
    with client.stream("POST", V1_CHAT, json=body) as stream:
        next(stream.iter_text())


def read_broken(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(V1_CHAT, json=STREAM)


def test_o1_requests_by_backend_region_deployment_and_outcome(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], AZURE_OPENAI_REGION_0="eastus-2")
    chat(stage.http(gateway))
    labels = {"backend": "eastus", "region": "eastus-2", "deployment": "gpt-4o", "outcome": "success"}
    assert value(gateway, "requests_total", **labels) == 1


def test_o1_a_region_that_is_not_configured_is_learned(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    chat(stage.http(gateway))
    assert value(gateway, "backend_info", backend="eastus", region="East US") == 1


@pytest.mark.parametrize(
    ("fault", "backend", "outcome"),
    [
        ({"status": 400}, "eastus", "client_error"),
        ({"status": 429, "retry_after": 60}, "", "throttled"),
        ({"status": 500}, "", "server_error"),
        ({"reset": True}, "", "server_error"),
    ],
)
def test_o1_outcomes_are_told_apart(
    stage: Stage, sim: Simulator, fault: dict[str, Any], backend: str, outcome: str
) -> None:
    sim.fail("eastus", **fault)
    gateway = stage.gateway(["eastus"])
    chat(stage.http(gateway))
    assert value(gateway, "requests_total", backend=backend, outcome=outcome) == 1


def test_o1_a_broken_stream_is_an_interruption(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", cut=8)
    gateway = stage.gateway(["eastus"])
    read_broken(stage.http(gateway))
    assert value(gateway, "requests_total", backend="eastus", outcome="interrupted") == 1


def test_o1_a_client_that_leaves_is_nobodys_failure(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=60, after=2)
    gateway = stage.gateway(["eastus"])
    leave(stage.http(gateway), STREAM)
    assert value(gateway, "requests_total", backend="eastus", outcome="client_gone") == 1


def test_o1_a_request_over_a_limit_is_a_refusal(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0=1)
    client = stage.http(gateway)
    chat(client)
    chat(client)
    assert value(gateway, "requests_total", backend="", outcome="refused") == 1


@pytest.mark.parametrize(
    ("fault", "deployment", "reason"),
    [
        ({"status": 429, "retry_after": 60}, "gpt-4o", "throttled"),
        ({"status": 503}, "gpt-4o", "server_error"),
        ({"status": 401}, "*", "credential"),
        ({"reset": True}, "gpt-4o", "reset"),
        ({"status": 404, "code": "DeploymentNotFound"}, "gpt-4o", "not_deployed"),
    ],
)
def test_o1_failovers_by_source_and_reason(
    stage: Stage, sim: Simulator, fault: dict[str, Any], deployment: str, reason: str
) -> None:
    sim.fail("eastus", **fault)
    gateway = stage.gateway(**EASTUS_FIRST)
    chat(stage.http(gateway))
    labels = {"backend": "eastus", "deployment": deployment, "reason": reason}
    assert value(gateway, "failovers_total", **labels) == 1


def test_o1_an_attempt_that_serves_is_no_failover(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    chat(stage.http(gateway))
    value(gateway, "requests_total")
    assert total(gateway, "failovers_total") == 0


def test_o1_the_state_of_a_cooldown(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=60)
    gateway = stage.gateway(**EASTUS_FIRST)
    chat(stage.http(gateway))
    labels = {"backend": "eastus", "deployment": "gpt-4o", "reason": "throttled"}
    until = value(gateway, "unavailable_until_seconds", **labels)
    assert 30 < until - time.time() <= 60


def test_o1_the_state_of_a_breaker(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=401)
    gateway = stage.gateway(**EASTUS_FIRST, BREAKER_OPEN_SECONDS=60)
    chat(stage.http(gateway))
    until = value(gateway, "unavailable_until_seconds", backend="eastus", deployment="*", reason="open")
    assert 30 < until - time.time() <= 60


@pytest.mark.parametrize("stream", [False, True])
def test_o1_the_time_to_the_first_token(stage: Stage, sim: Simulator, stream: bool) -> None:
    sim.fail("eastus", slow_first_byte=0.3)
    gateway = stage.gateway(["eastus"])
    answer = chat(stage.http(gateway), stream=stream)
    seconds = value(gateway, "time_to_first_token_seconds_sum", deployment="gpt-4o")
    assert 0.3 <= seconds <= answer.elapsed.total_seconds()


def test_o1_preamble_is_no_token(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=0.5, after=0)
    gateway = stage.gateway(["eastus"], AI_PROXY_STREAM_PROBE_MS=50)
    chat(stage.http(gateway), stream=True)
    assert value(gateway, "time_to_first_token_seconds_sum", deployment="gpt-4o") >= 0.5


COMPLETION = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [], "usage": USAGE}


def answer_with(sim: Simulator, model: str) -> None:
    """Lets eastus answer with a known usage."""
    sim.fail(
        "eastus", status=200, body=COMPLETION | {"model": model}, headers={"content-type": "application/json"}
    )


@pytest.mark.parametrize(
    ("kind", "tokens"), [("prompt", 1000), ("completion", 200), ("cached", 400), ("reasoning", 50)]
)
def test_o1_tokens_by_client_model_and_kind(stage: Stage, sim: Simulator, kind: str, tokens: int) -> None:
    answer_with(sim, "gpt-4o-2024-08-06")
    gateway = stage.gateway(["eastus"])
    chat(stage.http(gateway), model="our-assistant")
    labels = {"client": "team-a", "model": "gpt-4o-2024-08-06", "estimated": "false"}
    assert value(gateway, "tokens_total", kind=kind, **labels) == tokens


@pytest.mark.parametrize(("kind", "tokens"), [("prompt", 1000), ("completion", 200), ("cached", 400)])
def test_o1_tokens_by_backend_model_and_kind(stage: Stage, sim: Simulator, kind: str, tokens: int) -> None:
    answer_with(sim, "gpt-4o-2024-08-06")
    gateway = stage.gateway(["eastus"])
    chat(stage.http(gateway), model="our-assistant")
    labels = {"backend": "eastus", "model": "gpt-4o-2024-08-06", "kind": kind}
    assert value(gateway, "backend_tokens_total", **labels) == tokens


def test_o1_tokens_of_a_responses_stream(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    text = (
        stage.http(gateway)
        .post(V1_RESPONSES, json={"model": "gpt-4o", "input": "Hello", "stream": True})
        .text
    )
    completed = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")][-1]
    expected = completed["response"]["usage"]["output_tokens"]
    assert value(gateway, "tokens_total", kind="completion", model="gpt-4o", estimated="false") == expected


def test_o1_estimated_tokens_are_marked(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    target = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01"
    stage.http(gateway).post(target, json=STREAM)
    assert value(gateway, "tokens_total", kind="completion", estimated="true") > 0


def test_t6_an_estimate_counts_what_the_client_got(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    target = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01"
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    body = STREAM | {"messages": [{"role": "user", "content": [image]}]}
    text = stage.http(gateway).post(target, json=body).text
    completion = value(gateway, "tokens_total", kind="completion", estimated="true")
    prompt = value(gateway, "tokens_total", kind="prompt", estimated="true")
    assert (completion, prompt < 200) == (text.count("data: "), True)


@pytest.mark.parametrize("stream", [False, True])
def test_t6_reading_a_stored_response_does_not_use_its_tokens_again(stage: Stage, stream: bool) -> None:
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    answer = client.post(V1_RESPONSES, json={"model": "gpt-4o", "input": "Hello", "stream": stream})
    used = value(gateway, "tokens_total", kind="completion", estimated="false")
    id = re.findall(r'"id": ?"(resp_[^"]+)"', answer.text)[0]
    for _ in range(2):
        client.get(f"{V1_RESPONSES}/{id}")
    assert value(gateway, "tokens_total", kind="completion") == used


def test_t6_a_stored_completion_uses_its_tokens_once(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    sim.fail("eastus", status=200, body={"id": "chatcmpl-1", "choices": [], "usage": usage})
    chat(client, store=True)
    client.get("/openai/v1/chat/completions/chatcmpl-1")
    assert value(gateway, "tokens_total", kind="completion") == 7


def test_t6_a_background_response_uses_its_tokens_once(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    usage = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    sim.fail("eastus", status=200, body={"id": "resp_1", "status": "completed", "usage": usage})
    for _ in range(3):
        client.get(f"{V1_RESPONSES}/resp_1")
    assert value(gateway, "tokens_total", kind="completion") == 7


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-2024-08-06"])
def test_o1_estimated_cost_is_by_the_model_that_answered(stage: Stage, sim: Simulator, model: str) -> None:
    answer_with(sim, model)
    gateway = stage.gateway(["eastus"])
    chat(stage.http(gateway), model="our-assistant")
    # 600 fresh prompt tokens, 400 cached ones and 200 of completion at 2.50, 1.25 and 10 USD per million.
    assert value(gateway, "cost_usd_total", client="team-a") == pytest.approx(0.004)
    assert total(gateway, "backend_cost_usd_total", backend="eastus") == pytest.approx(0.004)


def test_o1_prices_can_be_replaced(stage: Stage, sim: Simulator) -> None:
    answer_with(sim, "our-own")
    prices = json.dumps({"our-own": {"prompt": 1, "cached": 0, "completion": 2}})
    gateway = stage.gateway(["eastus"], MODEL_PRICING=prices)
    chat(stage.http(gateway))
    assert value(gateway, "cost_usd_total", client="team-a") == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("fault", "status"), [({"status": 429, "retry_after": 60}, "429"), ({"status": 500}, "500")]
)
def test_o1_exhausted_requests(stage: Stage, sim: Simulator, fault: dict[str, Any], status: str) -> None:
    sim.fail("eastus", **fault)
    gateway = stage.gateway(["eastus"])
    chat(stage.http(gateway))
    labels = {"deployment": "other", "status": status}
    assert value(gateway, "exhausted_total", **labels) == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (httpx.Request("GET", "http://gateway/openai/v1/files/file-nope"), 404),
        (
            httpx.Request(
                "POST",
                f"http://gateway{V1_RESPONSES}",
                json={"model": "gpt-4o", "input": "Hello", "previous_response_id": "resp_nope"},
            ),
            400,
        ),
    ],
    ids=["a file", "a response"],
)
def test_o1_what_nobody_holds_is_neither_exhaustion_nor_failover(
    stage: Stage, request_: httpx.Request, status: int
) -> None:
    gateway = stage.gateway()
    client = stage.http(gateway)
    answers = [
        client.request(request_.method, request_.url.path, content=request_.content, headers=request_.headers)
        for _ in range(3)
    ]
    assert {(answer.status_code, len(attempts(answer))) for answer in answers} == {(status, 2)}
    assert value(gateway, "requests_total", outcome="client_error") == 3
    assert total(gateway, "exhausted_total") + total(gateway, "failovers_total") == 0


def test_o1_a_deployment_that_nobody_has_is_neither_exhaustion_nor_failover(
    stage: Stage, sim: Simulator
) -> None:
    for region in ("eastus", "westus"):
        sim.fail(region, status=404, code="DeploymentNotFound")
    gateway = stage.gateway()
    chat(stage.http(gateway))
    assert value(gateway, "requests_total", outcome="client_error") == 1
    assert total(gateway, "exhausted_total") + total(gateway, "failovers_total") == 0


def test_o1_a_resource_that_a_throttled_backend_may_hold_is_an_exhaustion(
    stage: Stage, sim: Simulator
) -> None:
    sim.fail("westus", status=429, retry_after=60)
    gateway = stage.gateway()
    stage.http(gateway).get("/openai/v1/files/file-nope")
    assert value(gateway, "exhausted_total", status="429") == 1


def test_o1_a_client_that_leaves_exhausts_nothing(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", slow_first_byte=30)
    gateway = stage.gateway(["eastus"])
    leave_before_the_answer(gateway, sim, CHAT)
    assert value(gateway, "requests_total", outcome="client_gone") == 1
    assert total(gateway, "exhausted_total") == 0


def test_o1_workers_add_to_the_same_numbers(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], workers=2)
    for _ in range(6):
        chat(stage.http(gateway))
    assert eventually(lambda: counted(gateway) == 6, seconds=EXPORT_SECONDS)


def test_o1_apisixs_own_metrics_name_the_backend(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    chat(stage.http(gateway))

    def nodes() -> set[str]:
        export = parse(httpx.get(gateway.metrics_url).text)
        return {sample.labels["node"] for sample in export if sample.name == "apisix_http_status"}

    assert eventually(lambda: "eastus" in nodes(), seconds=EXPORT_SECONDS)


def test_o1_the_gauge_of_active_connections_returns_to_zero(stage: Stage) -> None:
    gateway = stage.gateway()
    client = stage.http(gateway)
    for stream in (False, True, False):
        chat(client, stream=stream)
    eventually(lambda: counted(gateway) == 3, seconds=EXPORT_SECONDS)
    export = parse(httpx.get(gateway.metrics_url).text)
    active = [sample.value for sample in export if sample.name == "apisix_llm_active_connections"]
    assert set(active) == {0}


PAIRS = [("eastus", "gpt-4o"), ("eastus", "embed"), ("westus", "gpt-4o")]
NAMED: dict[str, Any] = {
    "AZURE_OPENAI_DEPLOYMENTS_0": "gpt-4o,embed",
    "AZURE_OPENAI_DEPLOYMENTS_1": "gpt-4o",
}


def labels_of(gateway: Gateway, name: str, *labels: str, **of: str) -> set[tuple[str, ...]]:
    """The values that some labels of a metric have."""
    return {tuple(sample.labels[label] for label in labels) for sample in samples(gateway, name, **of)}


@pytest.mark.parametrize(
    ("metric", "label", "event"),
    [("requests_total", "outcome", "success"), ("failovers_total", "reason", "throttled")],
)
def test_o1_every_backend_and_known_deployment_starts_at_zero(
    stage: Stage, metric: str, label: str, event: str
) -> None:
    gateway = stage.gateway(**NAMED)

    def started() -> set[tuple[str, ...]]:
        return labels_of(gateway, metric, "backend", "deployment", **{label: event})

    assert eventually(lambda: started() >= set(PAIRS), seconds=EXPORT_SECONDS)
    assert total(gateway, metric) == 0


def test_o1_every_client_starts_at_zero(stage: Stage) -> None:
    gateway = stage.gateway(
        GATEWAY_CLIENT_NAME_1="batch", GATEWAY_CLIENT_KEY_1="k" * 24, GATEWAY_CLIENT_LANE_1="low"
    )
    wanted = {("team-a", "high", "refused"), ("batch", "low", "success")}

    def started() -> set[tuple[str, ...]]:
        return labels_of(gateway, "client_requests_total", "client", "lane", "outcome")

    assert eventually(lambda: started() >= wanted, seconds=EXPORT_SECONDS)


def test_o1_requests_by_client_lane_and_outcome(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    stage.http(gateway).post(V1_CHAT, json=CHAT, headers={"x-priority": "low"})
    labels = {"client": "team-a", "lane": "low", "outcome": "success"}
    assert value(gateway, "client_requests_total", **labels) == 1


def test_o1_refusals_by_lane_and_limit(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0=1)
    for _ in range(2):
        chat(stage.http(gateway))
    assert value(gateway, "refusals_total", lane="high", reason="client-requests") == 1


def test_o1_the_time_until_the_end_of_the_answer(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=0.5, after=3)
    gateway = stage.gateway(["eastus"])
    chat(stage.http(gateway), stream=True)
    assert value(gateway, "request_duration_seconds_sum", deployment="gpt-4o") >= 0.5


def test_o1_each_request_of_a_busy_moment_is_observed(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    for _ in range(250):
        chat(client)
    counted = partial(total, gateway, "request_duration_seconds_count", deployment="gpt-4o")
    assert eventually(lambda: counted() == 250, seconds=EXPORT_SECONDS)


def test_o1_only_inference_has_a_first_token(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    stage.http(gateway).get("/openai/v1/models")
    assert value(gateway, "request_duration_seconds_count") == 1
    assert total(gateway, "time_to_first_token_seconds_count") == 0


def test_o1_how_long_requests_were_held(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=1, count=1)
    gateway = stage.gateway(["eastus"], AI_PROXY_MAX_WAIT_MS=5000)
    assert chat(stage.http(gateway)).status_code == 200
    assert value(gateway, "wait_seconds_sum", lane="high") >= 0.9


def test_o1_the_share_of_the_quota_that_is_left(stage: Stage, sim: Simulator) -> None:
    limits = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "250"}
    sim.fail("eastus", status=200, body=COMPLETION, headers={"content-type": "application/json"} | limits)
    gateway = stage.gateway(["eastus"])
    chat(stage.http(gateway))
    assert value(gateway, "remaining_quota_ratio", backend="eastus", deployment="gpt-4o") == 0.25


def series(gateway: Gateway) -> Counter[str]:
    """How many series each metric has; the buckets of a histogram count as one."""
    export = parse(httpx.get(gateway.metrics_url).text)
    return Counter(sample.name for sample in export if "le" not in sample.labels)


def label_values(gateway: Gateway) -> dict[str, int]:
    """How many different values each label has."""
    values: dict[str, set[str]] = {}
    for sample in parse(httpx.get(gateway.metrics_url).text):
        for name, text in sample.labels.items():
            values.setdefault(name, set()).add(text)
    return {name: len(texts) for name, texts in values.items()}


def ask_for_invented_names(client: httpx.Client, target: str = V1_CHAT) -> None:
    for number in range(NAMES):
        client.post(
            target.replace("gpt-4o", f"invented-{number}"), json=CHAT | {"model": f"invented-{number}"}
        )


@pytest.mark.parametrize("target", [V1_CHAT, DEPLOYMENT_CHAT])
def test_o1_names_that_a_client_invents_make_no_series(stage: Stage, sim: Simulator, target: str) -> None:
    sim.fail("eastus", status=404, code="DeploymentNotFound")
    gateway = stage.gateway(["eastus"])
    ask_for_invented_names(stage.http(gateway), target)
    eventually(lambda: counted(gateway) >= NAMES, seconds=EXPORT_SECONDS)
    # APISIX has a series for each shared dictionary, which no client names.
    named = {name: count for name, count in series(gateway).items() if "_shared_dict_" not in name}
    assert {name: count for name, count in named.items() if count > 20} == {}


def test_o1_invented_names_do_not_displace_real_ones(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=404, code="DeploymentNotFound", count=NAMES)
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    ask_for_invented_names(client)
    chat(client)
    assert value(gateway, "requests_total", deployment="gpt-4o", outcome="success") == 1


def test_o1_names_in_bodies_that_mean_nothing_do_not_either(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    for number in range(NAMES):
        client.request("GET", "/openai/v1/models", json={"model": f"invented-{number}"})
    chat(client)
    assert value(gateway, "requests_total", deployment="gpt-4o", outcome="success") == 1


def test_o1_even_names_that_are_served_are_bounded(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    ask_for_invented_names(stage.http(gateway))
    eventually(lambda: counted(gateway) >= NAMES, seconds=EXPORT_SECONDS)
    assert {name: count for name, count in label_values(gateway).items() if count >= NAMES} == {}


def test_o2_there_is_one_record_per_request(stage: Stage) -> None:
    gateway = stage.gateway(**AT_ONCE)
    client = stage.http(gateway)
    chat(client)
    chat(client, stream=True)
    client.get("/openai/v1/models")
    client.get("/elsewhere")
    assert len(records(gateway, 4)) == 4


def test_o2_what_a_record_says_of_the_request(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    chat(stage.http(gateway))
    expected = {
        "client": "team-a",
        "lane": "high",
        "route": "inference",
        "method": "POST",
        "path": V1_CHAT,
        "status": 200,
        "deployment": "gpt-4o",
        "operation": "chat/completions",
        "model": "gpt-4o",
        "backend": "eastus",
        "region": "East US",
        "streamed": False,
        "outcome": "success",
    }
    record = record_of(gateway)
    assert {name: record.get(name) for name in expected} == expected


def test_o2_what_a_record_says_of_a_stream(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    chat(stage.http(gateway), stream=True)
    record = record_of(gateway)
    assert (record["streamed"], record["model"], record["tokens"]["estimated"]) == (True, "gpt-4o", False)


def test_o2_the_model_of_a_responses_stream(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    stage.http(gateway).post(V1_RESPONSES, json={"model": "gpt-4o", "input": "Hello", "stream": True})
    assert record_of(gateway)["model"] == "gpt-4o"


def test_o2_ids_of_request_and_backend(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    client = stage.http(gateway)
    client.headers["x-request-id"] = "an-id-of-the-client"
    chat(client)
    record = record_of(gateway)
    assert (record["request_id"], bool(record["backend_request_id"])) == ("an-id-of-the-client", True)


def test_o2_the_attempts_with_status_and_time(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", slow_first_byte=0.2, status=503)
    gateway = stage.gateway(**EASTUS_FIRST, **AT_ONCE)
    chat(stage.http(gateway))
    first, second = record_of(gateway)["attempts"]
    assert (first["backend"], first["status"], first["reason"], second["backend"], second["status"]) == (
        "eastus",
        503,
        "server_error",
        "westus",
        200,
    )
    assert first["ms"] >= 200


def test_o2_tokens_and_cost(stage: Stage, sim: Simulator) -> None:
    answer_with(sim, "gpt-4o")
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    chat(stage.http(gateway))
    record = record_of(gateway)
    expected = {
        "prompt": 1000,
        "completion": 200,
        "cached": 400,
        "reasoning": 50,
        "total": 1200,
        "estimated": False,
    }
    assert (record["tokens"], record["cost_usd"]) == (expected, pytest.approx(0.004))


def test_o2_times(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", slow_first_byte=0.2, stall=1, after=3)
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    chat(stage.http(gateway), stream=True)
    record = record_of(gateway)
    # A busy machine may see the first token late, while the stall has begun.
    assert 200 <= record["first_token_ms"] <= record["total_ms"] - 150


def test_o2_a_client_that_leaves_a_stream(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=60, after=2)
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    leave(stage.http(gateway), STREAM)
    record = record_of(gateway)
    assert (record["error"], record["outcome"], record["tokens"]["estimated"]) == (
        "client_gone",
        "client_gone",
        True,
    )


def test_o2_a_client_that_leaves_before_the_answer(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", hang=True)
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    leave_before_the_answer(gateway, sim, CHAT)
    record = record_of(gateway)
    assert (record["error"], [one["backend"] for one in record["attempts"]]) == ("client_gone", ["eastus"])


def test_o2_an_interrupted_stream(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", cut=8)
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    read_broken(stage.http(gateway))
    record = record_of(gateway)
    assert (record["error"], record["outcome"]) == ("stream_interrupted", "interrupted")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429, "retry_after": 60}, "throttled"),
        ({"status": 500}, "server_error"),
        ({"reset": True}, "reset"),
        ({"status": 401}, "credential"),
    ],
)
def test_o2_why_no_backend_could_serve(
    stage: Stage, sim: Simulator, fault: dict[str, Any], error: str
) -> None:
    sim.fail("eastus", **fault)
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    chat(stage.http(gateway))
    assert record_of(gateway)["error"] == error


def test_o2_a_request_that_is_refused_says_by_which_limit(stage: Stage) -> None:
    gateway = stage.gateway(**AT_ONCE, GATEWAY_CLIENT_DEPLOYMENTS_0="gpt-4o-mini")
    chat(stage.http(gateway))
    record = record_of(gateway)
    assert (record["status"], record["error"], record["attempts"]) == (403, "model_not_allowed", [])


def test_o2_a_request_without_a_key_names_no_client(stage: Stage) -> None:
    gateway = stage.gateway(**AT_ONCE)
    chat(stage.http(gateway, "not-a-key-of-anybody"))
    record = record_of(gateway)
    assert (record["status"], "client" in record) == (401, False)


def test_o2_no_log_holds_a_key(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=401, count=1)
    gateway = stage.gateway(["eastus"], **AT_ONCE, APISIX_LOG_LEVEL="notice")
    client = stage.http(gateway)
    chat(client)
    chat(client, stream=True)
    chat(stage.http(gateway, "a-wrong-key-of-somebody"))
    records(gateway, 3)
    logs = gateway.access_log.read_text() + gateway.error_log.read_text()
    secrets = (CLIENT_KEY, "key-of-eastus", "a-wrong-key-of-somebody")
    assert [secret for secret in secrets if secret in logs] == []


@pytest.mark.parametrize("stream", [False, True])
def test_o2_no_record_holds_a_body(stage: Stage, stream: bool) -> None:
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    question = [{"role": "user", "content": "a very private question"}]
    answer = chat(stage.http(gateway), messages=question, stream=stream).text
    record_of(gateway)
    log = gateway.access_log.read_text()
    assert [
        text for text in ("private", "question", '"choices"') if text in log and text in answer + "private"
    ] == []


@pytest.mark.parametrize("path", ["/openai/v1/%ff%fe", "/openai/v1/a%22b%5Cc%0Ad", "/openai/v1/%E2%82%AC"])
def test_o2_whatever_the_path_a_record_is_one_line_of_json(stage: Stage, path: str) -> None:
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    stage.http(gateway).get(path)
    assert record_of(gateway)["path"].startswith("/openai/v1/")


@pytest.mark.parametrize(
    ("target", "status"), [("/openai/v1/models?" + "x" * 40_000, 414), ("/openai/v1/models%00", 400)]
)
def test_o2_what_nginx_itself_refuses_leaves_a_record_too(stage: Stage, target: str, status: int) -> None:
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    stage.http(gateway).get("/", extensions={"target": target.encode()})
    record = record_of(gateway)
    assert (record["status"], record["outcome"], record["client_address"]) == (
        status,
        "client_error",
        "127.0.0.1",
    )


def test_o2_the_query_is_not_recorded(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    stage.http(gateway).post(f"{DEPLOYMENT_CHAT}&subscription-key=a-key-in-the-query", json=CHAT)
    assert "a-key-in-the-query" not in json.dumps(record_of(gateway))


# nginx logs a line about each body that it puts into a file.
IN_A_FILE = "buffered to a temporary file"
LARGE = {"content": b"{}" + b" " * 2_000_000, "headers": {"content-type": "application/json"}}
SECRET = "a-secret-in-the-query"


ANY_PATH = [
    V1_CHAT,
    DEPLOYMENT_CHAT.partition("?")[0],
    "/openai/v1/models",
    "/openai/elsewhere",
    "/elsewhere",
    "/apisix/nginx_status",
]


@pytest.mark.parametrize("level", ["notice", "warn"])
@pytest.mark.parametrize("key", [CLIENT_KEY, "not-a-key-of-anybody"])
def test_o2_no_log_holds_a_query(stage: Stage, level: str, key: str) -> None:
    gateway = stage.gateway(["eastus"], **AT_ONCE, APISIX_LOG_LEVEL=level)
    seen = ""
    for path in ANY_PATH:
        target = f'{path}?api-key={SECRET}&a="b"&api-key={SECRET}'
        response = stage.http(gateway, key).post("/", extensions={"target": target.encode()}, **LARGE)
        seen += f"{response.headers} {response.text}"
    stage.http(gateway, key).post(f"{V1_CHAT}?the-last-one", **LARGE)
    logged(gateway, IN_A_FILE if key == CLIENT_KEY else f'"POST {V1_CHAT}"')
    records(gateway, len(ANY_PATH))
    seen += gateway.access_log.read_text() + gateway.error_log.read_text()
    seen += httpx.get(gateway.metrics_url).text
    assert SECRET not in seen


def test_o2_the_error_log_names_method_and_path_of_a_request(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    client.headers["referer"] = f"http://elsewhere/?token={SECRET}"
    client.post(f"{V1_CHAT}?api-key={SECRET}", **LARGE)
    line = logged(gateway, IN_A_FILE)
    assert (f', request: "POST {V1_CHAT}"' in line, SECRET in line) == (True, False)


def test_o2_production_writes_records_in_batches(stage: Stage) -> None:
    gateway = stage.gateway(GATEWAY_LOG_MODE="prod")
    chat(stage.http(gateway))
    assert record_of(gateway)["client"] == "team-a"


def test_o2_development_writes_plain_lines(stage: Stage) -> None:
    gateway = stage.gateway(GATEWAY_LOG_MODE="dev")
    chat(stage.http(gateway))
    line = eventually(gateway.access_log.read_text)
    assert f"POST {V1_CHAT} 200" in line
