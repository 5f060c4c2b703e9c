"""Every input of a client gets an answer: never a crash, never a broken connection."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2e.simulator import PromptCaching, Simulator
from tests.support.inputs import many

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "text",
                    "type",
                    "id",
                    "function",
                    "name",
                    "encrypted_content",
                    "cache_control",
                    "ttl",
                    "input",
                    "custom_id",
                    "params",
                    "budget_tokens",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)

NAMES = [
    "model",
    "messages",
    "input",
    "prompt",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "tools",
    "tool_choice",
    "dimensions",
    "previous_response_id",
    "conversation",
    "include",
    "instructions",
    "background",
    "store",
    "metadata",
    "items",
    "file_ids",
    "file_id",
    "input_file_id",
    "endpoint",
    "system",
    "thinking",
    "cache_control",
    "requests",
]
bodies = st.dictionaries(st.sampled_from(NAMES), json_values, max_size=6)

PATHS = [
    "chat/completions",
    "completions",
    "embeddings",
    "responses",
    "responses/compact",
    "images/generations",
    "images/edits",
    "audio/speech",
    "audio/transcriptions",
    "files",
    "conversations",
    "vector_stores",
    "batches",
]


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=many(30))
@given(body=bodies)
def test_odd_bodies_are_answered(http: httpx.Client, path: str, body: dict[str, object]) -> None:
    body = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "hi"}],
        "input": "hi",
        "prompt": "hi",
    } | body
    answer = http.post(f"/openai/v1/{path}", json=body)
    assert answer.status_code in (200, 400, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/anthropic/v1/messages",
        "/anthropic/v1/messages/count_tokens",
        "/anthropic/v1/messages/batches",
        "/models/chat/completions?api-version=2024-05-01-preview",
        "/models/embeddings?api-version=2024-05-01-preview",
    ],
)
@settings(max_examples=many(60))
@given(body=bodies, block=json_values)
def test_odd_bodies_are_answered_on_the_other_surfaces(
    sim: Simulator, http: httpx.Client, path: str, body: dict[str, object], block: object
) -> None:
    sim.prompt_cache("eastus", PromptCaching())
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [block]}]
    params = {"model": "claude", "max_tokens": 2000, "messages": turns, "input": "hi"} | body
    body = {"requests": [{"custom_id": "a", "params": params}]} | params
    answer = http.post(path, json=body, headers={"anthropic-version": "2023-06-01"})
    assert answer.status_code in (200, 400)


@given(params=bodies)
def test_odd_requests_of_a_batch_are_answered(http: httpx.Client, params: dict[str, object]) -> None:
    path = "/anthropic/v1/messages/batches"
    turns = [{"role": "user", "content": "hi"}]
    params = {"model": "claude", "max_tokens": 2000, "messages": turns} | params
    headers = {"anthropic-version": "2023-06-01"}
    body = {"requests": [{"custom_id": "a", "params": params}]}
    made = http.post(path, json=body, headers=headers).json()
    counts = http.get(f"{path}/{made['id']}", headers=headers).json()["request_counts"]
    assert counts["succeeded"] + counts["errored"] == 1


@settings(max_examples=many(30))
@given(content=st.binary(max_size=200), boundary=st.text("ab-", min_size=1, max_size=3))
def test_odd_forms_are_answered(http: httpx.Client, content: bytes, boundary: str) -> None:
    framed = b"--%b\r\n%b\r\n--%b--\r\n" % (boundary.encode(), content, boundary.encode())
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    assert http.post("/openai/v1/files", content=framed, headers=headers).status_code == 400
