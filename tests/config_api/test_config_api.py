"""The config API: what a post changes, where, and for whom."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from e2e.config_api.app import create_app
from e2e.config_api.follower import Follower
from e2e.config_api.preferences import SECONDS, InProcess
from e2e.config_api.publisher import Publisher
from e2e.redis_server import RedisServer, is_installed
from e2e.targets.config_api import PATH, TOKEN, config_api
from e2e.waiting import eventually
from renderer import load_settings, render_files
from renderer.output import write_all_changed
from scripts.engines.base import REPOSITORY
from scripts.engines.ports import free_ports
from tests.support.measuring import measuring

needs_redis = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")

shares_untouched = pytest.mark.xdist_group("untouched-config-api")

FIRST, SECOND = "payg-backend-1", "payg-backend-2"


def settings_of_stage(**settings: object) -> dict[str, str]:
    env = {
        "GATEWAY_E2E_TEST_MODE": "true",
        "GATEWAY_CLIENT_NAME_0": "client-one",
        "GATEWAY_CLIENT_KEY_0": "client-key-of-client-one",
        "CONFIG_API_PORT": str(free_ports(1)[0]),
        "CONFIG_API_TOKEN": TOKEN,
    }
    for index, name in enumerate(("ptu-backend-1", FIRST, SECOND)):
        env[f"AZURE_OPENAI_NAME_{index}"] = name
        env[f"AZURE_OPENAI_ENDPOINT_{index}"] = f"http://127.0.0.1:800{index}"
        env[f"AZURE_OPENAI_KEY_{index}"] = f"key-of-{name}"
    return {name: value for name, value in (env | _texts(settings)).items() if value != ""}


def _texts(settings: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in settings.items()}


def rendered(directory: Path, env: dict[str, str]) -> Path:
    """A directory with the files of a gateway that runs."""
    directory.mkdir(parents=True, exist_ok=True)
    write_all_changed(directory, render_files(load_settings(env), "/nowhere"))
    return directory


def best(directory: Path) -> str:
    """The backend that /latency-routing/ prefers by the rendered file."""
    [metadata] = [
        each
        for each in yaml.load((directory / "apisix.yaml").read_text(), Loader=yaml.CSafeLoader)[
            "plugin_metadata"
        ]
        if each["id"] == "azure-openai-gateway"
    ]
    [pool] = [pool for pool in metadata["pools"] if pool["name"] == "latency-routing"]
    return str(max(pool["backends"], key=lambda member: member["priority"])["name"])


def post(client: httpx.Client, *names: object) -> httpx.Response:
    return client.post(PATH, content=json.dumps({"preferredBackends": names}))


def is_best(directory: Path, name: str) -> Callable[[], bool]:
    return lambda: best(directory) == name


def test_a_post_puts_the_first_backend_first(tmp_path: Path) -> None:
    env = settings_of_stage()
    directory = rendered(tmp_path, env)
    with config_api(env, directory) as client:
        before = best(directory)
        answer = post(client, SECOND, FIRST)
    assert (before, answer.status_code, best(directory)) == (FIRST, 200, SECOND)
    assert answer.json()["preferredBackends"] == [SECOND, FIRST]


def test_nothing_else_changes(tmp_path: Path) -> None:
    env = settings_of_stage()
    directory = rendered(tmp_path, env)
    with config_api(env, directory) as client:
        post(client, SECOND)
    expected = render_files(load_settings(env | {"GATEWAY_E2E_PREFERRED_BACKENDS": SECOND}), "/nowhere")
    assert (directory / "apisix.yaml").read_text() == expected["apisix.yaml"]


def test_the_last_post_wins(tmp_path: Path) -> None:
    env = settings_of_stage()
    directory = rendered(tmp_path, env)
    with config_api(env, directory) as client:
        post(client, SECOND, FIRST)
        post(client, FIRST, SECOND)
    assert best(directory) == FIRST


def test_names_that_are_no_backends_are_ignored(tmp_path: Path) -> None:
    env = settings_of_stage()
    directory = rendered(tmp_path, env)
    with config_api(env, directory) as client:
        answer = post(client, "payg-backend-3", "a,b\n", "\ud800", SECOND)
    assert (answer.status_code, best(directory)) == (200, SECOND)


def test_without_names_the_preference_of_the_settings_holds(tmp_path: Path) -> None:
    env = settings_of_stage(GATEWAY_E2E_PREFERRED_BACKENDS=SECOND)
    directory = rendered(tmp_path, env)
    with config_api(env, directory) as client:
        post(client, FIRST)
        post(client)
    assert best(directory) == SECOND


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    """A config API, and its directory, for requests that change nothing."""
    env = settings_of_stage()
    directory = rendered(tmp_path_factory.mktemp("untouched"), env)
    with config_api(env, directory) as client:
        yield client, directory


@shares_untouched
@pytest.mark.parametrize("header", ["", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
def test_another_token_is_401_and_changes_nothing(untouched: tuple[httpx.Client, Path], header: str) -> None:
    client, directory = untouched
    answer = client.post(PATH, json={"preferredBackends": [SECOND]}, headers={"authorization": header})
    assert (answer.status_code, best(directory)) == (401, FIRST)


BAD_BODIES: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"payg-backend-2",
    "deep JSON": b"[" * 60_000,
    "a list": b'["payg-backend-2"]',
    "no names": b"{}",
    "one name": b'{"preferredBackends": "payg-backend-2"}',
    "numbers": b'{"preferredBackends": [2]}',
    "too many names": b'{"preferredBackends": [%s"a"]}' % (b'"a",' * 100),
}


@shares_untouched
def test_a_bad_body_is_400_and_changes_nothing(untouched: tuple[httpx.Client, Path]) -> None:
    client, directory = untouched
    found = {name: client.post(PATH, content=body).status_code for name, body in BAD_BODIES.items()}
    found["large"] = client.post(PATH, content=b" " * 65_537).status_code
    assert found == dict.fromkeys(BAD_BODIES, 400) | {"large": 413}
    assert best(directory) == FIRST


def test_a_gateway_that_lacks_plugins_is_left_alone(tmp_path: Path) -> None:
    env = settings_of_stage()
    directory = rendered(tmp_path, env)
    with config_api(env, directory) as client:
        (directory / "config.yaml").write_text("plugins: [prometheus]\n")
        answer = post(client, SECOND)
    assert (answer.status_code, best(directory)) == (503, FIRST)
    assert "restart it" in answer.json()["error"]["message"]


def test_settings_that_became_wrong_are_named_and_change_nothing(tmp_path: Path) -> None:
    env = settings_of_stage()
    directory = rendered(tmp_path / "conf", env)
    file = tmp_path / "settings.env"
    file.write_text("LB_ALG=roundrobin\n")
    with config_api(env, directory, "--env-file", str(file)) as client:
        file.write_text("LB_ALG=best\n")
        answer = post(client, SECOND)
        assert (answer.status_code, best(directory)) == (503, FIRST)
        assert "LB_ALG" in answer.json()["error"]["message"]


def test_other_settings_are_read_again_on_request(tmp_path: Path) -> None:
    env = settings_of_stage()
    directory = rendered(tmp_path / "conf", env)
    file = tmp_path / "settings.env"
    file.write_text("AZURE_OPENAI_WEIGHT_0=1\n")
    with config_api(env, directory, "--env-file", str(file), "--refresh", "1") as client:
        post(client, SECOND)
        file.write_text("AZURE_OPENAI_WEIGHT_0=77\n")
        eventually(lambda: "weight: 77" in (directory / "apisix.yaml").read_text(), seconds=30)
    assert best(directory) == SECOND


def test_settings_in_yaml_are_rendered(tmp_path: Path) -> None:
    env = settings_of_stage()
    directory = rendered(tmp_path / "conf", env)
    file = tmp_path / "gateway.yaml"
    file.write_text("backends:\n  - weight: 77\n")
    with config_api(env, directory, "--settings", str(file)) as client:
        post(client, SECOND)
    assert "weight: 77" in (directory / "apisix.yaml").read_text()


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"CONFIG_API_TOKEN": ""}, "CONFIG_API_TOKEN"),
        ({"GATEWAY_E2E_TEST_MODE": ""}, "CONFIG_API_TOKEN"),
        ({"AZURE_OPENAI_KEY_1": ""}, "AZURE_OPENAI_KEY_1"),
    ],
)
def test_wrong_settings_end_it_with_their_names(
    tmp_path: Path, settings: dict[str, str], setting: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "e2e.config_api", "--output-dir", str(tmp_path)],
        cwd=REPOSITORY,
        env={**measuring(), "PATH": os.environ["PATH"]} | settings_of_stage(**settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert setting in done.stderr


@needs_redis
def test_two_replicas_follow_each_other(tmp_path: Path) -> None:
    with RedisServer(password="secret-of-redis") as redis:
        one, two = (settings_of_stage(**redis.settings) for _ in range(2))
        here, there = rendered(tmp_path / "one", one), rendered(tmp_path / "two", two)
        with config_api(one, here) as first, config_api(two, there) as second:
            post(first, SECOND, FIRST)
            eventually(is_best(there, SECOND), seconds=30)
            post(second, FIRST, SECOND)
            eventually(is_best(here, FIRST), seconds=30)


@needs_redis
def test_a_replica_that_starts_later_has_the_preference(tmp_path: Path) -> None:
    with RedisServer() as redis:
        one, two = (settings_of_stage(**redis.settings) for _ in range(2))
        with config_api(one, rendered(tmp_path / "one", one)) as client:
            post(client, SECOND)
        later = rendered(tmp_path / "two", two)
        with config_api(two, later):
            assert best(later) == SECOND


@needs_redis
def test_redis_forgets_the_preference_in_time(tmp_path: Path) -> None:
    with RedisServer() as redis:
        env = settings_of_stage(**redis.settings)
        directory = rendered(tmp_path, env)
        with config_api(env, directory) as client:
            post(client, SECOND)
            [key] = redis.command("KEYS", "*")  # type: ignore[misc]
            left = redis.command("TTL", key)
            assert isinstance(left, int)
            assert SECONDS - 60 <= left <= SECONDS
            redis.command("DEL", key)
            eventually(is_best(directory, FIRST), seconds=30)


@needs_redis
@pytest.mark.parametrize(
    "nonsense",
    [
        "{",
        '[1, "payg-backend-2", null]',
        pytest.param("[" * 100_000, id="lists in lists"),
        *(pytest.param(text, marks=pytest.mark.long) for text in ("", "7", '{"a": 1}', '["\\ud800"]')),
    ],
)
def test_nonsense_in_redis_does_no_harm(tmp_path: Path, nonsense: str) -> None:
    with RedisServer() as redis:
        redis.command("SET", "azure-openai:e2e:preferred-backends", nonsense)
        env = settings_of_stage(**redis.settings)
        directory = rendered(tmp_path, env)
        with config_api(env, directory):
            assert best(directory) == (SECOND if SECOND in nonsense else FIRST)
            redis.command("SET", "azure-openai:e2e:preferred-backends", f'["{SECOND}"]')
            eventually(is_best(directory, SECOND), seconds=30)


@needs_redis
def test_without_redis_a_post_is_503_and_the_preference_stays(tmp_path: Path) -> None:
    with RedisServer() as redis:
        env = settings_of_stage(**redis.settings)
        directory = rendered(tmp_path, env)
        with config_api(env, directory) as client:
            post(client, SECOND)
            redis.stop()
            answer = post(client, FIRST)
            assert (answer.status_code, best(directory)) == (503, SECOND)
            assert "Redis" in answer.json()["error"]["message"]
            assert client.get("/health").status_code == 200


class _Stubborn(InProcess):
    """Swallows the first cancellation, as `asyncio.wait_for` of Python 3.11 can do."""

    _has_swallowed = False

    async def read(self) -> tuple[str, ...]:
        if not self._has_swallowed:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            self._has_swallowed = True
        return ()


def test_it_ends_although_a_cancellation_is_swallowed(tmp_path: Path) -> None:
    env = settings_of_stage()
    publisher = Publisher(load_settings(env), env, lambda: None, rendered(tmp_path, env), "/nowhere")

    async def serve() -> None:
        preferences = _Stubborn()
        app = create_app(TOKEN, preferences, Follower(preferences, publisher))
        async with app.router.lifespan_context(app):
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(serve(), 30))


def test_a_preference_in_process_ends_in_time() -> None:
    now = 100.0
    preferences = InProcess(clock=lambda: now)
    asyncio.run(preferences.write((SECOND,)))
    now += SECONDS - 1
    before = asyncio.run(preferences.read())
    now += 1
    assert (before, asyncio.run(preferences.read())) == ((SECOND,), ())


@pytest.mark.parametrize(("options", "address"), [([], "127.0.0.1"), (["--host", "127.0.0.2"], "127.0.0.2")])
def test_it_listens_on_the_address_that_it_is_given(tmp_path: Path, options: list[str], address: str) -> None:
    env = settings_of_stage()
    with config_api(env, rendered(tmp_path, env), *options, host=address) as api:
        assert api.get("/health").status_code == 200
