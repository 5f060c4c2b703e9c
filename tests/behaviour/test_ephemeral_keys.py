"""A8: keys for a few minutes, which backends make for browsers."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from e2e.redis_server import RedisServer, is_installed
from e2e.simulator import Simulator
from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, REGIONS, TLS, Stage
from tests.behaviour.support import V1_CHAT, attempts, records, winner

MODEL = "gpt-realtime"
SECRETS = "/openai/v1/realtime/client_secrets"
REALTIME = "/openai/v1/realtime"
CALLS = "/openai/v1/realtime/calls"
SESSION: dict[str, Any] = {"session": {"type": "realtime", "model": MODEL}}
OFFER = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n"
OTHER_KEY = "client-key-of-team-b-0001"

needs_redis = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")


def make_key(client: httpx.Client) -> tuple[str, str]:
    """A new key, and the backend that made it."""
    response = client.post(SECRETS, json=SESSION)
    assert response.status_code == 200, response.text
    return response.json()["value"], winner(response)


def call(gateway: Gateway, key: str, path: str = CALLS) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/sdp"}
    return httpx.post(gateway.url + path, content=OFFER, headers=headers, verify=TLS)


def repeat_key(sim: Simulator, region: str, key: str) -> None:
    """Lets a region hand out a key that exists."""
    body = {"value": key, "expires_at": int(time.time()) + 600}
    headers = {"content-type": "application/json"}
    sim.fail(region, status=200, path="client_secrets", body=body, headers=headers)


def talk(gateway: Gateway, key: str, *, in_header: bool = False, query: str = f"?model={MODEL}") -> str:
    """Opens a session as a browser does, or with the key in a header; tells the model of the session."""
    protocols = [Subprotocol("realtime")]
    headers = {"authorization": f"Bearer {key}"} if in_header else {}
    if not in_header:
        protocols.append(Subprotocol(f"openai-insecure-api-key.{key}"))
    url = gateway.url.replace("http:", "ws:") + REALTIME + query
    with connect(url, subprotocols=protocols, additional_headers=headers, proxy=None) as session:
        assert session.subprotocol == "realtime"
        return str(json.loads(session.recv())["session"]["model"])


@pytest.mark.parametrize("in_header", [False, True], ids=["subprotocol", "header"])
def test_a8_a_browser_talks_with_the_key_that_it_was_given(stage: Stage, in_header: bool) -> None:
    gateway = stage.gateway()
    key, _ = make_key(stage.http(gateway))
    assert talk(gateway, key, in_header=in_header) == MODEL


def test_a8_the_key_is_bound_to_its_session(stage: Stage) -> None:
    gateway = stage.gateway()
    key, _ = make_key(stage.http(gateway))
    assert talk(gateway, key, query="") == MODEL


@pytest.mark.parametrize("path", ["/openai/realtimeapi/sessions?api-version=2025-04-01-preview"])
def test_a8_keys_of_the_preview_are_known_too(stage: Stage, path: str) -> None:
    gateway = stage.gateway()
    response = stage.http(gateway).post(path, json={"model": MODEL})
    assert talk(gateway, response.json()["client_secret"]["value"]) == MODEL


def test_a8_each_call_goes_to_the_backend_that_made_its_key(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(REGIONS)
    client = stage.http(gateway)
    keys = [make_key(client) for _ in range(6)]
    assert len({maker for _, maker in keys}) > 1
    assert [winner(call(gateway, key)) for key, _ in keys] == [maker for _, maker in keys]


def test_a3_the_backend_gets_the_ephemeral_key_alone(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"])
    key, _ = make_key(stage.http(gateway))
    assert call(gateway, key).status_code == 201
    seen = dict(sim.requests("eastus")[-1].headers)
    assert (seen["authorization"], "api-key" in seen) == (f"Bearer {key}", False)


@pytest.mark.parametrize("path", [V1_CHAT, SECRETS, "/openai/v1/models", f"{CALLS}/rtc_1/hangup"])
def test_a8_the_key_is_for_realtime_alone(stage: Stage, path: str) -> None:
    gateway = stage.gateway()
    key, _ = make_key(stage.http(gateway))
    headers = {"authorization": f"Bearer {key}"}
    method = "GET" if path.endswith("models") else "POST"
    response = httpx.request(method, gateway.url + path, json=CHAT, headers=headers, verify=TLS)
    assert response.status_code == 401


def test_a8_an_invented_key_reaches_no_backend(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway()
    assert call(gateway, "ek_invented").status_code == 401
    with pytest.raises(InvalidStatus) as caught:
        talk(gateway, "ek_invented")
    assert caught.value.response.status_code == 401
    assert sim.requests("eastus") == sim.requests("westus") == []


def test_a8_a_key_that_the_backend_refuses_is_the_clients_concern(stage: Stage, sim: Simulator) -> None:
    """The backend's own credential is not in doubt, so nobody else loses the backend."""
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    key, _ = make_key(client)
    sim.fail("eastus", status=401, path="/realtime/calls", count=3)
    for _ in range(3):
        response = call(gateway, key)
        assert (response.status_code, attempts(response)) == (401, ["eastus:401"])
    assert client.post(V1_CHAT, json=CHAT).status_code == 200


