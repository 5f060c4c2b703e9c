"""Section 7 of the gateway's behaviour: headers in both directions."""

from __future__ import annotations

import pytest

from e2e.simulator import Simulator
from tests.behaviour.conftest import Stage
from tests.behaviour.support import attempts, chat, winner
from tests.engines.raw_server import RawServer

PASSED_ON = ("x-ratelimit-remaining-tokens", "x-ms-region", "apim-request-id", "x-request-id")


@pytest.mark.parametrize("name", PASSED_ON)
def test_h1_the_winners_headers_reach_the_client(stage: Stage, name: str) -> None:
    assert name in chat(stage.http(stage.shared_gateway())).headers


def test_h1_they_reach_it_on_errors_too(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=400, code="content_filter")
    assert "x-ms-region" in chat(stage.http(stage.gateway(["eastus"]))).headers


def test_h1_they_reach_it_on_errors_inside_a_stream_too(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stream_error="auto", code="server_error")
    response = chat(stage.http(stage.gateway(["eastus"])), stream=True)
    assert (response.status_code, response.headers["x-ms-region"]) == (500, "East US")


def test_h1_they_reach_it_on_streams_too(stage: Stage) -> None:
    assert "x-ms-region" in chat(stage.http(stage.shared_gateway()), stream=True).headers


def test_h1_hop_by_hop_headers_stay_behind(stage: Stage, sim: Simulator) -> None:
    hop = {"connection": "x-of-this-hop", "x-of-this-hop": "1", "proxy-authenticate": "Basic"}
    sim.fail("eastus", status=400, headers=hop)
    headers = chat(stage.http(stage.gateway(["eastus"]))).headers
    assert [name for name in ("x-of-this-hop", "proxy-authenticate") if name in headers] == []


def test_h1_a_content_type_that_stands_twice_is_no_obstacle(stage: Stage) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Type: text/plain\r\n"
    with RawServer([(head + b"content-length: 2\r\n\r\n{}",)]) as backend:
        response = chat(stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url)))
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")


def test_h1_the_content_length_is_truthful(stage: Stage) -> None:
    response = chat(stage.http(stage.shared_gateway()))
    assert int(response.headers["content-length"]) == len(response.content)


def test_h2_the_winner_is_named(stage: Stage) -> None:
    assert winner(chat(stage.http(stage.shared_gateway()))) == "eastus"


def test_h2_the_attempts_are_listed(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=9)
    response = chat(stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10)))
    assert attempts(response) == ["eastus:429", "westus:200"]


@pytest.mark.parametrize("name", ["x-gateway-backend", "x-gateway-attempts"])
def test_h2_both_can_be_turned_off(stage: Stage, name: str) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_EXPOSE_BACKEND_HEADERS="false")
    assert name not in chat(stage.http(gateway)).headers


@pytest.mark.parametrize("key", [None, "wrong-key-wrong-key"])
def test_h2_a_refused_request_has_an_id_too(stage: Stage, key: str | None) -> None:
    assert chat(stage.http(stage.shared_gateway(), key)).headers["x-request-id"]


def test_h2_a_clients_own_id_is_kept(stage: Stage) -> None:
    client = stage.http(stage.shared_gateway(), key=None)
    client.headers["x-request-id"] = "trace-of-the-client-1"
    assert chat(client).headers["x-request-id"] == "trace-of-the-client-1"


def test_h3_the_clients_other_headers_reach_the_backend(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.shared_gateway())
    client.headers["x-ms-client-request-id"] = "abc"
    chat(client)
    assert ("x-ms-client-request-id", "abc") in sim.requests("eastus")[0].headers


def test_h3_hop_by_hop_request_headers_stay_behind(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.shared_gateway())
    client.headers.update({"connection": "keep-alive, x-of-this-hop", "x-of-this-hop": "1", "te": "trailers"})
    chat(client)
    names = {name.lower() for name, _ in sim.requests("eastus")[0].headers}
    assert names & {"x-of-this-hop", "te"} == set()


def test_h3_the_backend_gets_exactly_one_credential(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.shared_gateway())
    client.headers["Authorization"] = "Bearer something-else"
    chat(client)
    credentials = {"api-key", "authorization", "ocp-apim-subscription-key"}
    sent = [(name.lower(), value) for name, value in sim.requests("eastus")[0].headers]
    assert [item for item in sent if item[0] in credentials] == [("api-key", "key-of-eastus")]


def test_h3_each_backend_gets_its_own_credential(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=503)
    chat(stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10)))
    assert ("api-key", "key-of-westus") in [(n.lower(), v) for n, v in sim.requests("westus")[0].headers]


@pytest.mark.parametrize(
    "name",
    ["api_key", "API_KEY", "ocp_apim_subscription_key", "x_api_key", "x_gateway_backend", "x_userinfo"],
)
def test_a3_a_header_that_is_meant_for_another_is_not_forwarded(
    stage: Stage, sim: Simulator, name: str
) -> None:
    client = stage.http(stage.shared_gateway())
    client.headers[name] = "of-the-client"
    assert chat(client).status_code == 200
    sent = sim.requests("eastus")[0].headers
    assert "of-the-client" not in dict(sent).values()


@pytest.mark.parametrize("status", [204, 304])
def test_h1_an_answer_that_has_no_body_says_no_length(stage: Stage, status: int) -> None:
    with RawServer([(b"HTTP/1.1 %d Fine\r\netag: x\r\n\r\n" % status,)]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        answer = client.get("/openai/v1/models")
    assert (answer.status_code, "content-length" in answer.headers) == (status, False)
