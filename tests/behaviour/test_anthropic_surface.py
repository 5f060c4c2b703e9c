"""S6: Claude on Foundry, through the same exchange as Azure OpenAI."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import pytest

from e2e.redis_server import RedisServer, is_installed
from e2e.simulator import Simulator
from scripts.engines import Gateway
from tests.behaviour.conftest import CLIENT_KEY, REGIONS, TLS, Stage
from tests.behaviour.support import attempts, chat, record_of
from tests.engines.raw_server import RawServer
from tests.support.identity import identity_endpoint

needs_redis = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")

BASE = "/anthropic/v1"
MESSAGES = f"{BASE}/messages"
CLAUDE = "claude-sonnet"
MESSAGE: dict[str, Any] = {
    "model": CLAUDE,
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hello"}],
}
VERSION = {"anthropic-version": "2023-06-01"}
ALL = "openai,anthropic,inference"
OFFERED = {"AZURE_OPENAI_SURFACES_0": ALL, "AZURE_OPENAI_SURFACES_1": ALL}
JSON_HEAD = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def gateway_of(stage: Stage, **settings: Any) -> Gateway:
    return stage.gateway(**(OFFERED | settings))


def client_of(stage: Stage, **settings: Any) -> httpx.Client:
    return client_at(stage, gateway_of(stage, **settings))


def client_at(stage: Stage, gateway: Gateway) -> httpx.Client:
    client = stage.http(gateway)
    client.headers.update(VERSION)
    return client


def sdk_of(gateway: Gateway, key: str = CLIENT_KEY) -> anthropic.Anthropic:
    """The official client, without retries of its own."""
    http = anthropic.DefaultHttpxClient(verify=TLS)
    return anthropic.Anthropic(
        base_url=f"{gateway.url}/anthropic", api_key=key, max_retries=0, http_client=http
    )


def document(status: int, body: Any) -> list[tuple[bytes, ...]]:
    text = json.dumps(body).encode()
    return [(JSON_HEAD % (status, len(text)) + text,)]


def error_type(response: httpx.Response) -> str:
    body = response.json()
    assert body["type"] == "error"
    return str(body["error"]["type"])


def message(client: httpx.Client, **members: Any) -> httpx.Response:
    return client.post(MESSAGES, json=MESSAGE | members)


def event_types(response: httpx.Response) -> list[str]:
    return [line.removeprefix("event: ") for line in response.text.splitlines() if line.startswith("event: ")]


# --- What is served ------------------------------------------------------------------------------------


def test_s6_the_official_client_gets_a_message(stage: Stage) -> None:
    answer = sdk_of(gateway_of(stage)).messages.create(**MESSAGE)
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")


def test_s6_the_official_client_gets_a_stream(stage: Stage) -> None:
    with sdk_of(gateway_of(stage)).messages.stream(**MESSAGE) as stream:
        text = "".join(stream.text_stream)
        assert text == stream.get_final_text() != ""


def test_s6_the_official_client_counts_tokens(stage: Stage) -> None:
    members = {name: MESSAGE[name] for name in ("model", "messages")}
    assert sdk_of(gateway_of(stage)).messages.count_tokens(**members).input_tokens > 0


def test_s6_a_batch_is_found_again_where_it_was_made(stage: Stage) -> None:
    client = sdk_of(gateway_of(stage)).messages.batches
    params = {"custom_id": "one", "params": MESSAGE}
    made = [client.create(requests=[params]).id for _ in range(4)]  # type: ignore[list-item]
    assert [client.retrieve(batch).id for batch in made] == made


def test_r4_all_batches_are_made_where_their_list_is_shown(stage: Stage) -> None:
    """The first backend, which new files of Azure OpenAI's go to, does not offer this surface."""
    gateway = stage.gateway(REGIONS, AZURE_OPENAI_SURFACES_1=ALL, AZURE_OPENAI_SURFACES_2=ALL)
    client = sdk_of(gateway).messages.batches
    params = {"custom_id": "one", "params": MESSAGE}
    made = [client.create(requests=[params]).id for _ in range(4)]  # type: ignore[list-item]
    assert sorted(batch.id for batch in client.list()) == sorted(made)


