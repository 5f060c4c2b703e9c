"""Headers, bodies and framing are those of the service."""

from __future__ import annotations

import httpx
import pytest

from e2e.simulator import Simulator
from tests.simulator.conftest import CHAT, CHAT_PATH, STREAMED_CHAT
from tests.simulator.sse import datas, documents


def test_success_carries_the_service_headers(http: httpx.Client) -> None:
    headers = http.post(CHAT_PATH, json=CHAT).headers
    assert headers["x-ms-region"] == "East US"
    assert headers["x-ms-deployment-name"] == "gpt-4o"
    assert headers["x-request-id"] == headers["apim-request-id"]
    for kind in ("requests", "tokens"):
        for name in ("limit", "remaining", "reset"):
            assert int(headers[f"x-ratelimit-{name}-{kind}"]) >= 0


def test_client_request_id_comes_back(http: httpx.Client) -> None:
    answer = http.post(CHAT_PATH, json=CHAT, headers={"x-ms-client-request-id": "mine"})
    assert answer.headers["x-ms-client-request-id"] == "mine"


def test_first_chat_chunk_is_the_prompt_filter_result(http: httpx.Client) -> None:
    first = documents(http.post(CHAT_PATH, json=STREAMED_CHAT))[0]
    assert first["choices"] == []
    assert (first["id"], first["model"]) == ("", "")
    assert first["prompt_filter_results"][0]["content_filter_results"]["violence"]["severity"] == "safe"


def test_chat_stream_ends_with_done(http: httpx.Client) -> None:
    assert datas(http.post(CHAT_PATH, json=STREAMED_CHAT))[-1] == "[DONE]"


def test_chat_stream_has_no_usage_unless_asked(http: httpx.Client) -> None:
    assert all("usage" not in chunk for chunk in documents(http.post(CHAT_PATH, json=STREAMED_CHAT)))


def test_content_chunks_are_annotated_by_the_content_filter(http: httpx.Client) -> None:
    chunks = documents(http.post(CHAT_PATH, json=STREAMED_CHAT))
    texts = [c["choices"][0] for c in chunks if c["choices"] and c["choices"][0]["delta"].get("content")]
    assert all("protected_material_text" in choice["content_filter_results"] for choice in texts)


@pytest.mark.parametrize(
    ("version", "status"), [("2024-06-01", 400), ("2024-08-01-preview", 400), ("2024-09-01-preview", 200)]
)
def test_stream_options_need_a_recent_api_version(http: httpx.Client, version: str, status: int) -> None:
    body = {**STREAMED_CHAT, "stream_options": {"include_usage": True}}
    path = f"/openai/deployments/gpt-4o/chat/completions?api-version={version}"
    assert http.post(path, json=body).status_code == status


def test_v1_needs_no_api_version(http: httpx.Client) -> None:
    assert http.post("/openai/v1/chat/completions", json={**CHAT, "model": "gpt-4o"}).status_code == 200


@pytest.mark.parametrize("query", ["", "?api-version=", "?api-version=latest"])
def test_deployments_surface_needs_an_api_version(http: httpx.Client, query: str) -> None:
    answer = http.post(f"/openai/deployments/gpt-4o/chat/completions{query}", json=CHAT)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "404"


@pytest.mark.parametrize("path", ["/", "/openai", "/openai/v1/nothing", "/v1/chat/completions"])
def test_unknown_path_is_not_found(http: httpx.Client, path: str) -> None:
    assert http.post(path, json=CHAT).json()["error"]["message"] == "Resource not found"


def test_unknown_deployment(west: httpx.Client) -> None:
    answer = west.post(CHAT_PATH.replace("gpt-4o", "gpt-5"), json=CHAT)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "DeploymentNotFound"


def test_unknown_model_on_v1(west: httpx.Client) -> None:
    answer = west.post("/openai/v1/responses", json={"model": "gpt-5", "input": "hi"})
    assert answer.json()["error"]["code"] == "DeploymentNotFound"


def test_deployment_reports_its_model(west: httpx.Client) -> None:
    answer = west.post(CHAT_PATH.replace("gpt-4o", "small"), json=CHAT)
    assert answer.json()["model"] == "gpt-4o-mini-2024-07-18"


@pytest.mark.parametrize("body", ["{", "[]", '"text"', ""])
def test_malformed_json_is_a_bad_request(http: httpx.Client, body: str) -> None:
    assert http.post(CHAT_PATH, content=body).status_code == 400


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("chat/completions", "messages"),
        ("embeddings", "input"),
        ("completions", "prompt"),
        ("responses", "input"),
    ],
)
def test_missing_parameter_is_named(http: httpx.Client, path: str, param: str) -> None:
    error = http.post(f"/openai/v1/{path}", json={"model": "m"}).json()["error"]
    assert (error["param"], error["code"]) == (param, "missing_required_parameter")


def test_preview_path_serves_responses(http: httpx.Client) -> None:
    path = "/openai/responses?api-version=2025-03-01-preview"
    assert http.post(path, json={"model": "gpt-4o", "input": "hi"}).json()["object"] == "response"


@pytest.mark.parametrize(
    "headers",
    [
        {"api-key": "key-east"},
        {"api-key": "key-east-2"},
        {"authorization": "Bearer key-east"},
        {"authorization": "bearer identity-token"},
    ],
    ids=["key", "secondary key", "key as bearer", "managed identity"],
)
def test_valid_credential_is_accepted(sim: Simulator, headers: dict[str, str]) -> None:
    url = sim.endpoint("eastus") + "/openai/v1/models"
    assert httpx.get(url, headers=headers, trust_env=False).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"api-key": ""},
        {"api-key": "wrong"},
        {"api-key": "identity-token"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic key-east"},
        {"authorization": "Bearer"},
    ],
)
def test_wrong_credential_is_refused(sim: Simulator, headers: dict[str, str]) -> None:
    answer = httpx.get(sim.endpoint("eastus") + "/openai/v1/models", headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "401"


def test_refused_request_takes_no_fault(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=500, count=1)
    http.post(CHAT_PATH, json=CHAT, headers={"api-key": "wrong"})
    assert http.post(CHAT_PATH, json=CHAT).status_code == 500


def test_responses_take_no_include_usage(http: httpx.Client) -> None:
    body = {"model": "gpt-4o", "input": "hi", "stream": True, "stream_options": {"include_usage": True}}
    assert http.post("/openai/v1/responses", json=body).status_code == 400


def test_response_events_are_numbered_from_zero(http: httpx.Client) -> None:
    body = {"model": "gpt-4o", "input": "hi", "stream": True}
    events = documents(http.post("/openai/v1/responses", json=body))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
