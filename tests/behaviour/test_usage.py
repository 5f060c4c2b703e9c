"""Whose tokens count, and which: usage can be neither forged nor hidden (T6, O1, A7)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, Stage
from tests.behaviour.support import (
    EXPORT_SECONDS,
    V1_CHAT,
    V1_RESPONSES,
    chat,
    leave_before_the_answer,
    record_of,
    records,
    samples,
    value,
)

JSON = {"content-type": "application/json"}
AT_ONCE: dict[str, Any] = {"GATEWAY_LOG_MODE": "test"}
FILE_CONTENT = "/openai/v1/files/file-1/content"
NAMES = 250


def usage(prompt: object, completion: object) -> dict[str, object]:
    """Usage in the words of Chat; the total is the sum where there is one."""
    total = prompt + completion if isinstance(prompt, int) and isinstance(completion, int) else prompt
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def hold(sim: Simulator, path: str, **document: object) -> None:
    """Lets eastus answer requests for a path with a document."""
    sim.fail("eastus", path=path, status=200, body=document, headers=JSON)


NOT_INFERENCE = [
    ("GET", FILE_CONTENT),
    ("GET", "/openai/v1/containers/cntr_1/files/cfile_1/content"),
    ("GET", "/openai/v1/batches/batch_1"),
    ("GET", "/openai/v1/vector_stores/vs_1/files/file-1/content"),
    ("GET", "/openai/v1/chat/completions/chatcmpl-1"),
    ("POST", "/openai/v1/conversations"),
    ("POST", "/openai/v1/vector_stores"),
    ("GET", "/openai/v1/models/gpt-4o"),
]


@pytest.mark.parametrize(("method", "path"), NOT_INFERENCE)
def test_t6_only_what_a_model_did_is_usage(stage: Stage, sim: Simulator, method: str, path: str) -> None:
    hold(sim, path, id="file-1", model="gpt-4o", usage=usage(10**6, 10**6))
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    answer = stage.http(gateway).request(method, path, json={} if method == "POST" else None)
    assert (answer.status_code, record_of(gateway).get("tokens")) == (200, None)


@pytest.mark.parametrize(
    ("limit", "refusal"),
    [
        ({"GATEWAY_CLIENT_TOKENS_PER_MINUTE_0": 10}, 429),
        ({"ENABLE_AI_RATE_LIMIT": "true", "AI_RATE_LIMIT_HIGH_LIMIT": 10}, 503),
    ],
    ids=["a client's", "a lane's"],
)
def test_l2_a_stored_file_cannot_switch_a_limit_off(
    stage: Stage, sim: Simulator, limit: dict[str, Any], refusal: int
) -> None:
    hold(sim, FILE_CONTENT, usage=usage(-1_000_000, 0))
    client = stage.http(stage.gateway(["eastus"], **limit))
    client.get(FILE_CONTENT)
    assert [chat(client).status_code for _ in range(2)] == [200, refusal]


def test_o1_a_stored_file_makes_no_bill(stage: Stage, sim: Simulator) -> None:
    hold(sim, FILE_CONTENT, model="gpt-4o", usage=usage(10**15, 0))
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    client.get(FILE_CONTENT)
    chat(client)
    assert value(gateway, "cost_usd_total", client="team-a") < 1


def test_o1_stored_files_invent_no_models(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    for number in range(NAMES):
        hold(sim, f"file-{number}/", model=f"invented-{number}", usage=usage(1, 1))
        client.get(f"/openai/v1/files/file-{number}/content")
        sim.clear_faults("eastus")
    chat(client)
    assert value(gateway, "tokens_total", model="gpt-4o", kind="prompt") > 0
    assert len({sample.labels["model"] for sample in samples(gateway, "tokens_total")}) == 1


@pytest.mark.parametrize(
    "reported",
    [
        usage(-1_000_000, -1),
        usage(10**15, 10**15),
        usage("1000", "1000"),
        usage(1.5, 0.5),
        {"prompt_tokens": 1e308, "completion_tokens": -1e308, "total_tokens": 1e308},
        {"prompt_tokens": {}, "completion_tokens": [], "total_tokens": None},
    ],
    ids=str,
)
def test_t6_numbers_that_no_answer_can_use_count_nothing(
    stage: Stage, sim: Simulator, reported: dict[str, object]
) -> None:
    hold(sim, "chat/completions", model="gpt-4o", choices=[], usage=reported)
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    chat(stage.http(gateway))
    record = record_of(gateway)
    assert (record["tokens"]["total"], record.get("cost_usd", 0)) == (0, 0)


def test_t6_a_part_is_never_more_than_the_whole(stage: Stage, sim: Simulator) -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 900, "audio_tokens": 900},
        "completion_tokens_details": {"reasoning_tokens": 900, "audio_tokens": 900},
    }
    hold(sim, "chat/completions", model="gpt-4o", choices=[], usage=usage(10, 5) | details)
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    chat(stage.http(gateway))
    tokens = record_of(gateway)["tokens"]
    parts = {name: tokens[name] for name in ("cached", "audio_prompt", "reasoning", "audio_completion")}
    assert parts == {"cached": 10, "audio_prompt": 10, "reasoning": 5, "audio_completion": 5}


@pytest.mark.parametrize("total", [-1_000_000, 0, 10**15])
def test_t6_a_total_is_at_least_the_sum_of_its_parts(stage: Stage, sim: Simulator, total: int) -> None:
    reported = usage(10, 5) | {"total_tokens": total}
    hold(sim, "chat/completions", model="gpt-4o", choices=[], usage=reported)
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    chat(stage.http(gateway))
    assert record_of(gateway)["tokens"]["total"] == 15


def test_t6_a_response_that_was_counted_when_it_was_made_is_not_when_it_is_read(
    stage: Stage, sim: Simulator
) -> None:
    hold(sim, "resp_1", id="resp_1", background=False, usage=usage(5, 7))
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    # Made before this gateway started, for example.
    stage.http(gateway).get(f"{V1_RESPONSES}/resp_1")
    assert record_of(gateway).get("tokens") is None


def make_in_background(client: httpx.Client, **members: object) -> dict[str, Any]:
    body = {"model": "gpt-4o", "input": "Hello", "background": True, **members}
    response: dict[str, Any] = client.post(V1_RESPONSES, json=body).json()
    return response


def test_t6_a_background_response_that_nobody_reads_is_counted(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    make_in_background(stage.http(gateway))
    assert eventually(
        lambda: samples(gateway, "tokens_total", kind="completion", estimated="false"), seconds=30
    )


def test_a7_a_background_response_is_charged_to_its_client(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_CLIENT_TOKENS_PER_MINUTE_0=1)
    client = stage.http(gateway)
    make_in_background(client)
    # A request that uses no tokens itself.
    eventually(lambda: client.get("/openai/v1/models").status_code == 429, seconds=20)


def test_t6_a_background_response_that_its_client_reads_is_counted_once(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    path = f"{V1_RESPONSES}/{make_in_background(client)['id']}"
    reads = 0

    def read() -> dict[str, Any] | None:
        nonlocal reads
        reads += 1
        response: dict[str, Any] = client.get(path).json()
        return response if response["status"] == "completed" else None

    def questions() -> int:
        return sum(request.path == path for request in sim.requests("eastus"))

    used = eventually(read, seconds=20)
    assert used is not None
    eventually(lambda: questions() > reads, seconds=20)
    client.get(path)
    assert value(gateway, "tokens_total", kind="completion") == used["usage"]["output_tokens"]


ONE_TOKEN: dict[str, Any] = {"GATEWAY_CLIENT_TOKENS_PER_MINUTE_0": 1}


def wait_until_charged(client: httpx.Client) -> None:
    """Waits until a client has no tokens left, by requests that use none."""
    eventually(lambda: client.get("/openai/v1/models").status_code == 429, seconds=20)


def leave(gateway: Gateway, sim: Simulator, path: str, body: dict[str, Any]) -> None:
    """Sends a request and leaves as soon as eastus has it, which takes its time."""
    sim.fail("eastus", slow_first_byte=1.0)
    leave_before_the_answer(gateway, sim, body, path)


@pytest.mark.parametrize("query", ["?stream=true", "?api-version=preview&starting_after=1&stream=true"])
def test_t6_no_query_hides_the_usage_of_a_background_response(stage: Stage, query: str) -> None:
    gateway = stage.gateway(["eastus"])
    body = {"model": "gpt-4o", "input": "Hello", "background": True}
    stage.http(gateway).post(V1_RESPONSES + query, json=body)
    assert eventually(
        lambda: samples(gateway, "tokens_total", kind="completion", estimated="false"), seconds=30
    )


def test_t6_a_background_response_that_its_client_deletes_is_counted(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    client = stage.http(gateway)
    path = f"{V1_RESPONSES}/{make_in_background(client)['id']}"
    # A client can see by the items of its conversation that it is done. Those report no usage.
    address = sim.endpoint("eastus") + path
    key = {"api-key": "key-of-eastus"}
    eventually(lambda: httpx.get(address, headers=key).json()["status"] == "completed", seconds=10)
    client.delete(path)
    assert [record.get("tokens", {}).get("estimated") for record in records(gateway, 2)] == [None, False]


def test_a7_a_background_response_that_is_gone_is_charged_by_its_prompt(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"], **ONE_TOKEN)
    client = stage.http(gateway)
    client.delete(f"{V1_RESPONSES}/{make_in_background(client)['id']}")
    wait_until_charged(client)


@pytest.mark.parametrize("stream", [False, True])
def test_t6_a_background_response_whose_client_leaves_at_once_is_counted(
    stage: Stage, sim: Simulator, stream: bool
) -> None:
    gateway = stage.gateway(["eastus"])
    body = {"model": "gpt-4o", "input": "Hello", "background": True, "stream": stream}
    leave(gateway, sim, V1_RESPONSES, body)
    assert eventually(
        lambda: samples(gateway, "tokens_total", kind="completion", estimated="false"), seconds=30
    )


@pytest.mark.parametrize("path", [V1_CHAT, V1_RESPONSES])
def test_a7_a_prompt_whose_client_leaves_before_the_answer_is_charged(
    stage: Stage, sim: Simulator, path: str
) -> None:
    gateway = stage.gateway(["eastus"], **ONE_TOKEN)
    leave(gateway, sim, path, CHAT | {"input": "Hello"})
    wait_until_charged(stage.http(gateway))


@pytest.mark.parametrize("path", ["threads/thread_1/runs", "threads/runs"])
def test_t6_a_run_that_nobody_reads_is_counted(stage: Stage, sim: Simulator, path: str) -> None:
    run = {"id": "run_1", "object": "thread.run", "thread_id": "thread_1"}
    sim.fail("eastus", path=path, method="POST", status=200, body=run | {"status": "queued"}, headers=JSON)
    hold(sim, "threads/thread_1/runs/run_1", **run, status="completed", usage=usage(5, 7))
    gateway = stage.gateway(["eastus"])
    stage.http(gateway).post(f"/openai/v1/{path}", json={"assistant_id": "asst_1"})
    assert value(gateway, "tokens_total", kind="completion", estimated="false") == 7


@pytest.mark.parametrize("operation", ["chat/completions%20", "chat/completions;a", "threads/t_1/runs;a"])
def test_t6_no_spelling_of_an_operation_hides_its_usage(stage: Stage, sim: Simulator, operation: str) -> None:
    client = stage.http(stage.gateway(["eastus"]))
    assert client.post(f"/openai/v1/{operation}", json=CHAT).status_code == 400
    assert sim.requests("eastus") == []


FOLLOWED = 100


def test_t6_a_background_response_beyond_those_that_are_followed_counts_when_it_is_read(
    stage: Stage, sim: Simulator
) -> None:
    hold(sim, "responses/resp_", id="resp_x", status="in_progress")
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    client = stage.http(gateway)
    made = [make_in_background(client)["id"] for _ in range(FOLLOWED + 1)]
    sim.clear_faults("eastus")
    path = f"{V1_RESPONSES}/{made[-1]}"
    eventually(lambda: client.get(path).json()["status"] == "completed", seconds=20)

    def counted() -> list[bool]:
        tokens = [record.get("tokens") for record in records(gateway, FOLLOWED + 2)]
        return [used["estimated"] for used in tokens if used]

    assert eventually(lambda: False in counted())
    assert counted() == [True, False]


def test_o1_a_model_in_a_response_s_metadata_is_not_the_one_that_answered(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    body = {
        "model": "gpt-4o",
        "input": "Hello",
        "stream": True,
        "metadata": {"model": "text-embedding-ada-002"},
    }
    stage.http(gateway).post(V1_RESPONSES, json=body)
    assert record_of(gateway)["model"] == "gpt-4o"


@pytest.mark.parametrize("model", ["a model", "x" * 129, "modèle", "a\nb", "", "<b>", 7, None])
def test_o1_what_does_not_look_like_a_model_s_name_is_none(
    stage: Stage, sim: Simulator, model: object
) -> None:
    hold(sim, "chat/completions", model=model, choices=[], usage=usage(3, 4))
    gateway = stage.gateway(["eastus"], **AT_ONCE)
    chat(stage.http(gateway))
    assert record_of(gateway).get("model") is None
    assert value(gateway, "tokens_total", kind="prompt", model="gpt-4o") == 3


def open_breakers_of_invented_names(client: httpx.Client) -> None:
    for number in range(NAMES):
        chat(client, model=f"invented-{number}")


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429, "retry_after": 60}], ids=str)
def test_o1_names_invented_in_an_outage_do_not_displace_real_ones(
    stage: Stage, sim: Simulator, fault: dict[str, Any]
) -> None:
    gateway = stage.gateway(["eastus"], BREAKER_FAILURES=1)
    client = stage.http(gateway)
    sim.fail("eastus", **fault)
    open_breakers_of_invented_names(client)
    sim.clear_faults("eastus")
    chat(client)
    assert value(gateway, "requests_total", deployment="gpt-4o", outcome="success") == 1


def test_o1_a_configured_deployment_always_has_its_name(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"], AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o=our-gpt4o")
    sim.fail("eastus", status=500)
    chat(stage.http(gateway))
    assert value(gateway, "exhausted_total", deployment="gpt-4o", status="500") == 1


def test_o1_other_spellings_of_a_deployment_are_not_other_deployments(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    for model in ("gpt-4o", "GPT-4o", "gpt-4O"):
        chat(client, model=model)
    assert eventually(
        lambda: value(gateway, "requests_total", deployment="gpt-4o") == 3, seconds=EXPORT_SECONDS
    )


@pytest.mark.parametrize("path", ["/openai/v1/vector_stores", "/openai/v1/conversations"])
def test_o1_a_name_becomes_a_label_by_inference_alone(stage: Stage, sim: Simulator, path: str) -> None:
    hold(sim, path, id="vs_1")
    gateway = stage.gateway(["eastus"])
    stage.http(gateway).post(path, json={"model": "invented"})
    assert value(gateway, "requests_total", outcome="success", deployment="other") == 1