def test_r4_the_configured_home_is_that_of_batches_too(stage: Stage) -> None:
    settings = {"AZURE_OPENAI_SURFACES_1": ALL, "GATEWAY_HOME_BACKEND": "westus"}
    client = client_at(stage, stage.gateway(REGIONS[:2], **settings))
    body = {"requests": [{"custom_id": "one", "params": MESSAGE}]}
    assert attempts(client.post(f"{MESSAGES}/batches", json=body)) == ["westus:200"]
    files = {"file": ("a.jsonl", b"{}"), "purpose": (None, "batch")}
    assert attempts(client.post("/openai/v1/files", files=files)) == ["westus:201"]


@pytest.mark.parametrize("header", ["x-api-key", "api-key", "authorization"])
def test_s6_a_key_is_accepted_in_each_header(stage: Stage, sim: Simulator, header: str) -> None:
    url = gateway_of(stage, **{"AZURE_OPENAI_PRIORITY_0": 1}).url
    value = f"Bearer {CLIENT_KEY}" if header == "authorization" else CLIENT_KEY
    response = httpx.post(url + MESSAGES, json=MESSAGE, headers={header: value, **VERSION}, verify=TLS)
    assert response.status_code == 200
    seen = dict(sim.requests("eastus")[0].headers)
    assert (seen["api-key"], "x-api-key" in seen, "authorization" in seen) == ("key-of-eastus", False, False)


def test_a1_a_key_in_x_api_key_is_for_the_anthropic_surface_alone(stage: Stage) -> None:
    url = gateway_of(stage).url + "/openai/v1/chat/completions"
    assert httpx.post(url, json={}, headers={"x-api-key": CLIENT_KEY}, verify=TLS).status_code == 401


def test_s6_path_query_version_and_betas_reach_the_backend(stage: Stage, sim: Simulator) -> None:
    client = client_of(stage, AZURE_OPENAI_PRIORITY_0=1)
    body = (
        b'{ "model":"' + CLAUDE.encode() + b'", "max_tokens":1,"messages":[{"role":"user","content":"a"}] }'
    )
    headers = {"content-type": "application/json", "anthropic-beta": "files-api-2025-04-14"}
    client.post(f"{MESSAGES}?beta=true", content=body, headers=headers)
    [request] = sim.requests("eastus")
    seen = dict(request.headers)
    assert (request.path, request.body) == (f"{MESSAGES}?beta=true", body)
    assert (seen["anthropic-version"], seen["anthropic-beta"]) == ("2023-06-01", "files-api-2025-04-14")


def test_s6_only_backends_that_offer_it_are_candidates(stage: Stage, sim: Simulator) -> None:
    client = client_of(stage, AZURE_OPENAI_SURFACES_0="openai")
    assert {attempts(message(client))[0] for _ in range(4)} == {"westus:200"}
    assert sim.requests("eastus") == []


def test_s6_backends_that_offer_nothing_else_get_no_chats(stage: Stage, sim: Simulator) -> None:
    client = client_of(stage, AZURE_OPENAI_SURFACES_0="anthropic")
    assert {attempts(chat(client))[0] for _ in range(4)} == {"westus:200"}


def test_s4_without_a_backend_that_offers_it_the_surface_is_not_there(stage: Stage) -> None:
    response = stage.http(stage.gateway()).post(MESSAGES, json=MESSAGE)
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("path", [f"{BASE}/Messages", "/anthropic/messages", "/anthropic/v2/messages"])
def test_s4_other_paths_are_not_served(stage: Stage, path: str) -> None:
    assert client_of(stage).post(path, json=MESSAGE).status_code == 404


@pytest.mark.parametrize("path", ["/anthropic//v1/messages", f"{BASE}/x/../messages", f"{MESSAGES}/"])
def test_s1_a_path_in_another_form_is_refused(stage: Stage, sim: Simulator, path: str) -> None:
    response = client_of(stage).request("POST", "/", json=MESSAGE, extensions={"target": path.encode()})
    assert response.status_code in (400, 404)
    assert sim.requests("eastus") == sim.requests("westus") == []


