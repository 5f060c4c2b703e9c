"""S7: Foundry's model inference API, through the same exchange as Azure OpenAI."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from e2e.simulator import Simulator
from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, Stage
from tests.behaviour.support import V1_CHAT, attempts, record_of

VERSION = "api-version=2024-05-01-preview"
CHATS = f"/models/chat/completions?{VERSION}"
EMBEDDINGS = f"/models/embeddings?{VERSION}"
ALL = "openai,inference"
OFFERED = {"AZURE_OPENAI_SURFACES_0": ALL, "AZURE_OPENAI_SURFACES_1": ALL}


def gateway_of(stage: Stage, **settings: Any) -> Gateway:
    return stage.gateway(**(OFFERED | settings))


def client_of(stage: Stage, **settings: Any) -> httpx.Client:
    return stage.http(gateway_of(stage, **settings))


@pytest.mark.parametrize(
    ("target", "body"), [(CHATS, CHAT), (EMBEDDINGS, {"model": "embedding", "input": ["Hello"]})]
)
def test_s7_chats_and_embeddings_are_served(stage: Stage, target: str, body: dict[str, Any]) -> None:
    response = client_of(stage).post(target, json=body)
    assert (response.status_code, response.json()["model"]) == (200, body["model"])


def test_s7_path_query_and_body_reach_the_backend_as_sent(stage: Stage, sim: Simulator) -> None:
    body = b'{ "model":"gpt-4o", "messages":[{"role":"user","content":"a"}], "seed":12345678901234567890 }'
    headers = {"content-type": "application/json", "extra-parameters": "pass-through"}
    client_of(stage, AZURE_OPENAI_PRIORITY_0=1).post(CHATS, content=body, headers=headers)
    [request] = sim.requests("eastus")
    assert (request.path, request.body) == (CHATS, body)
    assert dict(request.headers)["extra-parameters"] == "pass-through"


def test_s7_only_backends_that_offer_it_are_candidates(stage: Stage) -> None:
    client = client_of(stage, AZURE_OPENAI_SURFACES_0="openai")
    assert {attempts(client.post(CHATS, json=CHAT))[0] for _ in range(4)} == {"westus:200"}


def test_s4_without_a_backend_that_offers_it_the_surface_is_not_there(stage: Stage) -> None:
    assert stage.http(stage.gateway()).post(CHATS, json=CHAT).status_code == 404


@pytest.mark.parametrize("path", ["/models", "/models/info", "/models/Chat/completions", "/models/chat"])
def test_s4_other_paths_are_not_served(stage: Stage, path: str) -> None:
    assert client_of(stage).post(path, json=CHAT).status_code == 404


@pytest.mark.parametrize("status", [429, 500])
def test_f1_a_failing_backend_is_replaced(stage: Stage, sim: Simulator, status: int) -> None:
    sim.fail("eastus", status=status)
    response = client_of(stage, AZURE_OPENAI_PRIORITY_0=1).post(CHATS, json=CHAT)
    assert attempts(response) == [f"eastus:{status}", "westus:200"]


def test_b3_the_surfaces_share_the_quota_of_a_deployment(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=60, count=1)
    client = client_of(stage, AZURE_OPENAI_PRIORITY_0=1)
    client.post(CHATS, json=CHAT)
    assert attempts(client.post("/openai/v1/chat/completions", json=CHAT)) == ["westus:200"]


REFUSALS: dict[str, dict[str, Any]] = {
    "key": {"status": 401},
    "right": {"status": 403},
    "model": {
        "status": 404,
        "body": {"error": {"code": "unknown_model", "message": "Unknown model: gpt-4o"}},
    },
}


@pytest.mark.parametrize("refused", REFUSALS)
@pytest.mark.parametrize("path", [CHATS, V1_CHAT], ids=["inference", "openai"])
def test_f8_what_one_surface_refuses_is_open_on_the_other(
    stage: Stage, sim: Simulator, path: str, refused: str
) -> None:
    """A role can leave out a surface, and each has its own models. One client's try must not cost others."""
    client = client_of(stage, AZURE_OPENAI_PRIORITY_0=1)
    other = CHATS if path == V1_CHAT else V1_CHAT
    assert attempts(client.post(other, json=CHAT)) == ["eastus:200"]
    sim.fail("eastus", path=path.partition("?")[0], **REFUSALS[refused])
    assert attempts(client.post(path, json=CHAT))[1:] == ["westus:200"]
    assert attempts(client.post(other, json=CHAT)) == ["eastus:200"]


def test_b1_a_backend_may_rename_the_model(stage: Stage, sim: Simulator) -> None:
    settings = {"AZURE_OPENAI_PRIORITY_0": 1, "AZURE_OPENAI_DEPLOYMENTS_0": "gpt-4o=my-gpt4o"}
    client_of(stage, **settings).post(CHATS, json=CHAT)
    assert json.loads(sim.requests("eastus")[0].body)["model"] == "my-gpt4o"


def test_t2_an_error_in_a_stream_before_output_fails_over(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stream_error="auto")
    response = client_of(stage, AZURE_OPENAI_PRIORITY_0=1).post(CHATS, json=CHAT | {"stream": True})
    assert attempts(response)[1:] == ["westus:200"]
    assert response.text.endswith("data: [DONE]\n\n")


def test_t6_a_stream_that_may_not_ask_for_its_usage_is_estimated(stage: Stage, sim: Simulator) -> None:
    gateway = gateway_of(stage, AZURE_OPENAI_PRIORITY_0=1)
    response = stage.http(gateway).post(CHATS, json=CHAT | {"stream": True})
    assert (response.status_code, len(sim.requests("eastus"))) == (200, 1)
    assert record_of(gateway)["tokens"]["estimated"] is True


def test_t6_a_stream_that_may_ask_for_its_usage_reports_it(stage: Stage) -> None:
    gateway = gateway_of(stage)
    headers = {"extra-parameters": "pass-through"}
    response = stage.http(gateway).post(CHATS, json=CHAT | {"stream": True}, headers=headers)
    assert '"usage":{' not in response.text.replace(" ", "")
    assert record_of(gateway)["tokens"]["estimated"] is False


def test_a7_an_allow_list_holds(stage: Stage) -> None:
    response = client_of(stage, GATEWAY_CLIENT_DEPLOYMENTS_0="other").post(CHATS, json=CHAT)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "model_not_allowed")


@pytest.mark.parametrize("role", ["system", "user"])
def test_t6_a_text_that_looks_like_a_file_counts(stage: Stage, role: str) -> None:
    """The estimate is what a budget is charged with, so no beginning of a text may make it free."""
    gateway = gateway_of(stage)
    said = {"role": role, "content": "data:text/plain;base64," + "word " * 4000}
    stage.http(gateway).post(CHATS, json=CHAT | {"stream": True, "messages": [said]})
    assert record_of(gateway)["tokens"]["prompt"] > 4000
