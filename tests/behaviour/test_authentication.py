"""Section 2 of the gateway's behaviour: who may use it."""

from __future__ import annotations

import hashlib
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from e2e.simulator import Simulator
from renderer import ConfigurationError
from tests.behaviour.conftest import CHAT, CLIENT_KEY, Stage
from tests.behaviour.support import DEPLOYMENT_CHAT, V1_CHAT, chat

WRONG = "wrong-key-wrong-key-wrong"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {CLIENT_KEY}"},
        {"Authorization": f"bearer {CLIENT_KEY}"},
        {"Authorization": f"BEARER   {CLIENT_KEY}"},
        {"api-key": CLIENT_KEY},
        {"Ocp-Apim-Subscription-Key": CLIENT_KEY},
    ],
)
def test_a1_each_way_to_send_the_key_is_accepted(stage: Stage, headers: dict[str, str]) -> None:
    client = stage.http(stage.shared_gateway(), key=None)
    client.headers.update(headers)
    assert chat(client).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {WRONG}", "api-key": CLIENT_KEY},
        {"Authorization": "Basic dXNlcjpwdw==", "api-key": CLIENT_KEY},
        {"api-key": WRONG, "ocp-apim-subscription-key": CLIENT_KEY},
    ],
)
def test_a1_of_several_keys_the_first_valid_one_wins(stage: Stage, headers: dict[str, str]) -> None:
    client = stage.http(stage.shared_gateway(), key=None)
    client.headers.update(headers)
    assert chat(client).status_code == 200


def test_a2_rendered_files_hold_digests_only(stage: Stage) -> None:
    rendered = (stage.gateway(["eastus"]).directory).rglob("apisix.yaml")
    texts = [path.read_text() for path in rendered]
    digest = hashlib.sha256(CLIENT_KEY.encode()).hexdigest()
    assert [(digest in text, CLIENT_KEY in text) for text in texts] == [(True, False)] * len(texts)


def test_a2_the_secondary_key_works_beside_the_primary(stage: Stage) -> None:
    secondary = "second-key-of-team-a-0002"
    gateway = stage.gateway(["eastus"], GATEWAY_CLIENT_KEY_SECONDARY_0=secondary)
    assert [chat(stage.http(gateway, key)).status_code for key in (CLIENT_KEY, secondary)] == [200, 200]


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "ocp-apim-subscription-key",
        "x-api-key",
        "x-apisix-endpoint",
        "x-consumer-username",
        "x-gateway-backend",
        "x-priority",
        "cookie",
        "x-http-method-override",
        "x_http_method_override",
        "x-http-method",
        "x-method-override",
        "x-original-method",
        "x-original-url",
        "x-original-uri",
        "x-rewrite-url",
        "x-envoy-original-path",
    ],
)
def test_a3_what_could_steer_the_gateway_never_goes_upstream(stage: Stage, sim: Simulator, name: str) -> None:
    client = stage.http(stage.shared_gateway())
    client.headers[name] = f"Bearer {CLIENT_KEY}"
    chat(client)
    assert name not in {header.lower() for header, _ in sim.requests("eastus")[0].headers}


def test_a3_the_clients_key_goes_nowhere(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.shared_gateway())
    client.headers["Authorization"] = f"Bearer {CLIENT_KEY}"
    chat(client)
    assert CLIENT_KEY not in str(sim.requests("eastus")[0])


CREDENTIALS_IN_A_QUERY = [
    "api-key=another",
    "API%2DKey=another",
    "api_key=another",
    "subscription-key=another",
    "Ocp-Apim-Subscription-Key=another",
    "x-api-key=another",
    "authorization=Bearer%20another",
    "api-key=a&api-key=another",
]


@pytest.mark.parametrize("path", [V1_CHAT, DEPLOYMENT_CHAT, "/openai/v1/responses/resp_1/cancel"])
def test_a3_a_key_in_the_query_never_reaches_a_backend(stage: Stage, sim: Simulator, path: str) -> None:
    client = stage.http(stage.shared_gateway())
    target = f"{path}{'&' if '?' in path else '?'}limit=%31"
    for credential in CREDENTIALS_IN_A_QUERY:
        client.post(f"{target}&{credential}&after=a+b", json=CHAT)
    reached = [request.path for request in sim.requests("eastus")]
    assert reached == [f"{target}&after=a+b"] * len(CREDENTIALS_IN_A_QUERY)