def test_b1_a_backend_may_rename_the_model(stage: Stage, sim: Simulator) -> None:
    client = client_of(stage, AZURE_OPENAI_PRIORITY_0=1, AZURE_OPENAI_DEPLOYMENTS_0=f"{CLAUDE}=my-claude")
    message(client)
    assert json.loads(sim.requests("eastus")[0].body)["model"] == "my-claude"


# --- Errors --------------------------------------------------------------------------------------------


REFUSALS: dict[str, tuple[Callable[[httpx.Client], httpx.Response], int, str]] = {
    "no key": (
        lambda client: client.post(MESSAGES, json=MESSAGE, headers={"api-key": "wrong-key-0123456789"}),
        401,
        "authentication_error",
    ),
    "no JSON": (
        lambda client: client.post(MESSAGES, content=b"{", headers={"content-type": "application/json"}),
        400,
        "invalid_request_error",
    ),
    "an odd path": (
        lambda client: client.request(
            "POST", "/", json=MESSAGE, extensions={"target": f"{BASE}/messages/%2e%2e".encode()}
        ),
        400,
        "invalid_request_error",
    ),
    "too large": (lambda client: message(client, system="x" * 1024 * 1024), 413, "request_too_large"),
    "not allowed": (lambda client: message(client, model="other"), 403, "permission_error"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_s6_the_gateways_own_errors_have_anthropics_shape(stage: Stage, case: str) -> None:
    ask, status, kind = REFUSALS[case]
    settings = {"MAX_REQUEST_BODY_MB": 1, "GATEWAY_CLIENT_DEPLOYMENTS_0": CLAUDE}
    response = ask(client_of(stage, **settings))
    assert (response.status_code, error_type(response)) == (status, kind)


def test_s6_the_official_client_understands_that_all_are_throttled(stage: Stage, sim: Simulator) -> None:
    for region in ("eastus", "westus"):
        sim.fail(region, status=429, retry_after=7)
    with pytest.raises(anthropic.RateLimitError) as caught:
        sdk_of(gateway_of(stage)).messages.create(**MESSAGE)
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 7
    assert caught.value.body["error"]["type"] == "rate_limit_error"  # type: ignore[index]


def test_s6_an_unknown_model_is_not_found(stage: Stage) -> None:
    listed = {f"AZURE_OPENAI_DEPLOYMENTS_{index}": "gpt-4o" for index in range(2)}
    response = message(client_of(stage, **listed))
    assert (response.status_code, error_type(response)) == (404, "not_found_error")


def test_f1_a_bad_request_goes_to_the_client_unchanged(stage: Stage, sim: Simulator) -> None:
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": "model: Field required"}}
    with RawServer(document(400, body)) as backend:
        client = client_of(stage, AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=1)
        response = message(client)
    assert (response.status_code, response.json()) == (400, body)
    assert attempts(response) == ["eastus:400"]


# --- Failover ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_f1_a_failing_backend_is_replaced(stage: Stage, sim: Simulator, status: int) -> None:
    sim.fail("eastus", status=status)
    response = message(client_of(stage, AZURE_OPENAI_PRIORITY_0=1))
    assert attempts(response) == [f"eastus:{status}", "westus:200"]


@pytest.mark.parametrize(
    ("status", "kind"), [(529, "overloaded_error"), (500, "overloaded_error"), (429, "rate_limit_error")]
)
def test_s6_an_overloaded_model_is_throttling(stage: Stage, status: int, kind: str) -> None:
    body = {"type": "error", "error": {"type": kind, "message": "Overloaded"}}
    with RawServer(document(status, body)) as backend:
        client = client_of(
            stage,
            AZURE_OPENAI_ENDPOINT_0=backend.url,
            AZURE_OPENAI_PRIORITY_0=1,
            BREAKER_FAILURES=1,
            COOLDOWN_DEFAULT_SECONDS=30,
        )
        first, second = message(client), message(client)
        # With a breaker it would be a 503.
        alone = client_of(stage, AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_SURFACES_1="openai")
        refused = message(alone)
    assert attempts(first) == [f"eastus:{status}", "westus:200"]
    assert attempts(second) == ["westus:200"]
    assert (refused.status_code, error_type(refused)) == (429, "rate_limit_error")


def test_b1_a_model_that_a_backend_misses_is_asked_for_elsewhere(stage: Stage) -> None:
    body = {"type": "error", "error": {"type": "not_found_error", "message": f"model: {CLAUDE}"}}
    with RawServer(document(404, body)) as backend:
        client = client_of(stage, AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=1)
        assert attempts(message(client)) == ["eastus:404", "westus:200"]
        assert attempts(message(client)) == ["westus:200"]


def test_b1_a_chat_that_misses_a_model_hides_nothing_from_this_surface(stage: Stage) -> None:
    """Neither surface has the other's models, so one client's mistake must not cost another's capacity."""
    body = {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}
    with RawServer(document(404, body)) as backend, RawServer(document(404, body)) as other:
        gateway = gateway_of(stage, AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_ENDPOINT_1=other.url)
        client = client_at(stage, gateway)
        assert chat(client, model=CLAUDE).status_code == 404
        before = len(backend.requests) + len(other.requests)
        message(client)
        assert len(backend.requests) + len(other.requests) == before + 2


# --- Streams -------------------------------------------------------------------------------------------


def stream(*events: tuple[str, Any]) -> bytes:
    return b"".join(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in events)


def start(**usage: int | None) -> tuple[str, Any]:
    used: dict[str, int | None] = {"input_tokens": 10, "output_tokens": 1}
    told = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "usage": used | usage,
    }
    return "message_start", {"type": "message_start", "message": told}


def block(text: str = "") -> tuple[str, Any]:
    content = {"type": "text", "text": text}
    return "content_block_start", {"type": "content_block_start", "index": 0, "content_block": content}


def delta(text: str = "Hi") -> tuple[str, Any]:
    content = {"type": "text_delta", "text": text}
    return "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": content}


