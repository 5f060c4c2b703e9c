"""The helper of the end-to-end stage: clients set preferred backends, and /latency-routing/ follows."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from e2e.redis_server import RedisServer, is_installed
from e2e.targets.config_api import PATH, TOKEN, config_api
from e2e.waiting import eventually
from scripts.engines import Gateway
from scripts.engines.files import LOOPBACK
from scripts.engines.ports import free_ports
from tests.behaviour.conftest import CHAT, CLIENT_KEY, REGIONS, Stage
from tests.behaviour.support import V1_CHAT, winner

FIRST, SECOND = "payg-backend-1", "payg-backend-2"
# APISIX looks at its configuration once a second; a busy machine takes its time.
APPLIED_SECONDS = 30


def settings_of_stage(**settings: Any) -> dict[str, Any]:
    names = {
        f"AZURE_OPENAI_NAME_{index}": name for index, name in enumerate(("ptu-backend-1", FIRST, SECOND))
    }
    stage = {
        "GATEWAY_E2E_TEST_MODE": "true",
        "CONFIG_API_TOKEN": TOKEN,
        "CONFIG_API_PORT": free_ports(1)[0],
    }
    return names | stage | settings


@contextmanager
def replica(stage: Stage, **settings: Any) -> Iterator[Gateway]:
    """A gateway with its config API."""
    gateway = stage.gateway(REGIONS, **settings)
    env = {"PATH": os.environ["PATH"]} | stage.environment(REGIONS, **settings)
    with config_api(env, gateway.apisix_yaml.parent):
        yield gateway


def post(client: httpx.Client, *names: str) -> httpx.Response:
    return client.post(PATH, json={"preferredBackends": names})


def preferred(client: httpx.Client) -> str:
    return winner(client.post(f"/latency-routing{V1_CHAT}", json=CHAT))


def becomes(client: httpx.Client, name: str) -> bool:
    return eventually(lambda: preferred(client) == name, seconds=APPLIED_SECONDS)


def test_a_post_changes_who_is_asked_first(stage: Stage) -> None:
    with replica(stage, **settings_of_stage()) as gateway:
        client = stage.http(gateway)
        assert preferred(client) == FIRST
        answer = post(client, SECOND, FIRST)
        assert (answer.status_code, answer.json()["preferredBackends"]) == (200, [SECOND, FIRST])
        assert answer.headers["content-type"] == "application/json"
        assert becomes(client, SECOND)
        post(client, FIRST, SECOND)
        assert becomes(client, FIRST)


@pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")
def test_all_replicas_follow_a_post_to_one(stage: Stage) -> None:
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        one, other = (
            stage.http(stack.enter_context(replica(stage, **settings_of_stage(**redis.settings))))
            for _ in range(2)
        )
        post(one, SECOND, FIRST)
        assert becomes(one, SECOND)
        assert becomes(other, SECOND)


def test_the_other_backend_serves_while_the_preferred_one_is_throttled(stage: Stage) -> None:
    settings = settings_of_stage(GATEWAY_E2E_PREFERRED_BACKENDS=f"{SECOND},{FIRST}")
    client = stage.http(stage.gateway(REGIONS, **settings))
    stage.sim.fail(REGIONS[2], status=429, retry_after=60)
    assert preferred(client) == FIRST


def test_while_the_config_api_is_down_a_post_is_503(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS, **settings_of_stage()))
    answer = post(client, SECOND)
    assert answer.status_code == 503
    assert "config API" in answer.json()["error"]["message"]


def test_another_token_of_the_config_api_is_not_the_clients_fault(stage: Stage) -> None:
    settings = settings_of_stage()
    gateway = stage.gateway(REGIONS, **settings)
    other = {"PATH": os.environ["PATH"]} | stage.environment(
        REGIONS, **settings | {"CONFIG_API_TOKEN": TOKEN + "x"}
    )
    # It would render its own token into the gateway's file.
    directory = gateway.directory / "elsewhere"
    directory.mkdir()
    for name in ("apisix.yaml", "config.yaml"):
        (directory / name).write_bytes((gateway.apisix_yaml.parent / name).read_bytes())
    with config_api(other, directory):
        answer = post(stage.http(gateway), SECOND)
    assert (answer.status_code, "www-authenticate" in answer.headers) == (503, False)


_START = "HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        *(_START.format(status, 2) + "{}" for status in (204, 302, 404, 500, 999)),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        _START.format(200, 1_000_000) + "a" * 1_000_000,
        _START.format(200, 3) + "{}",
    ],
    ids=["204", "302", "404", "500", "999", "101", "large", "cut"],
)
def test_an_odd_answer_of_the_config_api_is_503(stage: Stage, answer: str) -> None:
    settings = settings_of_stage()
    client = stage.http(stage.gateway(REGIONS, **settings))
    with socket.create_server((LOOPBACK, settings["CONFIG_API_PORT"])) as server:
        thread = threading.Thread(target=_answer_once, args=(server, answer.encode()))
        thread.start()
        got = post(client, SECOND)
        thread.join()
    assert (got.status_code, "config API" in got.json()["error"]["message"]) == (503, True)


def _answer_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    # The gateway may leave before it has read all.
    with connection, contextlib.suppress(OSError):
        connection.recv(65_536)
        connection.sendall(answer)


@pytest.mark.parametrize("key", [None, "wrong-key-of-a-client"])
def test_a_post_needs_a_clients_key(stage: Stage, key: str | None) -> None:
    with replica(stage, **settings_of_stage()) as gateway:
        assert post(stage.http(gateway, key), SECOND).status_code == 401


def test_a_faulty_post_is_answered_by_the_config_api(stage: Stage) -> None:
    with replica(stage, **settings_of_stage()) as gateway:
        client = stage.http(gateway)
        statuses = [client.post(PATH, content=content).status_code for content in (b"", b"[]", b" " * 65_537)]
        assert statuses == [400, 400, 413]


@pytest.mark.parametrize(
    "settings",
    [
        {"GATEWAY_E2E_TEST_MODE": "", "CONFIG_API_TOKEN": "", "CONFIG_API_PORT": ""},
        {"CONFIG_API_TOKEN": ""},
    ],
    ids=["production", "no token"],
)
def test_without_a_config_api_the_path_is_unknown(stage: Stage, settings: dict[str, Any]) -> None:
    client = stage.http(stage.gateway(REGIONS, **settings_of_stage(**settings)))
    assert post(client, SECOND).status_code == 404


def test_only_posts_have_the_helper(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS, **settings_of_stage()))
    assert client.get(PATH).status_code == 404


def test_the_clients_credential_stays_with_the_gateway(stage: Stage) -> None:
    with replica(stage, **settings_of_stage()) as gateway:
        client = stage.http(gateway, None)
        client.headers["authorization"] = f"Bearer {CLIENT_KEY}"
        assert post(client, SECOND).status_code == 200
