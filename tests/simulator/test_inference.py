"""The inference surface of a Foundry resource: `/models/…` with an api-version and `model` in the body."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from e2e.simulator import Quota, Simulator
from tests.simulator.conftest import CHAT
from tests.simulator.sse import datas, documents

VERSION = "api-version=2024-05-01-preview"
PATH = f"/models/chat/completions?{VERSION}"
BODY = {**CHAT, "model": "gpt-4o"}
STREAMED = {**BODY, "stream": True}


def test_s7_chat_answers_in_openai_shape(http: httpx.Client) -> None:
    answer = http.post(PATH, json=BODY).json()
    assert (answer["object"], answer["model"]) == ("chat.completion", "gpt-4o")


def test_s7_chat_streams_chunks(http: httpx.Client) -> None:
    answer = http.post(PATH, json=STREAMED)
    assert datas(answer)[-1] == "[DONE]"
    assert documents(answer)[-1]["choices"][0]["finish_reason"] == "stop"


def test_s7_embeddings(http: httpx.Client) -> None:
    answer = http.post(f"/models/embeddings?{VERSION}", json={"model": "e", "input": ["a", "b"]})
    assert [item["index"] for item in answer.json()["data"]] == [0, 1]


def test_s7_the_call_is_recorded_with_its_deployment(sim: Simulator, http: httpx.Client) -> None:
    http.post(PATH, json=BODY)
    assert (sim.requests("eastus")[0].path, sim.requests("eastus")[0].deployment) == (PATH, "gpt-4o")


@pytest.mark.parametrize("query", ["", "?api-version=", "?api-version=latest"])
def test_s7_an_api_version_is_required(http: httpx.Client, query: str) -> None:
    answer = http.post(f"/models/chat/completions{query}", json=BODY)
    assert answer.status_code == 400
    assert "api-version" in answer.json()["error"]["message"]


def test_s7_a_model_is_required(http: httpx.Client) -> None:
    answer = http.post(PATH, json=CHAT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "no_model_name")


def test_s7_what_is_not_deployed_is_an_unknown_model(west: httpx.Client) -> None:
    answer = west.post(PATH, json={**BODY, "model": "absent"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_model")


def test_s7_azures_own_form_can_be_asked_for(sim: Simulator, west: httpx.Client) -> None:
    sim.fail("westus", azure_errors=True)
    answer = west.post(PATH, json={**BODY, "model": "absent"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "DeploymentNotFound")


def test_s7_an_unknown_operation_is_an_api_that_is_not_supported(http: httpx.Client) -> None:
    answer = http.post(f"/models/nothing?{VERSION}", json=BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "api_not_supported")


@pytest.mark.parametrize(
    ("headers", "status", "usage"),
    [
        ({}, 400, False),
        ({"extra-parameters": "error"}, 400, False),
        ({"extra-parameters": "drop"}, 200, False),
        ({"extra-parameters": "pass-through"}, 200, True),
    ],
)
def test_s7_stream_options_are_an_extra_parameter(
    http: httpx.Client, headers: dict[str, str], status: int, usage: bool
) -> None:
    body = {**STREAMED, "stream_options": {"include_usage": True}}
    answer = http.post(PATH, json=body, headers=headers)
    assert (answer.status_code, '"usage":{' in answer.text) == (status, usage)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"api-key": "key-east"}, 200),
        ({"authorization": "Bearer identity-token"}, 200),
        ({"x-api-key": "key-east"}, 401),
        ({"api-key": "wrong"}, 401),
    ],
)
def test_s7_credentials(sim: Simulator, headers: dict[str, str], status: int) -> None:
    url = sim.endpoint("eastus") + PATH
    assert httpx.post(url, json=BODY, headers=headers, trust_env=False).status_code == status


def test_s7_quota_is_that_of_the_deployment(sim: Simulator, http: httpx.Client) -> None:
    sim.quota("eastus", "gpt-4o", Quota(rpm=2))
    http.post("/openai/v1/chat/completions", json=BODY)
    statuses = [http.post(PATH, json=BODY).status_code for _ in range(2)]
    assert statuses == [200, 429]


def test_s7_remaining_quota_is_reported(http: httpx.Client) -> None:
    assert int(http.post(PATH, json=BODY).headers["x-ratelimit-remaining-tokens"]) > 0


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"status": 429, "retry_after": 5}, 429, "429"),
        ({"status": 500}, 500, "InternalServerError"),
        ({"status": 404}, 404, "DeploymentNotFound"),
        ({"garbage_hint": "day"}, 429, "429"),
    ],
)
def test_s7_scripted_statuses(
    sim: Simulator, http: httpx.Client, fault: dict[str, Any], status: int, code: str
) -> None:
    sim.fail("eastus", deployment="gpt-4o", path="/models/", **fault)
    answer = http.post(PATH, json=BODY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_s7_scripted_errors_in_the_stream(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", stream_error="auto", after=2)
    assert json.loads(datas(http.post(PATH, json=STREAMED))[-1])["error"]["code"] == "rate_limit_exceeded"


# --- regions without it -----------------------------------------------------------------------------------


def test_s7_a_region_without_the_surface_does_not_know_its_paths(sim: Simulator, http: httpx.Client) -> None:
    sim.surfaces("eastus", inference=False)
    answer = http.post(PATH, json=BODY)
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "Resource not found")


def test_s7_other_surfaces_stay(sim: Simulator, http: httpx.Client) -> None:
    sim.surfaces("eastus", inference=False)
    assert http.post("/openai/v1/chat/completions", json=BODY).status_code == 200


def test_s7_a_reset_brings_the_surface_back(sim: Simulator, http: httpx.Client) -> None:
    sim.surfaces("eastus", inference=False)
    sim.reset()
    assert http.post(PATH, json=BODY).status_code == 200


def test_s7_an_unknown_surface_is_refused(sim: Simulator) -> None:
    with pytest.raises(ValueError, match="there are: openai"):
        sim.surfaces("eastus", gopher=True)
