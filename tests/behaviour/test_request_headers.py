"""S8: large headers pass whole; what nginx refuses by itself is told in the shape that clients understand."""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from e2e.simulator import Simulator
from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, CLIENT_KEY, Stage
from tests.behaviour.support import V1_CHAT, chat

BODY = json.dumps(CHAT).encode()
Lines = list[tuple[str, str]]


def ask(gateway: Gateway, lines: Lines, target: str = V1_CHAT) -> http.client.HTTPResponse:
    """A chat with exactly these header lines, and its length."""
    address = urlsplit(gateway.url)
    assert address.hostname
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.putrequest("POST", target, skip_accept_encoding=True)
    for name, value in [*lines, ("content-length", str(len(BODY)))]:
        connection.putheader(name, value)
    connection.endheaders(BODY)
    return connection.getresponse()


def raw(gateway: Gateway, request: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the JSON that answer these bytes."""
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.headers["content-type"] == "application/json"
        return response.status, json.loads(response.read())["error"]


def fillers(count: int, size: int = 1) -> Lines:
    return [(f"x-filler-{number}", "x" * size) for number in range(count)]


def sent(sim: Simulator, region: str = "eastus") -> dict[str, str]:
    """The headers of the only request that a backend got."""
    [request] = sim.requests(region)
    return {name.lower(): value for name, value in request.headers}


@pytest.mark.parametrize("size", [9000, 30_000])
def test_s8_a_large_bearer_passes(stage: Stage, sim: Simulator, size: int) -> None:
    gateway = stage.shared_gateway()
    answer = ask(gateway, [("authorization", "Bearer " + "t" * size), ("api-key", CLIENT_KEY)])
    assert (answer.status, "authorization" in sent(sim)) == (200, False)


def test_s8_a_header_of_32_kib_passes_whole(stage: Stage, sim: Simulator) -> None:
    lines = fillers(31, 1000)
    answer = ask(stage.shared_gateway(), [("api-key", CLIENT_KEY), *lines])
    assert (answer.status, set(lines) - set(sent(sim).items())) == (200, set())


def test_s8_200_lines_reach_the_backend(stage: Stage, sim: Simulator) -> None:
    lines = [*fillers(195), ("openai-beta", "assistants=v2")]
    answer = ask(stage.shared_gateway(), [("api-key", CLIENT_KEY), *lines])
    assert (answer.status, set(lines) - set(sent(sim).items())) == (200, set())


def test_a3_nothing_of_an_earlier_request_reaches_the_backend(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"])
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    print(f"SEED={seed}")
    counts = random.Random(seed).choices(range(60), k=25)
    statuses = [ask(gateway, [("api-key", CLIENT_KEY), *fillers(count)]).status for count in counts]
    numbers = [
        sum(name.startswith("x-filler") for name, _ in each.headers) for each in sim.requests("eastus")
    ]
    bodies = [each.body for each in sim.requests("eastus")]
    assert (statuses, numbers, bodies) == ([200] * 25, counts, [BODY] * 25)


def test_s8_so_it_is_on_other_paths(stage: Stage, sim: Simulator) -> None:
    lines = [*fillers(150), ("openai-beta", "assistants=v2"), ("content-type", "application/json")]
    ask(stage.shared_gateway(), [("api-key", CLIENT_KEY), *lines], "/openai/v1/conversations")
    assert set(lines) - set(sent(sim).items()) == set()


def test_a1_a_key_behind_150_lines_is_found(stage: Stage) -> None:
    assert ask(stage.shared_gateway(), [*fillers(150), ("api-key", CLIENT_KEY)]).status == 200


SECRETS = [
    "authorization",
    "ocp-apim-subscription-key",
    "x-api-key",
    "x-userinfo",
    "x-access-token",
    "x-consumer-username",
    "x-apisix-upstream",
    "x-gateway-backend",
    "cookie",
]


@pytest.mark.parametrize("name", SECRETS)
def test_a3_what_stands_behind_150_lines_is_removed_too(stage: Stage, sim: Simulator, name: str) -> None:
    lines = [("api-key", CLIENT_KEY), *fillers(150), (name, "of-the-client")]
    ask(stage.shared_gateway(), lines)
    assert "of-the-client" not in sent(sim).values()


def test_l1_a_lane_behind_150_lines_counts(stage: Stage) -> None:
    gateway = stage.gateway(
        ["eastus"], ENABLE_AI_RATE_LIMIT="true", AI_RATE_LIMIT_STRATEGY="req", AI_RATE_LIMIT_LOW_LIMIT=1
    )
    lines = [("api-key", CLIENT_KEY), *fillers(150), ("x-priority", "low")]
    assert [ask(gateway, lines).status for _ in range(2)] == [200, 503]


TOO_LARGE: dict[str, Lines] = {
    "40 KB in one line": [("x-large", "x" * 40_000)],
    "40 KB in many lines": fillers(40, 1000),
    "100 KB": fillers(100, 1000),
    "1000 lines": fillers(1000),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_s8_a_header_that_is_too_large_is_431(stage: Stage, sim: Simulator, name: str) -> None:
    answer = ask(stage.shared_gateway(), [("api-key", CLIENT_KEY), *TOO_LARGE[name]])
    assert (answer.status, json.loads(answer.read())["error"]["code"]) == (431, "request_header_too_large")
    assert (bool(answer.headers["x-request-id"]), sim.requests("eastus")) == (True, [])


def test_s8_a_body_over_the_limit_is_413(stage: Stage) -> None:
    client = stage.http(stage.gateway(["eastus"], MAX_REQUEST_BODY_MB=1))
    answer = chat(client, user="x" * 1_100_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


REFUSED: dict[str, tuple[bytes, int]] = {
    "no request line": (b"nonsense\r\n\r\n", 400),
    "a header without a name": (b"GET /openai/v1/models HTTP/1.1\r\nhost: a\r\n: x\r\n\r\n", 400),
    "no host": (b"GET /openai/v1/models HTTP/1.1\r\n\r\n", 400),
    "two lengths": (
        b"POST /openai/v1/models HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        400,
    ),
    "a long path": (b"GET /openai/" + b"x" * 80_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
    "a path that is a little too long": (b"GET /" + b"x" * 4096 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
    "the same, escaped": (b"GET /" + b"%0a" * 4096 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
    "TRACE": (b"TRACE /openai/v1/models HTTP/1.1\r\nhost: a\r\n\r\n", 405),
    "a page of the gateway's own": (b"GET /azure-openai-refusal HTTP/1.1\r\nhost: a\r\n\r\n", 404),
}


@pytest.mark.parametrize("name", REFUSED)
def test_s8_what_nginx_refuses_is_told_in_openai_shape(stage: Stage, name: str) -> None:
    request, status = REFUSED[name]
    answer, error = raw(stage.shared_gateway(), request)
    assert (answer, set(error)) == (status, {"code", "message", "type"})


def test_s8_a_path_may_have_4096_bytes(stage: Stage) -> None:
    path = "/openai/v1/files/file-".ljust(4096, "x")
    answer = stage.http(stage.shared_gateway()).get(path)
    assert answer.json()["error"]["message"].startswith("No such File object")


def test_s8_requests_in_a_row_on_one_connection_have_the_same_room(stage: Stage) -> None:
    address = urlsplit(stage.gateway(["eastus"]).url)
    one = (
        f"POST {V1_CHAT} HTTP/1.1\r\nhost: a\r\napi-key: {CLIENT_KEY}\r\nx-large: {'x' * 20_000}\r\n"
        f"content-length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(one * 2)
        # Both answers may come at once.
        received = b""
        while received.count(b"HTTP/1.1 200 OK\r\n") < 2:
            piece = connection.recv(65536)
            assert piece, received
            received += piece


def test_h1_all_lines_of_a_backends_header_reach_the_client(stage: Stage, sim: Simulator) -> None:
    lines = dict(fillers(150))
    sim.fail("eastus", status=400, headers=lines)
    answer = chat(stage.http(stage.gateway(["eastus"])))
    assert set(lines.items()) - set(answer.headers.items()) == set()
