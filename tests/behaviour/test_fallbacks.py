"""B6: another deployment takes the place of one that nobody can serve."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.simulator import Simulator
from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, Stage
from tests.behaviour.support import (
    DEPLOYMENT_CHAT,
    V1_CHAT,
    V1_RESPONSES,
    attempts,
    chat,
    record_of,
    winner,
)

SERVED = "x-gateway-deployment"
FALLBACKS = "gpt-4o=gpt-4o-mini|gpt-4.1"
# Everything that makes a deployment unusable on all backends.
LISTED = {"AZURE_OPENAI_DEPLOYMENTS_0": "gpt-4o-mini", "AZURE_OPENAI_DEPLOYMENTS_1": "gpt-4o-mini"}


def gateway_of(stage: Stage, **settings: Any) -> Gateway:
    return stage.gateway(**({"DEPLOYMENT_FALLBACKS": FALLBACKS} | settings))


def throttle(sim: Simulator, deployment: str, *regions: str) -> None:
    for region in regions or ("eastus", "westus"):
        sim.fail(region, status=429, deployment=deployment, retry_after=30)


def test_b6_a_throttled_deployment_is_replaced_in_the_same_request(stage: Stage, sim: Simulator) -> None:
    throttle(sim, "gpt-4o")
    response = chat(stage.http(gateway_of(stage)))
    assert (response.status_code, response.headers[SERVED]) == (200, "gpt-4o-mini")
    assert [attempt.split(":")[1] for attempt in attempts(response)] == ["429", "429", "200"]


def test_b6_a_deployment_that_is_served_needs_no_fallback(stage: Stage) -> None:
    response = chat(stage.http(gateway_of(stage)))
    assert response.status_code == 200
    assert SERVED not in response.headers


def test_b6_a_deployment_that_rests_costs_no_round_trip(stage: Stage, sim: Simulator) -> None:
    throttle(sim, "gpt-4o")
    client = stage.http(gateway_of(stage))
    chat(client)
    assert len(attempts(chat(client))) == 1


def test_b6_the_next_fallback_follows(stage: Stage, sim: Simulator) -> None:
    throttle(sim, "gpt-4o")
    throttle(sim, "gpt-4o-mini")
    assert chat(stage.http(gateway_of(stage))).headers[SERVED] == "gpt-4.1"


def test_b6_when_all_are_throttled_the_first_to_recover_says_when(stage: Stage, sim: Simulator) -> None:
    throttle(sim, "gpt-4o")
    throttle(sim, "gpt-4.1")
    for region in ("eastus", "westus"):
        sim.fail(region, status=429, deployment="gpt-4o-mini", retry_after=5)
    response = chat(stage.http(gateway_of(stage)))
    assert response.status_code == 429
    assert 0 < int(response.headers["retry-after"]) <= 5
    assert SERVED not in response.headers


def test_b6_a_deployment_that_no_backend_has_is_replaced(stage: Stage) -> None:
    response = chat(stage.http(gateway_of(stage, DEPLOYMENT_FALLBACKS="gpt-4o=gpt-4o-mini", **LISTED)))
    assert (response.status_code, response.headers[SERVED]) == (200, "gpt-4o-mini")


def test_b6_a_failing_deployment_is_replaced(stage: Stage, sim: Simulator) -> None:
    for region in ("eastus", "westus"):
        sim.fail(region, status=500, deployment="gpt-4o")
    assert chat(stage.http(gateway_of(stage))).headers[SERVED] == "gpt-4o-mini"


def test_b6_a_request_that_is_at_fault_is_not_tried_elsewhere(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=400, deployment="gpt-4o")
    response = chat(stage.http(gateway_of(stage, AZURE_OPENAI_PRIORITY_0=1)))
    assert (response.status_code, len(attempts(response))) == (400, 1)


@pytest.mark.parametrize("path", [V1_CHAT, DEPLOYMENT_CHAT])
def test_b6_a_backend_is_asked_for_its_own_name_of_the_fallback(
    stage: Stage, sim: Simulator, path: str
) -> None:
    throttle(sim, "gpt-4o")
    renamed = {f"AZURE_OPENAI_DEPLOYMENTS_{index}": "gpt-4o,gpt-4o-mini=my-mini" for index in range(2)}
    client = stage.http(gateway_of(stage, DEPLOYMENT_FALLBACKS="gpt-4o=gpt-4o-mini", **renamed))
    client.post(path, json=CHAT)
    last = [sim.requests(region)[-1] for region in ("eastus", "westus")]
    assert any("my-mini" in (one.path if "deployments" in path else one.body.decode()) for one in last)


def test_b6_an_allow_list_holds_for_fallbacks(stage: Stage, sim: Simulator) -> None:
    throttle(sim, "gpt-4o")
    response = chat(stage.http(gateway_of(stage, GATEWAY_CLIENT_DEPLOYMENTS_0="gpt-4o,gpt-4.1")))
    assert response.headers[SERVED] == "gpt-4.1"


def test_b6_most_attempts_hold_for_fallbacks_too(stage: Stage, sim: Simulator) -> None:
    throttle(sim, "gpt-4o")
    response = chat(stage.http(gateway_of(stage, AI_PROXY_MAX_ATTEMPTS=2)))
    assert (response.status_code, len(attempts(response))) == (429, 2)


def test_b6_the_record_says_which_served(stage: Stage, sim: Simulator) -> None:
    throttle(sim, "gpt-4o")
    gateway = gateway_of(stage)
    chat(stage.http(gateway))
    record = record_of(gateway)
    assert (record["deployment"], record["served_deployment"]) == ("gpt-4o", "gpt-4o-mini")


def test_f8_a_request_that_only_a_fallback_serves_speaks_against_nobody(stage: Stage, sim: Simulator) -> None:
    """One client's poison fails everywhere. A deployment that swallows it proves nothing against backends."""
    client = stage.http(gateway_of(stage))
    assert chat(client).status_code == 200
    for region in ("eastus", "westus"):
        sim.fail(region, status=500, deployment="gpt-4o", count=6)
    for index in range(6):
        assert chat(client, user=str(index)).headers[SERVED] == "gpt-4o-mini"
    response = chat(client)
    assert SERVED not in response.headers
    assert len(attempts(response)) == 1


def test_r2_a_fallback_is_sought_elsewhere_when_the_owner_has_lost_what_is_asked(
    stage: Stage, sim: Simulator
) -> None:
    client = stage.http(gateway_of(stage, DEPLOYMENT_FALLBACKS="gpt-4o=gpt-4o-mini"))
    made = client.post(V1_RESPONSES, json={"model": "gpt-4o", "input": "Hello"})
    owner = winner(made)
    lost = {"error": {"code": "previous_response_not_found", "message": "Not found."}}
    throttle(sim, "gpt-4o", owner)
    sim.fail(owner, status=404, deployment="gpt-4o-mini", body=lost)
    body = {"model": "gpt-4o", "input": "Go on", "previous_response_id": made.json()["id"]}
    [first, second, third] = attempts(client.post(V1_RESPONSES, json=body))
    assert (first, second) == (f"{owner}:429", f"{owner}:404")
    assert third.partition(":")[0] != owner