def error(kind: str) -> tuple[str, Any]:
    return "error", {"type": "error", "error": {"type": kind, "message": "Overloaded"}}


PING = ("ping", {"type": "ping"})
STOP = ("message_stop", {"type": "message_stop"})


def end(**usage: int | None) -> tuple[str, Any]:
    stop = {"stop_reason": "end_turn"}
    used: dict[str, int | None] = {"output_tokens": 5}
    return "message_delta", {"type": "message_delta", "delta": stop, "usage": used | usage}


def streamed(stage: Stage, *pieces: bytes, **settings: Any) -> tuple[httpx.Response, Gateway]:
    """The answer to a stream whose first backend plays these bytes; westus comes after it."""
    with RawServer([(EVENTS_HEAD, *pieces)]) as backend:
        settings = {"AZURE_OPENAI_ENDPOINT_0": backend.url, "AZURE_OPENAI_PRIORITY_0": 1} | settings
        gateway = gateway_of(stage, **settings)
        return message(client_at(stage, gateway), stream=True), gateway


@pytest.mark.parametrize("kind", ["overloaded_error", "rate_limit_error", "api_error", "timeout_error"])
@pytest.mark.parametrize(
    "preamble", [(), (start(),), (start(), PING, block())], ids=["first", "start", "block"]
)
def test_t2_an_error_before_any_output_fails_over(stage: Stage, kind: str, preamble: Any) -> None:
    response, _ = streamed(stage, stream(*preamble, error(kind)))
    assert attempts(response)[1:] == ["westus:200"]
    assert event_types(response)[0] == "message_start"
    assert "error" not in event_types(response)


def test_t2_a_throttled_stream_that_nobody_replaces_is_a_429(stage: Stage) -> None:
    response, _ = streamed(
        stage, stream(start(), error("overloaded_error")), AZURE_OPENAI_SURFACES_1="openai"
    )
    assert (response.status_code, error_type(response)) == (429, "rate_limit_error")


def test_t8_an_error_after_output_reaches_the_client_as_it_is(stage: Stage) -> None:
    response, gateway = streamed(stage, stream(start(), block(), delta(), error("overloaded_error")))
    assert event_types(response)[-1] == "error"
    assert record_of(gateway)["outcome"] == "throttled"