def test_a3_no_client_header_chooses_an_endpoint(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.shared_gateway())
    elsewhere = sim.endpoint("westus")
    for name in ("x-apisix-endpoint", "x-upstream", "x-gateway-backend", "x-forwarded-host", "host"):
        client.headers[name] = elsewhere.removeprefix("http://")
    chat(client)
    assert sim.requests("westus") == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"api-key": WRONG},
        {"api-key": ""},
        {"Authorization": CLIENT_KEY},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {CLIENT_KEY}"},
        {"x-api-key": CLIENT_KEY},
    ],
)
def test_a4_a_missing_or_wrong_key_is_401(stage: Stage, headers: dict[str, str]) -> None:
    client = stage.http(stage.shared_gateway(), key=None)
    client.headers.update(headers)
    assert chat(client).status_code == 401


def test_a4_the_401_challenges(stage: Stage) -> None:
    response = chat(stage.http(stage.shared_gateway(), WRONG))
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_a4_the_401_asks_clients_not_to_try_again(stage: Stage) -> None:
    """Claude Code repeats a 401 for minutes where nothing says this."""
    answer = chat(stage.http(stage.gateway(["eastus"]), WRONG))
    assert (answer.status_code, answer.headers["x-should-retry"]) == (401, "false")


def test_a4_the_401_has_the_shape_of_an_azure_error(stage: Stage) -> None:
    assert chat(stage.http(stage.shared_gateway(), WRONG)).json()["error"]["code"] == "401"


def test_a4_the_401_does_not_wait_for_the_body(stage: Stage) -> None:
    address = urlsplit(stage.shared_gateway().url)
    head = f"POST {V1_CHAT} HTTP/1.1\r\nhost: gateway\r\ncontent-length: 30000000\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a4_nothing_reaches_a_backend(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.shared_gateway(), WRONG)
    chat(client)
    client.get("/openai/v1/models")
    assert sim.requests("eastus") == []


def test_a5_without_clients_there_is_no_gateway(stage: Stage) -> None:
    with pytest.raises(ConfigurationError, match="GATEWAY_CLIENT"):
        stage.gateway(["eastus"], GATEWAY_CLIENT_NAME_0="", GATEWAY_CLIENT_KEY_0="")


def test_a5_authentication_can_be_turned_off_explicitly(stage: Stage) -> None:
    gateway = stage.gateway(
        ["eastus"], GATEWAY_REQUIRE_AUTH="false", GATEWAY_CLIENT_NAME_0="", GATEWAY_CLIENT_KEY_0=""
    )
    assert chat(stage.http(gateway, key=None)).status_code == 200


def test_a5_even_then_a_clients_key_goes_nowhere(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(
        ["eastus"], GATEWAY_REQUIRE_AUTH="false", GATEWAY_CLIENT_NAME_0="", GATEWAY_CLIENT_KEY_0=""
    )
    chat(stage.http(gateway))
    assert CLIENT_KEY not in str(sim.requests("eastus")[0])


def test_a7_an_allowed_deployment_passes(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_CLIENT_DEPLOYMENTS_0="gpt-4o,gpt-4o-mini")
    assert chat(stage.http(gateway)).status_code == 200


def test_a7_another_deployment_is_403(stage: Stage) -> None:
    response = chat(stage.http(stage.gateway(["eastus"], GATEWAY_CLIENT_DEPLOYMENTS_0="gpt-4o-mini")))
    assert (response.status_code, response.json()["error"]["code"]) == (403, "model_not_allowed")


def over_the_limit(stage: Stage, **settings: object) -> httpx.Response:
    client = stage.http(stage.gateway(["eastus"], **settings))
    chat(client)
    return chat(client)


@pytest.mark.parametrize(
    "setting", ["GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0", "GATEWAY_CLIENT_TOKENS_PER_MINUTE_0"]
)
def test_a7_over_a_per_minute_limit_is_429(stage: Stage, setting: str) -> None:
    assert over_the_limit(stage, **{setting: 1}).status_code == 429


@pytest.mark.parametrize(
    "setting", ["GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0", "GATEWAY_CLIENT_TOKENS_PER_MINUTE_0"]
)
def test_a7_the_429_says_when_to_come_back(stage: Stage, setting: str) -> None:
    assert 50 <= int(over_the_limit(stage, **{setting: 1}).headers["retry-after"]) <= 60
