"""The routes of end-to-end tests: a prefix for each scenario, with a pool of backends of its own."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from e2e.simulator import Simulator
from tests.behaviour.conftest import API_VERSION, CHAT, CLIENT_KEY, Stage
from tests.behaviour.e2e_stage import NAMES, PAYG_1, PAYG_2, PTU, chat, e2e_gateway
from tests.behaviour.support import DEPLOYMENT_CHAT, V1_CHAT, V1_RESPONSES, attempts, record_of, winner


def winners(client: httpx.Client, prefix: str, count: int) -> Counter[str]:
    return Counter(winner(chat(client, prefix)) for _ in range(count))


OTHER_KEY = "client-key-of-team-b-0002"
PROTOCOLS = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{CLIENT_KEY}")]


@pytest.mark.parametrize(
    "target",
    [
        V1_CHAT,
        DEPLOYMENT_CHAT,
        DEPLOYMENT_CHAT + "&a=1&a=2&empty=&encoded=%2F%20x",
        "/openai/deployments/gpt%2D4o/chat/completions?api-version=2023-05-15",
    ],
)
def test_the_backend_gets_path_and_query_without_the_prefix(
    stage: Stage, sim: Simulator, target: str
) -> None:
    client = stage.http(e2e_gateway(stage))
    answer = client.request(
        "POST", "/", json=CHAT, extensions={"target": f"/usage-tracking{target}".encode()}
    )
    assert (answer.status_code, sim.requests(PAYG_1)[0].path) == (200, target)


def test_empty_segments_of_a_base_url_that_ends_in_a_slash_are_left_out(stage: Stage, sim: Simulator) -> None:
    client = stage.http(e2e_gateway(stage))
    client.request(
        "POST", "/", json=CHAT, extensions={"target": f"//usage-tracking/{DEPLOYMENT_CHAT}".encode()}
    )
    assert sim.requests(PAYG_1)[0].path == DEPLOYMENT_CHAT


@pytest.mark.parametrize("target", [V1_CHAT, DEPLOYMENT_CHAT])
def test_an_unchanged_body_arrives_byte_for_byte(stage: Stage, sim: Simulator, target: str) -> None:
    body = b'{ "seed":12345678901234567890, "model":"gpt-4o",\n "messages":[], "user":null }'
    stage.http(e2e_gateway(stage)).post(
        f"/usage-tracking{target}", content=body, headers={"content-type": "application/json"}
    )
    assert sim.requests(PAYG_1)[0].body == body


def test_resources_are_served_below_the_prefix(stage: Stage, sim: Simulator) -> None:
    answer = stage.http(e2e_gateway(stage)).get("/usage-tracking/openai/v1/models")
    assert (answer.status_code, sim.requests(PAYG_1)[0].path) == (200, "/openai/v1/models")


def test_s3_a_browser_opens_a_session_below_the_prefix(stage: Stage, sim: Simulator) -> None:
    target = "/openai/v1/realtime?model=gpt-realtime"
    url = e2e_gateway(stage).url.replace("http:", "ws:") + f"/usage-tracking{target}"
    with connect(url, subprotocols=PROTOCOLS, proxy=None) as session:
        assert session.subprotocol == "realtime"
    assert sim.requests(PAYG_1)[0].path == target


def test_the_record_has_the_path_with_its_prefix(stage: Stage) -> None:
    gateway = e2e_gateway(stage)
    chat(stage.http(gateway), "usage-tracking")
    record = record_of(gateway)
    assert (record["path"], record["route"], record["operation"]) == (
        f"/usage-tracking{V1_CHAT}",
        "usage-tracking-inference",
        "chat/completions",
    )


@pytest.mark.parametrize(
    ("prefix", "shares"),
    [
        ("round-robin-simple", {PAYG_1: 6, PAYG_2: 6}),
        ("round-robin-simple-v2", {PAYG_1: 6, PAYG_2: 6}),
        ("round-robin-weighted", {PAYG_1: 8, PAYG_2: 4}),
        ("round-robin-weighted-v2", {PAYG_1: 8, PAYG_2: 4}),
        ("retry-with-payg", {PTU: 12}),
        ("latency-routing", {PAYG_1: 12}),
        ("scalability", {PTU: 4, PAYG_1: 4, PAYG_2: 4}),
    ],
)
def test_b2_each_pool_has_weights_and_priorities_of_its_own(
    stage: Stage, prefix: str, shares: dict[str, int]
) -> None:
    client = stage.http(e2e_gateway(stage))
    assert winners(client, prefix, 12) == {NAMES[region]: count for region, count in shares.items()}


def test_b2_requests_on_one_route_do_not_disturb_the_turns_of_another(stage: Stage) -> None:
    client = stage.http(e2e_gateway(stage))
    found: Counter[str] = Counter()
    for _ in range(6):
        found[winner(chat(client, "round-robin-weighted"))] += 1
        chat(client, "round-robin-simple")
    assert found == {NAMES[PAYG_1]: 4, NAMES[PAYG_2]: 2}


def test_f2_a_throttled_first_choice_spills_over_and_rests(stage: Stage, sim: Simulator) -> None:
    sim.fail(PTU, status=429, retry_after=60)
    client = stage.http(e2e_gateway(stage))
    assert [attempts(chat(client, "retry-with-payg")) for _ in range(2)] == [
        ["ptu-backend-1:429", "payg-backend-1:200"],
        ["payg-backend-1:200"],
    ]


def test_f5_only_the_backends_of_the_pool_are_asked(stage: Stage, sim: Simulator) -> None:
    for region in (PTU, PAYG_1):
        sim.fail(region, status=429, retry_after=60)
    answer = chat(stage.http(e2e_gateway(stage)), "retry-with-payg")
    assert (answer.status_code, sim.requests(PAYG_2)) == (429, [])


def test_b3_pools_share_what_is_known_of_a_backend(stage: Stage, sim: Simulator) -> None:
    sim.fail(PAYG_1, status=429, retry_after=60)
    client = stage.http(e2e_gateway(stage))
    chat(client, "round-robin-simple")
    chat(client, "round-robin-simple")
    for prefix in ("round-robin-weighted", "latency-routing"):
        assert attempts(chat(client, prefix)) == ["payg-backend-2:200"]
    assert chat(client, "usage-tracking").status_code == 429
    assert len(sim.requests(PAYG_1)) == 1


def test_b3_production_and_the_pools_share_it_too(stage: Stage, sim: Simulator) -> None:
    sim.fail(PTU, status=429, retry_after=60)
    client = stage.http(e2e_gateway(stage))
    client.post(V1_CHAT, json=CHAT)
    assert attempts(chat(client, "retry-with-payg")) == ["payg-backend-1:200"]


def test_a4_a_prefix_needs_a_key_like_any_path(stage: Stage, sim: Simulator) -> None:
    answer = chat(stage.http(e2e_gateway(stage), key=None), "usage-tracking")
    assert (answer.status_code, sim.requests(PAYG_1)) == (401, [])


def test_a7_the_allow_list_of_a_client_holds_below_a_prefix(stage: Stage, sim: Simulator) -> None:
    client = stage.http(e2e_gateway(stage, GATEWAY_CLIENT_DEPLOYMENTS_0="gpt-4o-mini"))
    refused = client.post(f"/usage-tracking{DEPLOYMENT_CHAT}", json=CHAT | {"model": "gpt-4o-mini"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert chat(client, "usage-tracking", model="gpt-4o-mini").status_code == 200


def test_a9_a_stored_resource_belongs_to_its_client_whatever_the_prefix(stage: Stage) -> None:
    gateway = e2e_gateway(stage, GATEWAY_CLIENT_NAME_1="team-b", GATEWAY_CLIENT_KEY_1=OTHER_KEY)
    maker, other = stage.http(gateway), stage.http(gateway, OTHER_KEY)
    made = maker.post(f"/responses-affinity{V1_RESPONSES}", json={"model": "gpt-4o", "input": "Hello"})
    path = f"{V1_RESPONSES}/{made.json()['id']}"
    for prefix in ("/responses-affinity", "/scalability", ""):
        assert (maker.get(prefix + path).status_code, other.get(prefix + path).status_code) == (200, 404)


def test_r1_a_conversation_stays_with_its_backend(stage: Stage) -> None:
    client = stage.http(e2e_gateway(stage))
    path = f"/responses-affinity{V1_RESPONSES}"
    first = client.post(path, json={"model": "gpt-4o", "input": "Hello"})
    following = {"model": "gpt-4o", "input": "More", "previous_response_id": first.json()["id"]}
    assert {winner(client.post(path, json=following)) for _ in range(3)} == {winner(first)}


@pytest.mark.parametrize(
    "target",
    [
        f"/no-such-scenario{V1_CHAT}",
        f"/usage-tracking/usage-tracking{V1_CHAT}",
        f"/USAGE-TRACKING{V1_CHAT}",
        "/usage-tracking",
        "/usage-tracking/openai/v1/CHAT/completions",
    ],
)
def test_s4_an_unknown_prefix_is_404(stage: Stage, sim: Simulator, target: str) -> None:
    answer = stage.http(e2e_gateway(stage)).post(target, json=CHAT)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    assert sim.requests(PAYG_1) == []


@pytest.mark.parametrize("prefix", ["/%75sage-tracking", "/usage-tracking/x/..", "/./usage-tracking"])
def test_s1_another_spelling_of_a_prefix_reaches_no_backend(
    stage: Stage, sim: Simulator, prefix: str
) -> None:
    target = f"{prefix}/openai/deployments/gpt-4o/chat/completions?api-version={API_VERSION}"
    client = stage.http(e2e_gateway(stage))
    answer = client.request("POST", "/", json=CHAT, extensions={"target": target.encode()})
    assert (answer.status_code, sim.requests(PAYG_1)) == (400, [])


def test_production_has_no_test_routes(stage: Stage) -> None:
    answer = chat(stage.http(e2e_gateway(stage, GATEWAY_E2E_TEST_MODE="false")), "usage-tracking")
    assert answer.status_code == 404