def until_cut(response: httpx.Response) -> bytes:
    seen = b""
    with contextlib.suppress(httpx.RemoteProtocolError):
        for piece in response.iter_raw():
            seen += piece
        pytest.fail("the answer was not cut")
    return seen


def test_t3_a_stream_that_breaks_off_ends_with_an_error_in_anthropics_shape(stage: Stage) -> None:
    with RawServer([(EVENTS_HEAD, stream(start(), block(), delta()))]) as backend:
        gateway = gateway_of(stage, AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=1)
        with client_at(stage, gateway).stream("POST", MESSAGES, json=MESSAGE | {"stream": True}) as response:
            seen = until_cut(response)
    last = json.loads(seen.decode().strip().rpartition("data: ")[2])
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")


def test_t1_a_whole_stream_arrives_byte_for_byte(stage: Stage) -> None:
    sent = stream(start(), PING, block(), delta(), end(), STOP)
    response, _ = streamed(stage, sent)
    assert response.content == sent


# --- What it used --------------------------------------------------------------------------------------


def usage(**members: int) -> dict[str, int]:
    return {"input_tokens": 10, "output_tokens": 5} | members


CACHED = {"cache_read_input_tokens": 100, "cache_creation_input_tokens": 40}


def test_t6_cache_reads_and_writes_are_part_of_the_prompt(stage: Stage) -> None:
    body = {"type": "message", "model": "claude-x", "content": [], "usage": usage(**CACHED)}
    with RawServer(document(200, body)) as backend:
        gateway = gateway_of(stage, AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=1)
        message(client_at(stage, gateway))
    tokens = record_of(gateway)["tokens"]
    assert {name: tokens[name] for name in ("prompt", "cached", "cache_write", "completion", "total")} == {
        "prompt": 150,
        "cached": 100,
        "cache_write": 40,
        "completion": 5,
        "total": 155,
    }


# The documented type of these numbers in a last event is "number or null".
NULLS = dict.fromkeys(("input_tokens", *CACHED))


@pytest.mark.parametrize(
    "last",
    [end(), end(input_tokens=10, **CACHED), end(**NULLS)],
    ids=["older", "cumulative", "null"],
)
def test_t6_a_stream_tells_of_its_prompt_first_and_of_its_answer_last(stage: Stage, last: Any) -> None:
    _, gateway = streamed(stage, stream(start(**CACHED), block(), delta(), last, STOP))
    record = record_of(gateway)
    assert (record["tokens"]["prompt"], record["tokens"]["completion"]) == (150, 5)
    assert (record["tokens"]["estimated"], record["model"]) == (False, "claude-x")


def test_t6_of_a_stream_that_was_cut_the_prompt_is_known_and_the_answer_estimated(stage: Stage) -> None:
    with RawServer([(EVENTS_HEAD, stream(start(**CACHED), block(), *[delta()] * 6))]) as backend:
        gateway = gateway_of(stage, AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=1)
        with pytest.raises(httpx.RemoteProtocolError):
            message(client_at(stage, gateway), stream=True)
    tokens = record_of(gateway)["tokens"]
    assert (tokens["prompt"], tokens["completion"], tokens["estimated"]) == (150, 8, True)


def test_t6_the_estimate_of_an_answer_goes_by_its_words(stage: Stage) -> None:
    """Else who leaves before the last event pays a part of what it has read."""
    words = [delta("word " * 40)] * 6
    with RawServer([(EVENTS_HEAD, stream(start(), block(), *words))]) as backend:
        gateway = gateway_of(stage, AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=1)
        with pytest.raises(httpx.RemoteProtocolError):
            message(client_at(stage, gateway), stream=True)
    assert 240 <= record_of(gateway)["tokens"]["completion"] <= 320


def test_t6_counting_tokens_uses_none(stage: Stage) -> None:
    gateway = gateway_of(stage)
    client_at(stage, gateway).post(f"{MESSAGES}/count_tokens", json=MESSAGE)
    record = record_of(gateway)
    assert (record["status"], record["operation"], "tokens" in record) == (
        200,
        "messages/count_tokens",
        False,
    )


