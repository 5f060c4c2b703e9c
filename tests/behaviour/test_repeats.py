"""F10: a request is not repeated where that could do its work twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from e2e.simulator import Simulator
from tests.behaviour.conftest import CHAT, REGIONS, Stage
from tests.behaviour.support import V1_CHAT, attempts, chat, record_of, records
from tests.behaviour.test_answers_on_the_wire import DOCUMENT, JSON, OK, alone, gateway_of, sized
from tests.engines.raw_server import RawServer

WARM = (OK + JSON + sized(DOCUMENT),)
FILES = "/openai/v1/files"
BATCH = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}


class After:
    """An answer that comes, or does not, some time after the request was read."""

    def __init__(self, seconds: float, *pieces: bytes) -> None:
        self._seconds, self._pieces = seconds, pieces

    def __iter__(self) -> Iterator[bytes]:
        threading.Event().wait(self._seconds)
        yield from self._pieces


def posts(backend: RawServer, path: str) -> int:
    """How many requests with this path the backend has read."""
    return sum(request.startswith(b"POST " + path.encode() + b" ") for request in backend.requests)


def test_f10_a_request_that_a_backend_worked_on_is_not_sent_to_it_again(stage: Stage) -> None:
    with RawServer([WARM, After(1)]) as backend:
        client = stage.http(gateway_of(stage, backend))
        chat(client)
        assert attempts(chat(client)) == ["eastus:reset", "westus:200"]
        assert posts(backend, V1_CHAT) == 2


@pytest.mark.parametrize("body", [CHAT, None])
def test_f10_a_connection_that_has_died_is_replaced_and_both_are_in_the_trail(
    stage: Stage, body: dict[str, Any] | None
) -> None:
    with RawServer([WARM, RawServer.CUT], [WARM]) as backend:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url, BREAKER_FAILURES=1)
        client = stage.http(gateway)
        chat(client)
        answer = chat(client) if body else client.get("/openai/v1/models")
        assert (answer.status_code, attempts(answer)) == (200, ["eastus:reset", "eastus:200"])
        assert attempts(chat(client)) == ["eastus:200"]
    assert "reason" not in records(gateway, 2)[1]["attempts"][0]


def test_f10_an_answer_that_began_is_not_asked_for_again(stage: Stage) -> None:
    with RawServer([WARM, (b"HTT",)]) as backend:
        client = stage.http(gateway_of(stage, backend))
        chat(client)
        assert attempts(chat(client)) == ["eastus:reset", "westus:200"]


def test_f4_a_repeat_does_not_count_as_another_backend(stage: Stage) -> None:
    with RawServer([WARM, RawServer.CUT], [WARM]) as backend:
        client = stage.http(alone(stage, backend, AI_PROXY_MAX_ATTEMPTS=1))
        chat(client)
        assert attempts(chat(client)) == ["eastus:reset", "eastus:200"]


def test_f10_t6_a_connection_that_has_died_and_a_refused_option_are_each_repeated(stage: Stage) -> None:
    refusal = b'{"error":{"code":"unknown_parameter","message":"Unknown parameter: stream_options"}}'
    refused = (b"HTTP/1.1 400 Bad Request\r\n" + JSON + sized(refusal),)
    event = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\ndata: [DONE]\n\n'
    stream = (OK + b"content-type: text/event-stream\r\n" + sized(event),)
    with RawServer([WARM, RawServer.CUT], [refused], [stream]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        chat(client)
        answer = chat(client, stream=True)
    assert (answer.status_code, attempts(answer)) == (200, ["eastus:reset", "eastus:400", "eastus:200"])


def test_f10_a_batch_whose_outcome_is_unknown_is_created_once(stage: Stage) -> None:
    with RawServer([WARM, After(1)], [After(1)]) as backend:
        gateway = gateway_of(stage, backend, GATEWAY_HOME_BACKEND="eastus")
        client = stage.openai(gateway, max_retries=2)
        chat(stage.http(gateway))
        with pytest.raises(openai.InternalServerError) as raised:
            client.batches.create(**BATCH)  # type: ignore[arg-type]
        assert posts(backend, "/openai/v1/batches") == 1
    answer = raised.value.response
    assert (answer.status_code, answer.headers["x-should-retry"]) == (502, "false")
    assert answer.json()["error"]["code"] == "outcome_unknown"


CREATIONS = [
    "assistants",
    "batches",
    "containers",
    "containers/cntr_1/files",
    "conversations",
    "conversations/conv_1/items",
    "evals",
    "evals/eval_1/runs",
    "files",
    "fine_tuning/jobs",
    "threads",
    "threads/runs",
    "threads/thread_1/messages",
    "threads/thread_1/runs",
    "uploads",
    "uploads/upload_1/parts",
    "uploads/upload_1/complete",
    "vector_stores",
    "vector_stores/vs_1/files",
    "vector_stores/vs_1/file_batches",
    "videos",
    "videos/video_1/remix",
    "Vector_Stores",
]
UNKNOWN = {
    "no answer": (b"",),
    "an answer that breaks off": (OK + JSON + sized(b"{", 100),),
    **{str(status): (b"HTTP/1.1 %d No\r\n" % status + sized(b"{}"),) for status in (408, 500, 502, 504)},
}


@pytest.mark.parametrize("operation", CREATIONS)
def test_f10_whatever_makes_something_is_asked_for_once(stage: Stage, operation: str) -> None:
    with RawServer([(b"",)], [WARM]) as backend:
        client = stage.http(gateway_of(stage, backend))
        answer = client.post(f"/openai/v1/{operation}", json={"x": 1})
    assert (answer.status_code, attempts(answer)) == (502, ["eastus:reset"])


@pytest.mark.parametrize("name", UNKNOWN)
def test_f10_however_its_outcome_stays_unknown(stage: Stage, name: str) -> None:
    with RawServer([UNKNOWN[name]]) as backend:
        gateway = gateway_of(stage, backend)
        answer = stage.http(gateway).post(FILES, files={"file": b"x"}, data={"purpose": "batch"})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (502, "false")
    assert answer.json()["error"]["code"] == "outcome_unknown"
    assert record_of(gateway)["error"] == "outcome_unknown"


@pytest.mark.parametrize("operation", ["vector_stores", "threads/thread_1/runs", "fine_tuning/jobs"])
@pytest.mark.parametrize("fault", [{"reset": True}, {"cut": 1}], ids=str)
def test_f10_whatever_other_backends_there_are(
    stage: Stage, sim: Simulator, operation: str, fault: dict[str, Any]
) -> None:
    sim.fail("eastus", **fault)
    client = stage.http(stage.gateway(REGIONS, AZURE_OPENAI_PRIORITY_0=10))
    answer = client.post(f"/openai/v1/{operation}", json={"x": 1})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "outcome_unknown")
    assert [len(sim.requests(region)) for region in REGIONS] == [1, 0, 0]


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_f10_a_creation_that_was_refused_moves_on(stage: Stage, status: int) -> None:
    with RawServer([(b"HTTP/1.1 %d No\r\n" % status + sized(b"{}"),)]) as backend:
        answer = stage.http(gateway_of(stage, backend)).post(
            FILES, files={"file": b"x"}, data={"purpose": "batch"}
        )
    assert attempts(answer) == [f"eastus:{status}", "westus:201"]


def test_f10_a_creation_moves_on_from_a_backend_that_cannot_be_reached(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", refuse=True)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    answer = client.post(FILES, files={"file": b"x"}, data={"purpose": "batch"})
    assert attempts(answer) == ["eastus:connect", "westus:201"]


@pytest.mark.parametrize(
    ("background", "trail"), [(True, ["eastus:reset"]), (False, ["eastus:reset", "westus:200"])]
)
def test_f10_only_a_response_in_the_background_is_a_creation(
    stage: Stage, background: bool, trail: list[str]
) -> None:
    body = {"model": "gpt-4o", "input": "Hello", "background": background}
    with RawServer([(b"",)]) as backend:
        assert (
            attempts(stage.http(gateway_of(stage, backend)).post("/openai/v1/responses", json=body)) == trail
        )


@pytest.mark.parametrize(
    ("method", "operation"),
    [
        ("GET", "files"),
        ("DELETE", "files/file-1"),
        ("POST", "vector_stores/vs_1"),
        ("POST", "batches/b_1/cancel"),
    ],
)
def test_f10_what_makes_nothing_moves_on(stage: Stage, method: str, operation: str) -> None:
    with RawServer([(b"",)]) as backend:
        answer: httpx.Response = stage.http(gateway_of(stage, backend)).request(
            method, f"/openai/v1/{operation}"
        )
    assert attempts(answer)[0] == "eastus:reset"
    assert attempts(answer)[1].startswith("westus:")
