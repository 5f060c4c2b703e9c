"""T2, T3, T8, F8e: errors that stand inside of a 200."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from typing import Any

import httpx
import pytest

from tests.behaviour.conftest import CHAT, Stage
from tests.behaviour.support import V1_CHAT, V1_RESPONSES, attempts, chat, record_of, records
from tests.behaviour.test_answers_on_the_wire import (
    CHUNKED,
    DOCUMENT,
    DONE,
    END,
    EVENTS,
    JSON,
    OK,
    OUTPUT,
    Pause,
    alone,
    gateway_of,
    sized,
)
from tests.behaviour.test_evidence import OTHER_KEY, TWO_CLIENTS
from tests.engines.raw_server import RawServer
from tests.support.floods import chunk

RESPONSES_STREAM: dict[str, Any] = {"model": "gpt-4o", "input": "Hello", "stream": True}
CHAT_STREAM: dict[str, Any] = CHAT | {"stream": True}
STREAM = OK + EVENTS + b"\r\n"


def event(**members: object) -> bytes:
    """An event, in the form of the Responses API when it has a type."""
    head = f"event: {members['type']}\n" if "type" in members else ""
    return f"{head}data: {json.dumps(members)}\n\n".encode()


CREATED = event(type="response.created", response={"id": "resp_1", "error": None})
IN_PROGRESS = event(type="response.in_progress", response={"id": "resp_1", "error": None})
FAILED = event(type="response.failed", response={"id": "resp_1", "error": None})
COMPLETED = event(type="response.completed", response={"id": "resp_1", "status": "completed"})
DELTA = event(type="response.output_text.delta", delta="Hi")
FILTERED = {"code": "content_policy_violation", "message": "filtered"}
THROTTLED = {"code": "too_many_requests", "message": "slow down"}
LIMITED = {"code": "rate_limit_exceeded", "message": "slow down"}
CRASHED = {"code": "server_error", "message": "crashed"}


def failed(**error: object) -> bytes:
    """A response that failed for a reason."""
    return event(type="response.failed", response={"id": "resp_1", "error": error})


@pytest.mark.parametrize(
    "events",
    [
        CREATED + FAILED + event(type="error", error={"type": "invalid_request_error", **FILTERED}),
        event(type="error", error=FILTERED),
        event(type="error", **FILTERED),
        failed(**FILTERED),
        failed(code="content_filter", message="x"),
        failed(code="ContentFilter", message="x"),
        failed(code="ResponsibleAIPolicyViolation", message="x"),
        failed(code="moderation_blocked", message="x"),
        failed(code="invalid_prompt", message="x"),
        failed(code=None, type="invalid_request_error", message="rate limit"),
    ],
)
def test_t2_an_error_of_the_request_itself_reaches_the_client_unchanged_and_is_nobodys_fault(
    stage: Stage, events: bytes
) -> None:
    good = (OK + JSON + sized(b'{"id":"resp_2","object":"response"}'),)
    bad = (STREAM + events,)
    with RawServer(*[[bad]] * 4, [good]) as backend:
        other_backend = {"AZURE_OPENAI_ENDPOINT_1": backend.url}
        gateway = gateway_of(stage, backend, BREAKER_FAILURES=1, **TWO_CLIENTS, **other_backend)
        client, other = stage.http(gateway), stage.http(gateway, OTHER_KEY)
        answers = [client.post(V1_RESPONSES, json=RESPONSES_STREAM) for _ in range(4)]
        assert [(answer.content, attempts(answer)) for answer in answers] == [(events, ["eastus:200"])] * 4
        assert attempts(other.post(V1_RESPONSES, json={"model": "gpt-4o", "input": "Hi"})) == ["eastus:200"]


def test_t2_an_error_without_a_reason_waits_for_the_event_that_explains_it(stage: Stage) -> None:
    pause = Pause(STREAM + CREATED + FAILED, event(type="error", error=THROTTLED))
    threading.Timer(0.2, pause.go_on.set).start()
    with RawServer([pause]) as backend:
        response = stage.http(gateway_of(stage, backend)).post(V1_RESPONSES, json=RESPONSES_STREAM)
    assert attempts(response) == ["eastus:429", "westus:200"]


@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n", COMPLETED])
def test_t2_one_that_nothing_explains_is_a_failed_attempt(stage: Stage, end: bytes) -> None:
    with RawServer([(STREAM + CREATED + FAILED + end,)]) as backend:
        response = stage.http(gateway_of(stage, backend)).post(V1_RESPONSES, json=RESPONSES_STREAM)
    assert attempts(response) == ["eastus:500", "westus:200"]


def test_f8_an_unknown_code_is_passed_on_without_blame_whatever_its_text_quotes(stage: Stage) -> None:
    error = {"code": "tool_failed", "message": "tool server said: rate limit, retry after 60"}
    events = event(type="error", error=error)
    with RawServer([(STREAM + events,)]) as backend:
        client = stage.http(gateway_of(stage, backend, BREAKER_FAILURES=1))
        answers = [client.post(V1_RESPONSES, json=RESPONSES_STREAM) for _ in range(2)]
    assert [(answer.content, attempts(answer)) for answer in answers] == [(events, ["eastus:200"])] * 2


@pytest.mark.parametrize(
    "error", [{"message": "exceeded the rate limit"}, {"code": None, "message": "high demand"}]
)
def test_f8_the_text_decides_where_code_and_type_are_missing(stage: Stage, error: dict[str, Any]) -> None:
    with RawServer([(STREAM + event(error=error),)]) as backend:
        response = stage.http(gateway_of(stage, backend)).post(V1_CHAT, json=CHAT_STREAM)
    assert attempts(response) == ["eastus:429", "westus:200"]


def test_t2_responses_are_probed_longer_than_other_streams(stage: Stage) -> None:
    pause = Pause(STREAM + CREATED + IN_PROGRESS, failed(**THROTTLED))
    threading.Timer(0.5, pause.go_on.set).start()
    with RawServer([pause]) as backend:
        gateway = gateway_of(stage, backend, AI_PROXY_STREAM_PROBE_MS=50)
        response = stage.http(gateway).post(V1_RESPONSES, json=RESPONSES_STREAM)
    assert attempts(response) == ["eastus:429", "westus:200"]


def read_slowly(client: httpx.Client, target: str, body: dict[str, Any], pause: Pause) -> bytes:
    """The answer to a request whose backend goes on when the client has the first bytes."""
    with client.stream("POST", target, json=body) as response:
        parts = response.iter_bytes()
        received = next(parts)
        pause.go_on.set()
        return received + b"".join(parts)


def until_broken(client: httpx.Client, target: str, body: dict[str, Any]) -> tuple[bytes, bool]:
    """What arrives of an answer, and whether its connection broke."""
    received = b""
    try:
        with client.stream("POST", target, json=body) as response:
            for part in response.iter_bytes():
                received += part
    except httpx.RemoteProtocolError:
        return received, True
    return received, False


LATE = {
    "responses before output": (
        V1_RESPONSES,
        RESPONSES_STREAM,
        Pause(STREAM + CREATED + IN_PROGRESS, failed(**THROTTLED)),
    ),
    "responses after output": (
        V1_RESPONSES,
        RESPONSES_STREAM,
        Pause(STREAM + CREATED + DELTA, FAILED + event(type="error", error=THROTTLED)),
    ),
    "chat after output": (V1_CHAT, CHAT_STREAM, Pause(STREAM + OUTPUT, event(error=LIMITED) + DONE)),
}


@pytest.mark.parametrize("name", LATE)
def test_t8_throttling_that_comes_too_late_is_passed_on_and_starts_the_cool_down(
    stage: Stage, name: str
) -> None:
    target, body, pause = LATE[name]
    with RawServer([pause]) as backend:
        gateway = gateway_of(stage, backend, AI_PROXY_RESPONSES_PROBE_MS=50)
        client = stage.http(gateway)
        received = read_slowly(client, target, body, pause)
        assert attempts(client.post(target, json=body)) == ["westus:200"]
    assert (b"slow down" in received, b"broke off" in received) == (True, False)
    assert records(gateway, 2)[0]["outcome"] == "throttled"


def test_t8_a_server_error_that_comes_too_late_counts_as_one(stage: Stage) -> None:
    pause = Pause(STREAM + OUTPUT, event(error=CRASHED) + DONE)
    with RawServer([pause]) as backend:
        gateway = gateway_of(stage, backend, BREAKER_FAILURES=1)
        client = stage.http(gateway)
        read_slowly(client, V1_CHAT, CHAT_STREAM, pause)
        assert attempts(chat(client)) == ["westus:200"]
    assert records(gateway, 2)[0]["outcome"] == "server_error"


def test_t8_an_error_of_the_request_that_comes_late_counts_as_nothing(stage: Stage) -> None:
    pause = Pause(STREAM + OUTPUT, event(error={"code": "content_filter", "message": "x"}) + DONE)
    with RawServer([pause]) as backend:
        gateway = alone(stage, backend, BREAKER_FAILURES=1)
        read_slowly(stage.http(gateway), V1_CHAT, CHAT_STREAM, pause)
    assert record_of(gateway)["outcome"] == "success"


@pytest.mark.parametrize("field", [b"", b"content-type: \r\n", b"content-type: text/plain\r\n", JSON])
def test_t2_a_stream_that_was_asked_for_is_probed_whatever_its_type_says(stage: Stage, field: bytes) -> None:
    with RawServer([(OK + field + b"\r\n" + event(error=THROTTLED),)]) as backend:
        response = stage.http(gateway_of(stage, backend)).post(V1_CHAT, json=CHAT_STREAM)
    assert attempts(response) == ["eastus:429", "westus:200"]


def test_t2_and_passes_as_it_is_when_it_is_well(stage: Stage) -> None:
    with RawServer([(OK + b"content-type: text/plain\r\n\r\n" + OUTPUT + DONE,)]) as backend:
        response = stage.http(alone(stage, backend)).post(V1_CHAT, json=CHAT_STREAM)
    assert response.headers["content-type"].startswith("text/plain")
    assert response.content == OUTPUT + DONE


def test_t2_a_document_in_place_of_a_stream_is_read_as_one(stage: Stage) -> None:
    answer = OK + b"content-type: text/plain\r\n" + sized(DOCUMENT)
    with RawServer([(answer,)]) as backend:
        assert stage.http(alone(stage, backend)).post(V1_CHAT, json=CHAT_STREAM).content == DOCUMENT


@pytest.mark.parametrize(
    "end",
    [
        b'event: response.completed\ndata: {"type": "response.completed',
        COMPLETED[:-4],
        b"event: response.completed\n",
        b"event: response.completed\ndata: ",
    ],
)
def test_t3_a_last_event_that_is_cut_is_not_taken_for_the_end(stage: Stage, end: bytes) -> None:
    with RawServer([(STREAM + CREATED + DELTA + end,)]) as backend:
        gateway = alone(stage, backend)
        received, is_broken = until_broken(stage.http(gateway), V1_RESPONSES, RESPONSES_STREAM)
    assert is_broken
    assert received.count(b"event: error") == 1
    assert record_of(gateway)["outcome"] == "interrupted"


@pytest.mark.parametrize("split", [False, True])
def test_t2_lines_that_end_in_cr_alone_are_read(stage: Stage, split: bool) -> None:
    error = event(error=THROTTLED).replace(b"\n", b"\r")
    pieces = [error[i : i + 1] for i in range(len(error))] if split else [error]
    with RawServer([(STREAM, *pieces)]) as backend:
        response = stage.http(gateway_of(stage, backend)).post(V1_CHAT, json=CHAT_STREAM)
    assert attempts(response) == ["eastus:429", "westus:200"]


def test_t1_an_event_whose_lines_end_in_cr_arrives_before_the_next(stage: Stage) -> None:
    pause = Pause(STREAM + OUTPUT.replace(b"\n", b"\r"), DONE.replace(b"\n", b"\r"))
    with RawServer([pause]) as backend:
        received = read_slowly(stage.http(alone(stage, backend)), V1_CHAT, CHAT_STREAM, pause)
    assert received == OUTPUT + DONE


PACKED = b"content-encoding: gzip\r\n"
NOT_DEPLOYED = b'{"error":{"code":"DeploymentNotFound","message":"no such deployment"}}'


def test_f1_a_packed_error_is_read(stage: Stage) -> None:
    answer = b"HTTP/1.1 404 No\r\n" + JSON + PACKED + sized(gzip.compress(NOT_DEPLOYED))
    with RawServer([(answer,)]) as backend:
        client = stage.http(gateway_of(stage, backend))
        assert [attempts(chat(client)) for _ in range(2)] == [["eastus:404", "westus:200"], ["westus:200"]]


def test_h1_and_reaches_the_client_unpacked(stage: Stage) -> None:
    error = b'{"error":{"code":"x","message":"y"}}'
    answer = b"HTTP/1.1 400 No\r\n" + JSON + PACKED + sized(gzip.compress(error))
    with RawServer([(answer,)]) as backend:
        response = chat(stage.http(alone(stage, backend)))
    assert (response.content, "content-encoding" in response.headers) == (error, False)


@pytest.mark.parametrize("framing", ["chunks", "end"])
def test_t2_a_packed_stream_is_probed(stage: Stage, framing: str) -> None:
    packed = gzip.compress(event(error=THROTTLED))
    body = CHUNKED + b"\r\n" + chunk(packed) + END if framing == "chunks" else b"\r\n" + packed
    with RawServer([(OK + EVENTS + PACKED + body,)]) as backend:
        response = stage.http(gateway_of(stage, backend)).post(V1_CHAT, json=CHAT_STREAM)
    assert attempts(response) == ["eastus:429", "westus:200"]


def test_t1_a_packed_stream_arrives_unpacked_event_by_event(stage: Stage) -> None:

    packer = zlib.compressobj(wbits=31)
    first = packer.compress(OUTPUT) + packer.flush(zlib.Z_SYNC_FLUSH)
    pause = Pause(OK + EVENTS + PACKED + b"\r\n" + first, packer.compress(DONE) + packer.flush())
    with RawServer([pause]) as backend:
        received = read_slowly(stage.http(alone(stage, backend)), V1_CHAT, CHAT_STREAM, pause)
    assert received == OUTPUT + DONE


def test_f1_an_answer_in_an_encoding_that_cannot_be_read_is_a_failed_attempt(stage: Stage) -> None:
    with RawServer([(OK + JSON + b"content-encoding: br\r\n" + sized(b"\x8b\x02\x80"),)]) as backend:
        assert attempts(chat(stage.http(gateway_of(stage, backend)))) == ["eastus:reset", "westus:200"]


@pytest.mark.parametrize(
    ("error", "trail"),
    [
        (THROTTLED, ["eastus:429", "westus:200"]),
        (LIMITED, ["eastus:429", "westus:200"]),
        (CRASHED, ["eastus:500", "westus:200"]),
        (FILTERED, ["eastus:200"]),
        ({"code": "never heard of", "message": "rate limit"}, ["eastus:200"]),
    ],
)
def test_t2_a_200_that_only_holds_an_error_counts_like_the_status_that_it_names(
    stage: Stage, error: dict[str, Any], trail: list[str]
) -> None:
    with RawServer([(OK + JSON + sized(json.dumps({"error": error}).encode()),)]) as backend:
        assert attempts(chat(stage.http(gateway_of(stage, backend)))) == trail


def test_t2_an_answer_with_an_error_beside_it_is_an_answer(stage: Stage) -> None:
    body = json.dumps({"error": THROTTLED, "choices": []}).encode()
    with RawServer([(OK + JSON + sized(body),)]) as backend:
        assert attempts(chat(stage.http(gateway_of(stage, backend)))) == ["eastus:200"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_f1_a_redirect_is_a_failed_attempt(stage: Stage, status: int) -> None:
    answer = b"HTTP/1.1 %d Moved\r\nlocation: http://backend.internal/x\r\ncontent-length: 0\r\n\r\n" % status
    with RawServer([(answer,)]) as backend:
        response = chat(stage.http(gateway_of(stage, backend)))
    assert attempts(response) == [f"eastus:{status}", "westus:200"]


@pytest.mark.parametrize("status", [307, 308])
def test_f6_where_a_backend_redirects_to_never_reaches_the_client(stage: Stage, status: int) -> None:
    answer = b"HTTP/1.1 %d Moved\r\nlocation: http://backend.internal/x\r\ncontent-length: 0\r\n\r\n" % status
    with RawServer([(answer,)]) as backend:
        response = chat(stage.http(alone(stage, backend)))
    assert (response.status_code, "location" in response.headers) == (503, False)


def test_h1_an_answer_without_a_content_type_gets_none(stage: Stage) -> None:
    with RawServer([(OK + sized(DOCUMENT),)]) as backend:
        response = chat(stage.http(alone(stage, backend)))
    assert (response.status_code, "content-type" in response.headers) == (200, False)