def test_a7_tokens_count_against_the_clients_limit(stage: Stage) -> None:
    client = client_of(stage, GATEWAY_CLIENT_TOKENS_PER_MINUTE_0=1)
    assert message(client).status_code == 200
    refused = message(client)
    assert (refused.status_code, error_type(refused)) == (429, "rate_limit_error")


def test_l3_a_picture_is_no_part_of_the_estimate(stage: Stage) -> None:
    """By its base64 this request would need 250,000 tokens, more than the deployment ever allows."""
    limits = {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "900"}
    head = "".join(f"{name}: {value}\r\n" for name, value in limits.items())
    throttled = f"HTTP/1.1 429 X\r\n{head}retry-after: 60\r\ncontent-length: 0\r\n\r\n".encode()
    with RawServer([(throttled,)]) as backend:
        client = client_of(stage, AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_SURFACES_1="openai")
        source = {"type": "base64", "media_type": "image/png", "data": "A" * 1_000_000}
        picture = [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]
        response = message(client, messages=[{"role": "user", "content": picture}])
    assert response.status_code == 429
    assert "tokens" not in response.json()["error"]["message"]


def test_b5_the_text_of_a_document_is_part_of_the_prompt(stage: Stage) -> None:
    """It has more than 1,024 tokens, so that its conversation stays with one backend."""
    client = client_of(stage)
    source = {"type": "text", "media_type": "text/plain", "data": "word " * 4000}
    said = [{"role": "user", "content": [{"type": "document", "source": source}]}]
    assert len({attempts(message(client, messages=said))[0] for _ in range(6)}) == 1


# --- Guards --------------------------------------------------------------------------------------------


GUARD = {"ENABLE_PROMPT_GUARD": "true", "PROMPT_DENY_PATTERNS": '["secret"]'}
SAID: dict[str, dict[str, Any]] = {
    "system": {"system": "a secret"},
    "system block": {"system": [{"type": "text", "text": "a secret"}]},
    "message": {"messages": [{"role": "user", "content": "a secret"}]},
    "block": {"messages": [{"role": "user", "content": [{"type": "text", "text": "a secret"}]}]},
    "result of a tool": {
        "messages": [
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "a secret"}]}
        ]
    },
    "tool": {"tools": [{"name": "a", "description": "a secret", "input_schema": {"type": "object"}}]},
    "text document": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "x" * 9000 + "secret"},
                    }
                ],
            }
        ]
    },
}


@pytest.mark.parametrize("place", SAID)
def test_s1_the_prompt_guard_sees_what_is_said(stage: Stage, sim: Simulator, place: str) -> None:
    response = message(client_of(stage, **GUARD), **SAID[place])
    assert (response.status_code, error_type(response)) == (400, "invalid_request_error")
    assert sim.requests("eastus") == sim.requests("westus") == []


@pytest.mark.parametrize("place", ["before", "behind"])
def test_s1_a_text_cannot_pass_for_a_picture(stage: Stage, sim: Simulator, place: str) -> None:
    types = '"type":"base64","data":"%s","type":"text"' if place == "before" else '"data":"%s","type":"text"'
    source = "{" + types % ("x" * 9000 + "secret") + "}"
    content = '[{"type":"document","source":' + source + "}]"
    body = f'{{"model":"{CLAUDE}","max_tokens":1,"messages":[{{"role":"user","content":{content}}}]}}'
    headers = {"content-type": "application/json"}
    response = client_of(stage, **GUARD).post(MESSAGES, content=body, headers=headers)
    assert response.status_code in (400, 403)
    assert sim.requests("eastus") == sim.requests("westus") == []


