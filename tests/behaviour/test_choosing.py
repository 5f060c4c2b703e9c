"""Section 3 of the gateway's behaviour: choosing a backend."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx
import pytest

from e2e.simulator import Simulator
from tests.behaviour.conftest import API_VERSION, CHAT, REGIONS, Stage
from tests.behaviour.support import DEPLOYMENT_CHAT, attempts, chat, winner

# More than the gateway remembers.
INVENTED_NAMES = 1_050


def winners(client: httpx.Client, count: int) -> Counter[str]:
    return Counter(winner(chat(client)) for _ in range(count))


def test_b1_only_backends_that_list_the_deployment_are_asked(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o-mini", AZURE_OPENAI_DEPLOYMENTS_1="gpt-4o")
    assert winners(stage.http(gateway), 4) == {"westus": 4}


def test_b1_a_deployment_that_nobody_lists_is_404(stage: Stage) -> None:
    response = chat(stage.http(stage.gateway(["eastus"], AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o-mini")))
    assert (response.status_code, response.json()["error"]["code"]) == (404, "DeploymentNotFound")


def test_b1_a_missing_deployment_is_learned(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=404, code="DeploymentNotFound")
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    chat(client)
    assert attempts(chat(client)) == ["westus:200"]


MISSING: dict[str, Any] = {
    "unknown_model": (400, {"code": "unknown_model", "message": "Unknown model: gpt-4o"}),
    "unavailable_model": (400, {"code": "unavailable_model", "message": "Unavailable model: gpt-4o"}),
    "model_not_found": (404, {"code": "model_not_found", "message": "The model does not exist."}),
    "no code": (400, {"code": None, "message": "Unknown model: gpt-4o"}),
    "a status for a code": (
        404,
        {"code": "404", "message": "The API deployment for this resource does not exist."},
    ),
}


@pytest.mark.parametrize("name", MISSING)
def test_b1_a_missing_deployment_is_known_in_all_its_names(stage: Stage, sim: Simulator, name: str) -> None:
    status, error = MISSING[name]
    sim.fail("eastus", status=status, body={"error": error})
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    assert attempts(chat(client)) == [f"eastus:{status}", "westus:200"]


def test_b1_a_message_that_only_quotes_such_words_is_for_the_client(stage: Stage, sim: Simulator) -> None:
    message = "Invalid value: 'Unknown model: gpt-4o'."
    sim.fail("eastus", status=400, body={"error": {"code": None, "message": message}})
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    assert attempts(chat(client)) == ["eastus:400"]


def test_b1_learning_concerns_that_deployment_only(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=404, code="DeploymentNotFound", deployment="gpt-4o")
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    chat(client)
    assert winner(chat(client, model="gpt-4o-mini")) == "eastus"


INVENTED = 400
# The dictionary of a gateway with many backends holds more. What the names do to it is the same.
SMALL: dict[str, Any] = {"edits": {"azure-openai-availability: 2m": "azure-openai-availability: 32k"}}
INVENTIONS = {
    "missing": {"status": 404, "code": "DeploymentNotFound"},
    "failing": {"status": 500},
    "throttled": {"status": 429, "retry_after": 60},
}


def rests_after_inventions(stage: Stage, sim: Simulator, fault: dict[str, Any], **settings: Any) -> bool:
    """Whether eastus still rests for gpt-4o after requests for many names that nobody has."""
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10, **SMALL, **settings))
    sim.fail("eastus", deployment="gpt-4o", status=429, retry_after=100, count=1)
    chat(client)
    for region in REGIONS[:2]:
        sim.fail(region, **fault)
    for number in range(INVENTED):
        chat(client, model=f"invented-{number}-{'x' * 90}")
    sim.clear_faults("eastus")
    sim.clear_faults("westus")
    return attempts(chat(client)) == ["westus:200"]


@pytest.mark.parametrize("invention", INVENTIONS)
def test_b3_invented_names_push_out_no_cooldown(stage: Stage, sim: Simulator, invention: str) -> None:
    assert rests_after_inventions(stage, sim, INVENTIONS[invention])


def test_b3_nor_that_of_a_configured_deployment_that_has_not_served_yet(stage: Stage, sim: Simulator) -> None:
    settings = {"AZURE_OPENAI_DEPLOYMENTS_0": "gpt-4o"}
    sim.fail("westus", deployment="gpt-4o", status=503, count=1)
    assert rests_after_inventions(stage, sim, INVENTIONS["missing"], **settings)


def test_b1_a_missing_deployment_in_a_form_that_is_not_read_concerns_no_other_request(
    stage: Stage, sim: Simulator
) -> None:
    sim.fail("eastus", status=404, code="DeploymentNotFound", path="/audio")
    client = stage.http(stage.gateway(["eastus"]))
    # The gateway reads no form that begins with a preamble.
    form = b'preamble\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nno-such\r\n--b--\r\n'
    client.post(
        "/openai/v1/audio/transcriptions",
        content=form,
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert client.get("/openai/v1/models").status_code == 200


def test_b1_a_deployment_that_every_backend_misses_is_the_backends_404(stage: Stage, sim: Simulator) -> None:
    for region in REGIONS[:2]:
        sim.fail(region, status=404, code="DeploymentNotFound")
    client = stage.http(stage.gateway())
    assert [chat(client).status_code, chat(client).status_code] == [404, 404]


def test_b1_a_rename_changes_the_path_on_the_deployments_surface(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o=my-gpt4o"))
    client.post(DEPLOYMENT_CHAT, json={"messages": []})
    expected = f"/openai/deployments/my-gpt4o/chat/completions?api-version={API_VERSION}"
    assert sim.requests("eastus")[0].path == expected


def test_b1_a_rename_changes_only_the_model_on_v1(stage: Stage, sim: Simulator) -> None:
    body = (
        b'{"seed":12345678901234567890, "model" : "gpt-4o" ,"messages":[{"role":"user","content":"model"}]}'
    )
    client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o=my-gpt4o"))
    client.post("/openai/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert sim.requests("eastus")[0].body == body.replace(b'"gpt-4o"', b'"my-gpt4o"')


def test_b1_a_rename_changes_the_model_field_of_an_upload(stage: Stage, sim: Simulator) -> None:
    client = stage.openai(stage.gateway(["eastus"], AZURE_OPENAI_DEPLOYMENTS_0="whisper-1=my-whisper"))
    client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF" * 10))
    body = sim.requests("eastus")[0].body
    assert (b"my-whisper\r\n" in body, b"whisper-1\r\n" in body) == (True, False)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini-2024-07-18"])
def test_b1_the_model_that_a_job_trains_is_no_deployment(stage: Stage, sim: Simulator, model: str) -> None:
    client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o=my-gpt4o"))
    client.post("/openai/v1/fine_tuning/jobs", json={"model": model, "training_file": "file-1"})
    assert [json.loads(request.body)["model"] for request in sim.requests("eastus")] == [model]


def test_b1_each_backend_gets_its_own_name_during_failover(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=500)
    gateway = stage.gateway(
        AZURE_OPENAI_PRIORITY_0=10,
        AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o=east-gpt4o",
        AZURE_OPENAI_DEPLOYMENTS_1="gpt-4o=west-gpt4o",
    )
    chat(stage.http(gateway))
    assert (sim.requests("eastus")[0].deployment, sim.requests("westus")[0].deployment) == (
        "east-gpt4o",
        "west-gpt4o",
    )


def test_b2_the_highest_priority_group_serves(stage: Stage) -> None:
    gateway = stage.gateway(REGIONS, AZURE_OPENAI_PRIORITY_2=5)
    assert winners(stage.http(gateway), 5) == {"swedencentral": 5}


def test_b2_a_lower_group_serves_while_the_higher_one_is_throttled(stage: Stage, sim: Simulator) -> None:
    sim.fail("swedencentral", status=429, retry_after=30)
    gateway = stage.gateway(REGIONS, AZURE_OPENAI_PRIORITY_2=5)
    assert winners(stage.http(gateway), 4) == {"eastus": 2, "westus": 2}


def test_b2_weights_are_shares(stage: Stage) -> None:
    gateway = stage.gateway(REGIONS, AZURE_OPENAI_WEIGHT_0=3, AZURE_OPENAI_WEIGHT_1=2)
    assert winners(stage.http(gateway), 12) == {"eastus": 6, "westus": 4, "swedencentral": 2}


def test_b2_weights_are_spread_smoothly(stage: Stage) -> None:
    client = stage.http(stage.gateway(AZURE_OPENAI_WEIGHT_0=2))
    assert [winner(chat(client)) for _ in range(6)] == ["eastus", "westus", "eastus"] * 2


def test_b2_weight_0_drains(stage: Stage) -> None:
    assert winners(stage.http(stage.gateway(AZURE_OPENAI_WEIGHT_0=0)), 4) == {"westus": 4}


def test_b2_deployments_rotate_independently(stage: Stage) -> None:
    client = stage.http(stage.gateway())
    pairs = [(winner(chat(client)), winner(chat(client, model="gpt-4o-mini"))) for _ in range(2)]
    assert pairs == [("eastus", "eastus"), ("westus", "westus")]


def test_b2_names_that_a_client_invents_reset_nobodys_turn(stage: Stage) -> None:
    deployments = {f"AZURE_OPENAI_DEPLOYMENTS_{index}": "gpt-4o" for index in range(2)}
    client = stage.http(stage.gateway(**deployments))
    first = winner(chat(client))
    for number in range(INVENTED_NAMES):
        chat(client, model=f"invented-{number}")
    assert (first, winner(chat(client))) == ("eastus", "westus")


@pytest.mark.parametrize("session", ["a", "b", "c"])
def test_b2_chash_keeps_a_session_on_one_backend(stage: Stage, session: str) -> None:
    client = stage.http(stage.gateway(REGIONS, LB_ALG="chash", LB_HASH_ON="header", LB_HASH_KEY="x-session"))
    client.headers["x-session"] = session
    assert len(winners(client, 5)) == 1


def test_b2_chash_moves_a_session_while_its_backend_is_away(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(REGIONS, LB_ALG="chash", LB_HASH_ON="header", LB_HASH_KEY="x-session"))
    client.headers["x-session"] = "a"
    first = winner(chat(client))
    sim.fail(first, status=429, retry_after=30)
    assert winner(chat(client)) != first


def test_b2_a_backend_may_have_any_name(stage: Stage) -> None:
    client = stage.http(stage.gateway(AZURE_OPENAI_NAME_0="pool", AZURE_OPENAI_NAME_1="credits"))
    assert winners(client, 4) == {"pool": 2, "credits": 2}


def test_b3_one_throttled_deployment_leaves_its_siblings_alone(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=30, deployment="gpt-4o")
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    assert [attempts(chat(client)), attempts(chat(client, model="gpt-4o-mini"))] == [
        ["eastus:429", "westus:200"],
        ["eastus:200"],
    ]


def test_b3_the_surfaces_share_a_deployments_availability(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=30)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    chat(client)
    assert attempts(client.post(DEPLOYMENT_CHAT, json=CHAT)) == ["westus:200"]


def test_b3_what_one_worker_learns_every_worker_knows(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=60)
    gateway = stage.gateway(workers=2, AZURE_OPENAI_PRIORITY_0=10)
    for _ in range(20):
        chat(stage.http(gateway))
    assert len(sim.requests("eastus")) == 1


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429, "retry_after": 60}], ids=str)
def test_b3_trouble_with_one_kind_of_resource_concerns_that_kind(
    stage: Stage, sim: Simulator, fault: dict[str, Any]
) -> None:
    sim.fail("eastus", **fault, path="/batches")
    client = stage.http(stage.gateway(["eastus"], BREAKER_FAILURES=1))
    client.get("/openai/v1/batches")
    codes = [client.get(f"/openai/v1/{kind}").status_code for kind in ("batches", "files", "models")]
    assert [codes[0], *codes[1:]] == [fault["status"], 200, 200]


def test_b4_skipping_costs_no_round_trip(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=60)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    for _ in range(5):
        chat(client)
    assert (len(sim.requests("eastus")), len(sim.requests("westus"))) == (1, 5)
