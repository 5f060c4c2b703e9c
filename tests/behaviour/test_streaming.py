"""Section 5 of the gateway's behaviour: streaming."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from e2e.simulator import Simulator
from tests.behaviour.conftest import API_VERSION, CHAT, CLIENT_KEY, Stage
from tests.behaviour.support import (
    V1_CHAT,
    V1_RESPONSES,
    attempts,
    chat,
    leave_before_the_answer,
    record_of,
)
from tests.engines.raw_server import RawServer
from tests.support.slow_client import SlowClient

EASTUS_FIRST = {"AZURE_OPENAI_PRIORITY_0": 10}
CHAT_STREAM: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Hello"}],
    "stream": True,
}
RESPONSES_STREAM: dict[str, Any] = {"model": "gpt-4o", "input": "Hello", "stream": True}
OUTPUT = 'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
SURFACES = [
    pytest.param(V1_CHAT, CHAT_STREAM, id="chat"),
    pytest.param(V1_RESPONSES, RESPONSES_STREAM, id="responses"),
]


def read_until_broken(
    client: httpx.Client, target: str, body: dict[str, Any] | None, method: str = "POST"
) -> tuple[str, bool]:
    """What arrived of a stream, and whether the connection broke instead of ending cleanly."""
    text = ""
    try:
        with client.stream(method, target, json=body) as response:
            for piece in response.iter_text():
                text += piece
    except httpx.RemoteProtocolError:
        return text, True
    return text, False


def events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def test_t1_each_event_arrives_while_the_backend_still_holds_the_next(stage: Stage, sim: Simulator) -> None:
    # Longer than the client waits.
    sim.fail("eastus", stall=60, after=2)
    client = stage.http(stage.gateway(["eastus"]))
    with client.stream("POST", V1_CHAT, json=CHAT_STREAM) as response:
        lines = response.iter_lines()
        seen = [next(line for line in lines if "delta" in line) for _ in range(2)]
    assert len(seen) == 2


# More than Linux buffers for a client that does not read.
LONG = "x" * 8 * 1024 * 1024
MANY_EVENTS = OUTPUT * (len(LONG) // len(OUTPUT)) + "data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("method", "target", "body", "media_type", "answer"),
    [
        pytest.param("POST", V1_CHAT, CHAT_STREAM, "text/event-stream", MANY_EVENTS, id="stream"),
        pytest.param("POST", V1_CHAT, CHAT, "application/json", json.dumps({"text": LONG}), id="document"),
        pytest.param("GET", "/openai/v1/files/file-1/content", None, "audio/mpeg", LONG, id="download"),
    ],
)
def test_t1_a_client_that_is_slower_than_the_backend_gets_the_whole_answer(
    stage: Stage, method: str, target: str, body: dict[str, Any] | None, media_type: str, answer: str
) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {len(answer)}\r\n\r\n"
    with RawServer([(head.encode(), answer.encode())]) as backend:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url)
        with SlowClient(gateway.url, {"api-key": CLIENT_KEY}) as client:
            received = client.fetch(method, target, body)
    assert received == answer.encode()


@pytest.mark.parametrize("form", ["auto", "chat_chunk", "event", "nested", "message_only"])
def test_t2_a_throttling_error_before_the_first_output_fails_over(
    stage: Stage, sim: Simulator, form: str
) -> None:
    sim.fail("eastus", stream_error=form, code="rate_limit_exceeded", message="exceeded the rate limit")
    response = chat(stage.http(stage.gateway(**EASTUS_FIRST)), stream=True)
    assert attempts(response) == ["eastus:429", "westus:200"]


@pytest.mark.parametrize("form", ["event", "nested", "response_failed", "message_only"])
def test_t2_so_does_one_in_a_responses_stream(stage: Stage, sim: Simulator, form: str) -> None:
    sim.fail("eastus", stream_error=form, code="too_many_requests", message="high demand")
    response = stage.http(stage.gateway(**EASTUS_FIRST)).post(V1_RESPONSES, json=RESPONSES_STREAM)
    assert attempts(response) == ["eastus:429", "westus:200"]


@pytest.mark.parametrize(("target", "body"), SURFACES)
def test_t2_a_server_error_inside_the_stream_fails_over(
    stage: Stage, sim: Simulator, target: str, body: dict[str, Any]
) -> None:
    sim.fail("eastus", stream_error="auto", code="server_error", message="the model crashed")
    response = stage.http(stage.gateway(**EASTUS_FIRST)).post(target, json=body)
    assert attempts(response) == ["eastus:500", "westus:200"]


def test_t2_with_nowhere_to_go_the_client_gets_a_true_429(stage: Stage, sim: Simulator) -> None:
    sim.fail(
        "eastus", stream_error="auto", code="rate_limit_exceeded", message="Please retry after 8 seconds"
    )
    response = chat(stage.http(stage.gateway(["eastus"])), stream=True)
    assert (response.status_code, response.headers["retry-after"]) == (429, "8")


def test_t2_an_error_inside_a_stream_is_read_with_the_headers_before_it(stage: Stage) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-ratelimit-reset-tokens: 8\r\n\r\n"
    error = b'data: {"error":{"code":"too_many_requests","message":"slow down"}}\n\n'
    with RawServer([(head, error)]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        assert chat(client, stream=True).headers["retry-after"] == "8"


def test_t2_with_nowhere_to_go_the_client_gets_a_true_5xx(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stream_error="auto", code="server_error", message="the model crashed")
    response = chat(stage.http(stage.gateway(["eastus"])), stream=True)
    assert (response.status_code, "the model crashed" in response.text) == (500, True)


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64])
def test_t2_the_probe_sees_whole_events_however_they_are_split(
    stage: Stage, sim: Simulator, piece: int
) -> None:
    sim.fail("eastus", stream_error="auto", code="rate_limit_exceeded", split=piece)
    response = chat(stage.http(stage.gateway(**EASTUS_FIRST)), stream=True)
    assert attempts(response) == ["eastus:429", "westus:200"]


@pytest.mark.parametrize(("target", "body"), SURFACES)
def test_t2_a_split_stream_arrives_like_a_whole_one(
    stage: Stage, sim: Simulator, target: str, body: dict[str, Any]
) -> None:
    client = stage.http(stage.gateway(["eastus"]))
    whole = [
        event.get("type") or event.get("object") for event in events(client.post(target, json=body).text)
    ]
    sim.fail("eastus", split=5, crlf=True)
    split = [
        event.get("type") or event.get("object") for event in events(client.post(target, json=body).text)
    ]
    assert split == whole


@pytest.mark.parametrize(("target", "body"), SURFACES)
def test_t2_a_stream_that_ends_before_any_output_fails_over(
    stage: Stage, sim: Simulator, target: str, body: dict[str, Any]
) -> None:
    sim.fail("eastus", cut=1)
    response = stage.http(stage.gateway(**EASTUS_FIRST)).post(target, json=body)
    assert attempts(response) == ["eastus:reset", "westus:200"]


def test_t2_the_probe_holds_the_client_no_longer_than_configured(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=60, after=0)
    client = stage.http(stage.gateway(**EASTUS_FIRST, AI_PROXY_STREAM_PROBE_MS=100))
    with client.stream("POST", V1_CHAT, json=CHAT_STREAM) as response:
        assert response.headers["x-gateway-backend"] == "eastus"


def test_t2_an_error_of_the_request_itself_is_not_tried_elsewhere(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stream_error="auto", code="content_filter", message="filtered")
    response = chat(stage.http(stage.gateway(**EASTUS_FIRST)), stream=True)
    assert (attempts(response), "filtered" in response.text) == (["eastus:200"], True)


@pytest.mark.parametrize("code", ["invalid_image_url", "image_too_large", "unsupported_image_media_type"])
def test_t2_a_request_with_a_bad_image_rests_no_backend(stage: Stage, sim: Simulator, code: str) -> None:
    sim.fail("eastus", stream_error="response_failed", code=code, message="not an image", count=1)
    client = stage.http(stage.gateway(["eastus"], BREAKER_FAILURES=1))
    answers = [client.post(V1_RESPONSES, json=RESPONSES_STREAM) for _ in range(2)]
    assert [attempts(answer) for answer in answers] == [["eastus:200"], ["eastus:200"]]


@pytest.mark.parametrize(
    "start",
    [
        "event: error\ndata: Too Many Requests\n\n",
        'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
        'data: {"error":{"code":"too_many_requests","message":"slow down"}}\n\n',
        'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":null},'
        '"finish_reason":null}]}\n\ndata: {"error":{"code":"too_many_requests","message":"slow down"}}\n\n',
    ],
    ids=["plain text", "behind a role", "behind a role and what it does not say"],
)
def test_t2_an_error_before_any_words_is_a_failed_attempt(stage: Stage, start: str) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    with RawServer([(head, start.encode())]) as backend:
        gateway = stage.gateway(AZURE_OPENAI_ENDPOINT_0=backend.url, **EASTUS_FIRST)
        response = stage.http(gateway).post(V1_CHAT, json=CHAT_STREAM)
    assert attempts(response) == ["eastus:429", "westus:200"]


@pytest.mark.parametrize(("target", "body"), SURFACES)
@pytest.mark.parametrize("rst", [False, True])
def test_t3_a_break_after_output_closes_the_connection(
    stage: Stage, sim: Simulator, target: str, body: dict[str, Any], rst: bool
) -> None:
    sim.fail("eastus", cut=8, cut_rst=rst)
    _, broken = read_until_broken(stage.http(stage.gateway(**EASTUS_FIRST)), target, body)
    assert broken


@pytest.mark.parametrize(("target", "body"), SURFACES)
def test_t3_a_break_after_output_is_told_in_one_error_event(
    stage: Stage, sim: Simulator, target: str, body: dict[str, Any]
) -> None:
    sim.fail("eastus", cut=8, cut_inside=True)
    text, _ = read_until_broken(stage.http(stage.gateway(**EASTUS_FIRST)), target, body)
    errors = [event for event in events(text) if event.get("error") or event.get("type") == "error"]
    assert len(errors) == 1


def test_t3_a_stored_response_that_breaks_off_ends_in_the_form_of_its_surface(stage: Stage) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    with RawServer([(head, OUTPUT.encode())]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        text, _ = read_until_broken(client, "/openai/v1/responses/resp_1?stream=true", None, method="GET")
    assert list(events(text))[-1]["type"] == "error"


def test_t3_an_error_that_is_null_does_not_end_a_stream(stage: Stage) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}],"error":null}\n\n'
    with RawServer([(head, chunk)]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        _, broken = read_until_broken(client, V1_CHAT, CHAT_STREAM)
    assert broken


def test_t3_the_official_client_raises(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", cut=8)
    stream = stage.openai(stage.gateway(["eastus"])).chat.completions.create(**CHAT_STREAM)
    with pytest.raises(openai.APIError, match="broke off"):
        list(stream)


def test_t3_no_second_answer_is_appended(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", cut=8)
    read_until_broken(stage.http(stage.gateway(**EASTUS_FIRST)), V1_CHAT, CHAT_STREAM)
    assert sim.requests("westus") == []


@pytest.mark.parametrize("end", ["data: [DONE]", "data: [DONE]\n"])
def test_t3_a_last_event_without_its_blank_line_ends_the_stream(stage: Stage, end: str) -> None:
    body = 'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n' + end
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
    with RawServer([(head.encode(), body.encode())]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        assert client.post(V1_CHAT, json=CHAT_STREAM).text == body


COMPLETED = '{"type":"response.completed","response":{"id":"resp_1","status":"completed"}}'


@pytest.mark.parametrize(
    ("target", "body", "end"),
    [
        (V1_CHAT, CHAT_STREAM, "data:[DONE]\n\n"),
        (V1_CHAT, CHAT_STREAM, "data: [DONE]\n\n: bye\n\n"),
        (V1_RESPONSES, RESPONSES_STREAM, f"data: {COMPLETED}\n\n"),
        (V1_RESPONSES, RESPONSES_STREAM, f"event:response.completed\ndata:{COMPLETED}\n\n"),
        (V1_RESPONSES, RESPONSES_STREAM, f"data: {COMPLETED}\n\ndata: [DONE]\n\n"),
    ],
)
def test_t3_a_complete_stream_is_known_by_any_spelling_of_its_end(
    stage: Stage, target: str, body: dict[str, Any], end: str
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    with RawServer([(head, OUTPUT.encode(), end.encode())]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        assert client.post(target, json=body).text == OUTPUT + end


def test_t3_an_error_event_of_the_backend_passes_as_it_is(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stream_error="auto", after=3, message="the model crashed")
    text, broken = read_until_broken(stage.http(stage.gateway(["eastus"])), V1_CHAT, CHAT_STREAM)
    assert (text.count("the model crashed"), broken) == (1, False)


def test_t4_a_client_that_leaves_a_stream_aborts_the_upstream_request(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=60, after=2)
    client = stage.http(stage.gateway(["eastus"]))
    with client.stream("POST", V1_CHAT, json=CHAT_STREAM) as response:
        next(response.iter_text())
    assert sim.wait_for_disconnect("eastus")


@pytest.mark.parametrize("length", [10, 2_000, 2_000_000])
def test_t4_a_client_that_leaves_before_the_answer_aborts_too(
    stage: Stage, sim: Simulator, length: int
) -> None:
    sim.fail("eastus", hang=True)
    leave_before_the_answer(stage.gateway(["eastus"]), sim, CHAT_STREAM | {"user": "x" * length})
    assert sim.wait_for_disconnect("eastus")


def test_t5_a_silent_stream_gets_heartbeats(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=2.5, after=2)
    client = stage.http(stage.gateway(["eastus"], AI_PROXY_STREAM_HEARTBEAT_SECONDS=1))
    answer = client.post(V1_CHAT, json=CHAT_STREAM)
    # One for each second of silence, which a busy machine makes longer or notices later.
    assert 1 <= answer.text.count(": keep-alive\n\n") <= answer.elapsed.total_seconds()


def test_t5_heartbeats_stand_between_events(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=1.5, after=2, split=11)
    client = stage.openai(stage.gateway(["eastus"], AI_PROXY_STREAM_HEARTBEAT_SECONDS=1))
    assert len(list(client.chat.completions.create(**CHAT_STREAM))) > 5


def test_t5_heartbeats_come_before_the_first_event_too(stage: Stage) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    with RawServer([(head,), RawServer.WAIT]) as backend:
        gateway = stage.gateway(
            ["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url, AI_PROXY_STREAM_HEARTBEAT_SECONDS=1
        )
        with stage.http(gateway).stream("POST", V1_CHAT, json=CHAT_STREAM) as response:
            assert next(response.iter_text()) == ": keep-alive\n\n"


def test_t5_heartbeats_can_be_turned_off(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=1.5, after=2)
    client = stage.http(stage.gateway(["eastus"], AI_PROXY_STREAM_HEARTBEAT_SECONDS=0))
    assert ": keep-alive" not in client.post(V1_CHAT, json=CHAT_STREAM).text


def sent_stream_options(sim: Simulator) -> object:
    return json.loads(sim.requests("eastus")[0].body).get("stream_options")


def test_t6_usage_is_asked_for_on_v1(stage: Stage, sim: Simulator) -> None:
    stage.http(stage.shared_gateway()).post(V1_CHAT, json=CHAT_STREAM)
    assert sent_stream_options(sim) == {"include_usage": True}


@pytest.mark.parametrize(
    ("version", "options"),
    [("2024-06-01", None), ("2024-08-01-preview", None), ("2024-09-01-preview", {"include_usage": True})],
)
def test_t6_usage_is_asked_for_only_where_the_api_version_accepts_it(
    stage: Stage, sim: Simulator, version: str, options: object
) -> None:
    target = f"/openai/deployments/gpt-4o/chat/completions?api-version={version}"
    stage.http(stage.shared_gateway()).post(target, json=CHAT_STREAM)
    assert sent_stream_options(sim) == options


def test_t6_the_usage_chunk_is_kept_from_a_client_that_did_not_ask(stage: Stage) -> None:
    text = stage.http(stage.shared_gateway()).post(V1_CHAT, json=CHAT_STREAM).text
    assert [event for event in events(text) if event.get("usage")] == []


@pytest.mark.parametrize("wanted", [True, False])
def test_t6_a_clients_own_choice_stands(stage: Stage, sim: Simulator, wanted: bool) -> None:
    body = CHAT_STREAM | {"stream_options": {"include_usage": wanted}}
    text = stage.http(stage.shared_gateway()).post(V1_CHAT, json=body).text
    assert bool([event for event in events(text) if event.get("usage")]) == wanted


@pytest.mark.parametrize("unwanted", [False, None])
def test_t6_a_client_that_wants_no_usage_chunk_is_counted_all_the_same(
    stage: Stage, sim: Simulator, unwanted: bool | None
) -> None:
    options = {"include_usage": unwanted, "include_obfuscation": False}
    gateway = stage.gateway(["eastus"], GATEWAY_LOG_MODE="test")
    stage.http(gateway).post(V1_CHAT, json=CHAT_STREAM | {"stream_options": options})
    assert sent_stream_options(sim) == {"include_usage": True, "include_obfuscation": False}
    assert record_of(gateway)["tokens"]["estimated"] is False


def test_t6_an_older_api_version_without_a_usage_chunk_is_estimated(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_LOG_MODE="test")
    target = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01"
    stage.http(gateway).post(target, json=CHAT_STREAM)
    assert record_of(gateway)["tokens"]["estimated"] is True


def test_t6_the_rest_of_the_body_stays_as_it_was(stage: Stage, sim: Simulator) -> None:
    body = b'{ "seed":12345678901234567890,"stream":true, "model":"gpt-4o","messages":[]}'
    stage.http(stage.shared_gateway()).post(
        V1_CHAT, content=body, headers={"content-type": "application/json"}
    )
    expected = b'{"stream_options":{"include_usage":true},' + body[1:]
    assert sim.requests("eastus")[0].body == expected


@pytest.mark.parametrize("version", [API_VERSION, "2024-06-01"])
def test_t6_streams_count_against_token_limits(stage: Stage, version: str) -> None:
    client = stage.http(stage.gateway(["eastus"], GATEWAY_CLIENT_TOKENS_PER_MINUTE_0=1))
    target = f"/openai/deployments/gpt-4o/chat/completions?api-version={version}"
    assert [client.post(target, json=CHAT_STREAM).status_code for _ in range(2)] == [200, 429]


DATA: dict[str, Any] = CHAT_STREAM | {"data_sources": [{"type": "azure_search", "parameters": {}}]}
NOT_PERMITTED = {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}
OF_ANOTHER_MAKER: dict[str, Any] = {"contains": "stream_options", "status": 422, "body": NOT_PERMITTED}


@pytest.mark.parametrize("status", [400, 422])
def test_t6_f4_a_request_with_data_goes_out_again_in_the_clients_own_bytes(
    stage: Stage, sim: Simulator, status: int
) -> None:
    if status == OF_ANOTHER_MAKER["status"]:
        sim.fail("eastus", **OF_ANOTHER_MAKER)
    gateway = stage.gateway(["eastus"], GATEWAY_LOG_MODE="test")
    content = json.dumps(DATA, indent=1)
    answer = stage.http(gateway).post(V1_CHAT, content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, attempts(answer)) == (200, [f"eastus:{status}", "eastus:200"])
    assert sim.requests("eastus")[1].body == content.encode()
    assert record_of(gateway)["tokens"]["estimated"] is True


def test_t6_that_is_remembered_for_such_requests_only(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(["eastus"]))
    trails = [attempts(client.post(V1_CHAT, json=body)) for body in (DATA, DATA, CHAT_STREAM)]
    assert trails[1:] == [["eastus:200"], ["eastus:200"]]
    assert b"stream_options" in sim.requests("eastus")[-1].body


@pytest.mark.parametrize("model", ["mistral-large", "gpt-4o"])
def test_t6_a_model_of_another_maker_is_asked_once(stage: Stage, sim: Simulator, model: str) -> None:
    sim.fail("eastus", **OF_ANOTHER_MAKER)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10, AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o"))
    client = client if model == "gpt-4o" else stage.http(stage.gateway(["eastus"]))
    trails = [attempts(client.post(V1_CHAT, json=CHAT_STREAM | {"model": model})) for _ in range(3)]
    assert trails == [["eastus:422", "eastus:200"], ["eastus:200"], ["eastus:200"]]


@pytest.mark.parametrize("options", [{"include_usage": True}, {"include_usage": False}, {}])
def test_t6_options_of_the_client_are_the_clients_to_correct(
    stage: Stage, sim: Simulator, options: dict[str, bool]
) -> None:
    sim.fail("eastus", **OF_ANOTHER_MAKER)
    answer = stage.http(stage.gateway()).post(V1_CHAT, json=CHAT_STREAM | {"stream_options": options})
    assert (answer.status_code, len(attempts(answer))) == (422, 1)


def test_t6_f4_the_repeat_does_not_count_as_another_backend(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", **OF_ANOTHER_MAKER)
    client = stage.http(stage.gateway(["eastus"], AI_PROXY_MAX_ATTEMPTS=1))
    trails = [attempts(client.post(V1_CHAT, json=CHAT_STREAM)) for _ in range(2)]
    assert trails == [["eastus:422", "eastus:200"], ["eastus:200"]]


def test_t6_a_refusal_that_comes_too_late_to_ask_again_teaches_nothing(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", **OF_ANOTHER_MAKER, slow_first_byte=0.3, count=1)
    client = stage.http(stage.gateway(["eastus"], AI_PROXY_RETRY_WITHIN_MS=100))
    trails = [attempts(client.post(V1_CHAT, json=CHAT_STREAM)) for _ in range(2)]
    assert trails == [["eastus:422"], ["eastus:200"]]
    assert b"stream_options" in sim.requests("eastus")[-1].body


def test_t6_an_error_about_something_else_is_for_the_client_at_once(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=400, message="Invalid 'temperature'.")
    assert attempts(stage.http(stage.gateway(["eastus"])).post(V1_CHAT, json=CHAT_STREAM)) == ["eastus:400"]


def test_t6_own_bytes_that_are_refused_too_teach_nothing(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=400, message="stream_options or something else is wrong", count=2)
    client = stage.http(stage.gateway(["eastus"]))
    trails = [attempts(client.post(V1_CHAT, json=CHAT_STREAM)) for _ in range(2)]
    assert trails == [["eastus:400", "eastus:400"], ["eastus:200"]]
    assert b"stream_options" in sim.requests("eastus")[-1].body