def called(**arguments: object) -> list[dict[str, Any]]:
    """A history in which Claude called a tool."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "write", "input": arguments}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
    return [
        {"role": "user", "content": "Go on"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]


@pytest.mark.parametrize("name", ["type", "model", "role", "text"])
@pytest.mark.parametrize("words", ["a secret", "x" * 9000 + "secret"], ids=["short", "long"])
def test_s1_the_guard_sees_what_a_tool_was_given_under_any_name(
    stage: Stage, sim: Simulator, name: str, words: str
) -> None:
    response = message(client_of(stage, **GUARD), messages=called(**{name: words}))
    assert response.status_code == 400
    assert sim.requests("eastus") == sim.requests("westus") == []


@pytest.mark.parametrize("name", ["url", "data"])
def test_s1_what_a_tool_was_given_is_no_picture(stage: Stage, sim: Simulator, name: str) -> None:
    response = message(client_of(stage, **GUARD), messages=called(**{name: "x" * 9000 + "secret"}))
    assert response.status_code == 400


@pytest.mark.parametrize("name", ["type", "model", "role"])
def test_s1_the_guard_sees_examples_for_a_tool(stage: Stage, name: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object", "default": {name: "a secret"}}}}
    response = message(client_of(stage, **GUARD), tools=[{"name": "a", "input_schema": schema}])
    assert response.status_code == 400


def test_s1_what_a_tool_was_given_are_no_words_of_a_user(stage: Stage) -> None:
    settings = {"ENABLE_PROMPT_GUARD": "true", "PROMPT_ALLOW_PATTERNS": "^Go on"}
    history = called(
        path="a", content="some words", prompt="others", todos=[{"content": "more"}, {"content": ["a", "b"]}]
    )
    assert message(client_of(stage, **settings), messages=history).status_code == 200


def test_s1_a_batch_hides_its_prompts(stage: Stage) -> None:
    body = {"requests": [{"custom_id": "one", "params": MESSAGE}]}
    response = client_of(stage, **GUARD).post(f"{MESSAGES}/batches", json=body)
    assert (response.status_code, error_type(response)) == (403, "permission_error")


def test_a7_a_client_with_an_allow_list_makes_no_batch(stage: Stage) -> None:
    body = {"requests": [{"custom_id": "one", "params": MESSAGE}]}
    client = client_of(stage, GATEWAY_CLIENT_DEPLOYMENTS_0=CLAUDE)
    assert client.post(f"{MESSAGES}/batches", json=body).status_code == 403


def test_a9_another_clients_batch_is_not_there(stage: Stage) -> None:
    other = "client-key-of-team-b-0001"
    gateway = gateway_of(stage, GATEWAY_CLIENT_NAME_1="team-b", GATEWAY_CLIENT_KEY_1=other)
    params = {"custom_id": "one", "params": MESSAGE}
    batch = sdk_of(gateway).messages.batches.create(requests=[params])  # type: ignore[list-item]
    with pytest.raises(anthropic.NotFoundError) as caught:
        sdk_of(gateway, other).messages.batches.retrieve(batch.id)
    assert caught.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]


@pytest.mark.parametrize("way", ["after_id", "before_id"])
def test_a9_a_list_goes_on_to_the_page_with_the_clients_own_batches(stage: Stage, way: str) -> None:
    """Two pages of another client's batches stand between the first and the last."""
    other = "client-key-of-team-b-0001"
    two: dict[str, Any] = {"GATEWAY_CLIENT_NAME_1": "team-b", "GATEWAY_CLIENT_KEY_1": other}
    gateway = gateway_of(stage, AZURE_OPENAI_SURFACES_1="openai", **two)
    mine, theirs = sdk_of(gateway).messages.batches, sdk_of(gateway, other).messages.batches
    params = {"custom_id": "one", "params": MESSAGE}
    clients = [mine, *[theirs] * 40, mine]
    made = [client.create(requests=[params]).id for client in clients]  # type: ignore[list-item]
    beginning, end = (made[-1], made[0]) if way == "after_id" else (made[0], made[-1])
    page = mine.list(**{way: beginning})  # type: ignore[arg-type]
    assert [batch.id for batch in page.data] == [end]


def test_s6_the_results_of_a_batch_are_read_through_the_gateway(stage: Stage) -> None:
    """The official client goes where `results_url` leads: at the backend it has no key."""
    gateway = gateway_of(stage, AZURE_OPENAI_SURFACES_1="openai")
    batches = sdk_of(gateway).messages.batches
    params = {"custom_id": "one", "params": MESSAGE}
    made = batches.create(requests=[params])  # type: ignore[list-item]
    assert [line.custom_id for line in batches.results(made.id)] == ["one"]
    [listed] = batches.list().data
    assert str(listed.results_url).startswith(gateway.url)