def test_a8_there_is_no_failover_from_the_maker(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway()
    key, maker = make_key(stage.http(gateway))
    sim.fail(maker, status=503, path="/realtime/calls")
    assert attempts(call(gateway, key)) == [f"{maker}:503"]


def test_b6_no_fallback_takes_the_place_of_the_session(stage: Stage, sim: Simulator) -> None:
    """Its model was decided when the key was made."""
    gateway = stage.gateway(DEPLOYMENT_FALLBACKS=f"{MODEL}=gpt-realtime-mini")
    key, maker = make_key(stage.http(gateway))
    sim.fail(maker, status=503, path=REALTIME)
    with pytest.raises(InvalidStatus) as caught:
        talk(gateway, key)
    assert caught.value.response.headers["x-gateway-attempts"] == f"{maker}:503"


def test_a8_a_key_stays_with_the_first_to_whom_it_was_handed_out(stage: Stage, sim: Simulator) -> None:
    """Else a backend that names another one's key would get its calls, and a client would pay for others."""
    other: dict[str, Any] = {"GATEWAY_CLIENT_NAME_1": "team-b", "GATEWAY_CLIENT_KEY_1": OTHER_KEY}
    gateway = stage.gateway(AZURE_OPENAI_PRIORITY_0=1, **other)
    key, _ = make_key(stage.http(gateway))
    sim.fail("eastus", status=503, path="client_secrets")
    repeat_key(sim, "westus", key)
    assert make_key(stage.http(gateway, OTHER_KEY)) == (key, "westus")
    assert winner(call(gateway, key)) == "eastus"
    assert records(gateway, 3)[2]["client"] == "team-a"


@needs_redis
def test_a8_a_key_of_another_replica_stays_with_the_first(stage: Stage, sim: Simulator) -> None:
    with RedisServer() as redis:
        shared: dict[str, Any] = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": redis.port}
        key, _ = make_key(
            stage.http(stage.gateway(["eastus", "westus"], AZURE_OPENAI_PRIORITY_0=1, **shared))
        )
        second = stage.gateway(["eastus", "westus"], AZURE_OPENAI_PRIORITY_1=1, **shared)
        repeat_key(sim, "westus", key)
        assert make_key(stage.http(second)) == (key, "westus")
        assert winner(call(second, key)) == "eastus"


def test_a8_the_record_names_the_client_and_what_cannot_be_counted(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    key, _ = make_key(stage.http(gateway))
    call(gateway, key)
    record = records(gateway, 2)[1]
    assert (record["client"], record["uncounted"], "tokens" in record) == ("team-a", "webrtc", False)
    assert key not in gateway.access_log.read_text()


def test_a7_a_key_serves_what_its_client_was_allowed(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_CLIENT_DEPLOYMENTS_0=MODEL)
    client = stage.http(gateway)
    key, _ = make_key(client)
    assert (call(gateway, key).status_code, talk(gateway, key, query="")) == (201, MODEL)
    refused = client.post(SECRETS, json={"session": {"type": "realtime", "model": "other"}})
    assert refused.status_code == 403


def test_a8_without_authentication_keys_still_find_their_maker(stage: Stage) -> None:
    names: dict[str, Any] = {"GATEWAY_CLIENT_NAME_0": "", "GATEWAY_CLIENT_KEY_0": ""}
    gateway = stage.gateway(REGIONS, GATEWAY_REQUIRE_AUTH="false", **names)
    keys = [make_key(stage.http(gateway, None)) for _ in range(4)]
    assert [winner(call(gateway, key)) for key, _ in keys] == [maker for _, maker in keys]


@needs_redis
def test_a8_a_client_that_was_removed_takes_its_keys_along(stage: Stage) -> None:
    both: dict[str, Any] = {"GATEWAY_CLIENT_NAME_1": "team-b", "GATEWAY_CLIENT_KEY_1": OTHER_KEY}
    with RedisServer() as redis:
        shared: dict[str, Any] = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": redis.port}
        key, _ = make_key(stage.http(stage.gateway(**both, **shared), OTHER_KEY))
        assert call(stage.gateway(**both, **shared), key).status_code == 201
        assert call(stage.gateway(**shared), key).status_code == 401


@needs_redis
def test_a8_another_replica_knows_the_key(stage: Stage) -> None:
    with RedisServer() as redis:
        shared: dict[str, Any] = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": redis.port}
        first, second = stage.gateway(REGIONS, **shared), stage.gateway(REGIONS, **shared)
        key, maker = make_key(stage.http(first))
        assert winner(call(second, key)) == maker
