"""The prompt guard: it matches prompts anywhere in a request, and refuses requests that it cannot read."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import API_VERSION, CHAT, CLIENT_KEY, Stage
from tests.behaviour.support import DEPLOYMENT_CHAT, V1_CHAT, V1_RESPONSES, chat, record_of

DENY = {"ENABLE_PROMPT_GUARD": "true", "PROMPT_DENY_PATTERNS": "for.?bidden,^also this$"}
ALLOW = {"ENABLE_PROMPT_GUARD": "true", "PROMPT_ALLOW_PATTERNS": "^translate,^summarise"}
HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "sum", "arguments": "{}"}}


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def code(answer: httpx.Response) -> object:
    return answer.json()["error"]["code"]


def guarded(stage: Stage, **settings: object) -> httpx.Client:
    """A client of a gateway in front of eastus whose guard denies some prompts, unless told otherwise."""
    return stage.http(stage.shared_gateway(**(settings or DENY)))


SAID: list[tuple[str, dict[str, Any]]] = [
    (V1_CHAT, {"model": "gpt-4o", "messages": [user("forbidden")]}),
    (DEPLOYMENT_CHAT, {"messages": [user("forbidden")]}),
    (V1_CHAT, {"model": "gpt-4o", "messages": [user([{"type": "text", "text": "forbidden"}])]}),
    (
        V1_CHAT,
        {"model": "gpt-4o", "messages": [user([{"type": "text", "text": t} for t in ("for", "bidden")])]},
    ),
    (V1_CHAT, {"model": "gpt-4o", "messages": [user("forbidden"), user("go on")]}),
    (V1_CHAT, {"model": "gpt-4o", "messages": [{"role": "system", "content": "forbidden"}, user("go on")]}),
    (
        V1_CHAT,
        {"model": "gpt-4o", "messages": [{"role": "tool", "tool_call_id": "1", "content": "forbidden"}]},
    ),
    (V1_CHAT, {"model": "gpt-4o", "messages": [user("also this")]}),
    ("/openai/v1/completions", {"model": "gpt-4o", "prompt": "forbidden"}),
    ("/openai/v1/completions", {"model": "gpt-4o", "prompt": ["Hello", "forbidden"], "messages": []}),
    (V1_RESPONSES, {"model": "gpt-4o", "input": "forbidden"}),
    (V1_RESPONSES, {"model": "gpt-4o", "input": "Hello", "instructions": "forbidden"}),
    (V1_RESPONSES, {"model": "gpt-4o", "input": [{"type": "function_call_output", "output": "forbidden"}]}),
    ("/openai/responses?api-version=2025-03-01-preview", {"model": "gpt-4o", "input": [user("forbidden")]}),
    ("/openai/v1/embeddings", {"model": "text-embedding-3-small", "input": ["Hello", "forbidden"]}),
    ("/openai/v1/images/generations", {"model": "gpt-image-1", "prompt": "forbidden"}),
    ("/openai/v1/responses/compact", {"model": "gpt-4o", "input": "forbidden"}),
    (
        f"/openai/deployments/gpt-4o/extensions/chat/completions?api-version={API_VERSION}",
        {"messages": [user("forbidden")]},
    ),
    ("/openai/v1/assistants", {"model": "gpt-4o", "instructions": "forbidden"}),
    ("/openai/v1/threads", {"messages": [user("forbidden")]}),
    ("/openai/v1/threads/thread_1/messages", user("forbidden")),
    ("/openai/v1/threads/runs", {"assistant_id": "asst_1", "thread": {"messages": [user("forbidden")]}}),
    ("/openai/v1/conversations/conv_1/items", {"items": [user("forbidden")]}),
]


@pytest.mark.parametrize(("target", "body"), SAID, ids=[str(index) for index in range(len(SAID))])
def test_s1_a_denied_prompt_reaches_no_backend_wherever_it_stands(
    stage: Stage, sim: Simulator, target: str, body: dict[str, Any]
) -> None:
    answer = guarded(stage).post(target, json=body)
    assert (answer.status_code, code(answer), sim.requests("eastus")) == (400, "prompt_not_allowed", [])


SERVED: list[tuple[str, dict[str, Any]]] = [
    (V1_CHAT, CHAT),
    (
        V1_CHAT,
        {
            "model": "gpt-4o",
            "messages": [
                user("Hello"),
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "42"},
            ],
        },
    ),
    (
        V1_CHAT,
        {
            "model": "gpt-4o",
            "messages": [user([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}])],
        },
    ),
    ("/openai/responses?api-version=2025-03-01-preview", {"model": "gpt-4o", "input": [user("Hello")]}),
    ("/openai/v1/embeddings", {"model": "text-embedding-3-small", "input": ["Hello", "World"]}),
    ("/openai/v1/images/generations", {"model": "gpt-image-1", "prompt": "a gateway"}),
    ("/openai/v1/conversations", {}),
]


@pytest.mark.parametrize(("target", "body"), SERVED, ids=[str(index) for index in range(len(SERVED))])
def test_s1_whatever_else_is_said_is_answered(stage: Stage, target: str, body: dict[str, Any]) -> None:
    answer = guarded(stage).post(target, json=body)
    assert (answer.status_code, answer.json() != {}) == (200, True)


@pytest.mark.parametrize("word", ["^user$", "^text$", "gpt-4o"])
def test_s1_words_of_the_protocol_are_no_prompt(stage: Stage, word: str) -> None:
    client = guarded(stage, ENABLE_PROMPT_GUARD="true", PROMPT_DENY_PATTERNS=word)
    assert chat(client, messages=[user([{"type": "text", "text": "Hello"}])]).status_code == 200


def test_s1_a_guarded_body_arrives_byte_for_byte(stage: Stage, sim: Simulator) -> None:
    body = b'{ "seed":12345678901234567890, "model":"gpt-4o", "messages":[{"role":"user","content":"Hi"}] }'
    guarded(stage).post(V1_CHAT, content=body, headers={"content-type": "application/json"})
    assert sim.requests("eastus")[0].body == body


@pytest.mark.parametrize("name", ["prompt", "Prompt"])
def test_s2_a_denied_prompt_in_a_form_reaches_no_backend(stage: Stage, sim: Simulator, name: str) -> None:
    form = [("image", ("a.png", b"PNG")), (name, (None, "forbidden")), ("model", (None, "gpt-image-1"))]
    answer = guarded(stage).post("/openai/v1/images/edits", files=form)
    assert (answer.status_code, code(answer), sim.requests("eastus")) == (400, "prompt_not_allowed", [])


def test_s2_a_form_that_says_nothing_denied_is_answered(stage: Stage) -> None:
    client: openai.OpenAI = stage.openai(stage.gateway(["eastus"], **DENY))
    speech = ("speech.wav", b"RIFF" * 1000)
    assert client.audio.transcriptions.create(model="whisper-1", file=speech, prompt="Names: Ada").text


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_s2_requests_that_say_nothing_pass(stage: Stage, sim: Simulator, method: str) -> None:
    guarded(stage).request(method, "/openai/v1/files/file-1")
    assert len(sim.requests("eastus")) == 1


def test_s2_files_may_be_stored(stage: Stage) -> None:
    answer = guarded(stage).post(
        "/openai/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", b'{"x": "forbidden"}')}
    )
    assert answer.status_code < 300


JSON = "application/json"
UNSEEN: list[tuple[str, bytes, str]] = [
    ("/openai/v1/batches", b'{"input_file_id": "file-1"}', JSON),
    ("/openai/v1/Batches", b'{"input_file_id": "file-1"}', JSON),
    ("/openai/v1/evals/eval_1/runs", b'{"data_source": {"source": {"id": "file-1"}}}', JSON),
    ("/openai/v1/realtime/client_secrets", b'{"session": {"model": "gpt-realtime"}}', JSON),
    ("/openai/v1/realtime/calls", b"v=0", "application/sdp"),
    ("/openai/v1/completions", b'{"model": "gpt-4o", "prompt": [1169, 6766]}', JSON),
    ("/openai/v1/embeddings", b'{"model": "text-embedding-3-small", "input": [[1169], [6766]]}', JSON),
    ("/openai/v1/responses/compact", b'{"model": "gpt-4o", "input": "forbidden"}', "text/json"),
    ("/openai/v1/responses/compact", b'{"model": "gpt-4o", "input": "forbidden"', JSON),
    ("/openai/v1/threads", b'[{"messages": "forbidden"}]', JSON),
    ("/openai/v1/images/edits", b"forbidden", "multipart/form-data; boundary=R"),
]


@pytest.mark.parametrize(("target", "body", "content_type"), UNSEEN)
def test_s2_what_the_guard_cannot_see_is_403(
    stage: Stage, sim: Simulator, target: str, body: bytes, content_type: str
) -> None:
    answer = guarded(stage).post(target, content=body, headers={"content-type": content_type})
    assert (answer.status_code, code(answer), sim.requests("eastus")) == (403, "prompt_not_visible", [])


@pytest.mark.parametrize(
    "target", ["/openai/v1/realtime?model=gpt-realtime", "/openai/realtime?deployment=x"]
)
def test_s3_a_realtime_session_is_403(stage: Stage, sim: Simulator, target: str) -> None:
    answer = guarded(stage).get(target, headers=HANDSHAKE)
    assert (answer.status_code, code(answer), sim.requests("eastus")) == (403, "prompt_not_visible", [])


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("forbidden", b"\xff forbidden"), ("(a+)+[bd]", b"a" * 10_000)],
    ids=["not UTF-8", "too many steps"],
)
def test_s1_a_text_that_cannot_be_matched_is_refused(
    stage: Stage, sim: Simulator, pattern: str, text: bytes
) -> None:
    client = guarded(stage, ENABLE_PROMPT_GUARD="true", PROMPT_DENY_PATTERNS=pattern)
    body = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "' + text + b'"}]}'
    answer = client.post(V1_CHAT, content=body, headers={"content-type": JSON})
    assert (answer.status_code, code(answer), sim.requests("eastus")) == (400, "prompt_not_allowed", [])


ALLOWED_CHATS = [
    [user("translate this")],
    [user("summarise that"), {"role": "assistant", "content": "Done."}, user("translate it")],
    [{"role": "system", "content": "You help."}, user("translate this")],
    [user([{"type": "text", "text": "translate"}, {"type": "text", "text": "this"}])],
    [user("translate"), {"role": "tool", "tool_call_id": "call_1", "content": "42"}],
]


@pytest.mark.parametrize("messages", ALLOWED_CHATS)
def test_s1_an_allowed_prompt_is_answered(stage: Stage, messages: list[dict[str, Any]]) -> None:
    assert chat(guarded(stage, **ALLOW), messages=messages).status_code == 200


NOT_ALLOWED = [
    [user("write a poem")],
    [user("write a poem"), user("translate it")],
    [user([{"type": "text", "text": "write a poem"}, {"type": "text", "text": "translate it"}])],
]


@pytest.mark.parametrize("messages", NOT_ALLOWED)
def test_s1_whatever_else_a_user_says_is_turned_away(stage: Stage, messages: list[dict[str, Any]]) -> None:
    answer = chat(guarded(stage, **ALLOW), messages=messages)
    assert (answer.status_code, code(answer)) == (400, "prompt_not_allowed")


@pytest.mark.parametrize("said", [{"prompt": "write"}, {"input": ["translate", "write"]}])
def test_s1_so_it_is_without_roles(stage: Stage, said: dict[str, Any]) -> None:
    answer = guarded(stage, **ALLOW).post("/openai/v1/responses/compact", json={"model": "gpt-4o"} | said)
    assert answer.status_code == 400


def test_s1_whose_words_they_are_may_be_said_after_them(stage: Stage) -> None:
    system = {"content": "You help.", "role": "system"}
    client = guarded(stage, **ALLOW)
    assert chat(client, messages=[system, {"content": "translate this", "role": "user"}]).status_code == 200
    assert chat(client, messages=[system, {"content": "write a poem", "role": "user"}]).status_code == 400


def test_s1_a_picture_of_any_size_is_no_text(stage: Stage) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "AAAA" * 1_500_000}}
    assert chat(guarded(stage), messages=[user([picture])]).status_code == 200


def test_s1_a_text_that_is_too_long_to_match_is_refused(stage: Stage, sim: Simulator) -> None:
    answer = chat(guarded(stage), messages=[user("word " * 1_000_000)])
    assert (answer.status_code, code(answer), sim.requests("eastus")) == (400, "prompt_not_allowed", [])


def test_o2_the_record_says_that_the_guard_refused(stage: Stage) -> None:
    gateway: Gateway = stage.gateway(["eastus"], GATEWAY_LOG_MODE="test", **DENY)
    chat(stage.http(gateway), messages=[user("forbidden")])
    record = record_of(gateway)
    assert (record["outcome"], record["error"]) == ("refused", "prompt_not_allowed")


def test_o2_no_log_holds_the_prompt(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_LOG_MODE="test", **DENY)
    chat(stage.http(gateway), messages=[user("canary forbidden")])
    eventually(gateway.access_log.read_text)
    assert "canary" not in gateway.access_log.read_text() + gateway.error_log.read_text()


def test_a4_a_wrong_key_is_told_nothing_of_the_guard(stage: Stage) -> None:
    client = stage.http(stage.gateway(["eastus"], **DENY), key=CLIENT_KEY[::-1])
    assert chat(client, messages=[user("forbidden")]).status_code == 401