@pytest.mark.parametrize(
    ("host", "scheme"), [("models.example.com", "https"), ("models.example.com:9080", "http")]
)
def test_s6_the_address_of_results_is_the_one_that_the_client_called(
    stage: Stage, host: str, scheme: str
) -> None:
    """Without a port the client has called one in front of the gateway, where TLS ends."""
    client = client_of(stage)
    params = {"custom_id": "one", "params": MESSAGE}
    made = client.post(f"{MESSAGES}/batches", json={"requests": [params]}).json()["id"]
    document = client.get(f"{MESSAGES}/batches/{made}", headers={"host": host}).json()
    assert document["results_url"] == f"{scheme}://{host}{MESSAGES}/batches/{made}/results"


def test_a9_a_history_with_tools_binds_to_no_backend(stage: Stage) -> None:
    gateway = gateway_of(stage)
    client = client_at(stage, gateway)
    history = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "w", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "Sun"}]},
    ]
    tools = [{"name": "w", "description": "weather", "input_schema": {"type": "object"}}]
    served = {attempts(message(client, messages=history, tools=tools))[0] for _ in range(4)}
    assert served == {"eastus:200", "westus:200"}


@needs_redis
@pytest.mark.parametrize("name", ["container", "file_id", "video", "vector_store_ids"])
def test_a9_what_a_tool_was_given_is_no_stored_resource(stage: Stage, name: str) -> None:
    """Tools of agents call their own things so. With `strict` an unknown resource would be 404."""
    with RedisServer() as redis:
        shared = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": redis.port}
        client = client_of(stage, STORED_RESOURCES="strict", **shared)
        assert message(client, messages=called(**{name: "web-1"})).status_code == 200


def test_o1_a_record_of_each_request(stage: Stage) -> None:
    gateway = gateway_of(stage)
    message(client_at(stage, gateway))
    record = record_of(gateway)
    expected = {"path": MESSAGES, "deployment": CLAUDE, "operation": "messages", "outcome": "success"}
    assert {name: record[name] for name in expected} == expected


def test_f8_a_refused_key_of_the_gateway_is_not_the_clients_concern(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=401)
    response = message(client_of(stage, AZURE_OPENAI_SURFACES_1="openai"))
    assert (response.status_code, error_type(response)) == (503, "api_error")


def test_f8_a_refused_token_of_this_surface_leaves_the_others_open(stage: Stage, sim: Simulator) -> None:
    """Each surface gets a token of its own, so one of them says nothing of the rest."""
    sim.fail("eastus", status=401, path="/anthropic/", count=1)
    managed: dict[str, Any] = {
        "AZURE_OPENAI_AUTH_0": "managed-identity",
        "AZURE_OPENAI_KEY_0": "",
        "AZURE_OPENAI_SURFACES_0": ALL,
    }
    with identity_endpoint() as endpoint:
        client = client_at(stage, stage.gateway(["eastus"], **(managed | endpoint.environment)))
        assert (message(client).status_code, chat(client).status_code) == (403, 200)
        scopes = [request.arguments["resource"] for request in endpoint.requests]
    assert scopes == ["https://ai.azure.com", "https://cognitiveservices.azure.com"]


def test_o1_claude_has_prices_and_its_cache_has_its_own(stage: Stage) -> None:
    """Per million tokens Sonnet 4.5 costs 3 USD, from the cache 0.30, written to it 3.75, and answers 15."""
    told = usage(input_tokens=1000, cache_read_input_tokens=2000, cache_creation_input_tokens=400)
    body = {"type": "message", "model": "claude-sonnet-4-5-20250929", "content": [], "usage": told}
    with RawServer(document(200, body)) as backend:
        gateway = gateway_of(stage, AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=1)
        message(client_at(stage, gateway))
    expected = (1000 * 3 + 2000 * 0.3 + 400 * 3.75 + 5 * 15) / 1_000_000
    assert record_of(gateway)["cost_usd"] == pytest.approx(expected)
