"""The image's entrypoint starts the gateway, or reports everything that prevents the start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from e2e.simulator import Latency, Region, Simulator
from renderer.output import write_changed
from tests.image.conftest import (
    BACKEND_KEY,
    CLIENT_KEY,
    IMAGE,
    Container,
    installed_home,
    make_container,
    settings,
    wait_until,
    written,
)

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
CHAT_PATH = "/openai/v1/chat/completions"


def test_it_serves_rendered_files(container: Container) -> None:
    container.put(container.render(settings()))
    with container.running():
        assert httpx.get(f"{container.url}/health/ready").status_code == 200


def test_it_starts_again_after_having_been_killed(container: Container) -> None:
    container.put(container.render(settings()))
    left_over = container.temporary / "apisix" / "logs"
    left_over.mkdir(parents=True)
    (left_over / "worker_events.sock").touch()
    with container.running():
        assert httpx.get(f"{container.url}/health/ready").status_code == 200


def test_it_writes_below_its_temporary_directory_only(container: Container) -> None:
    container.put(container.render(settings()))
    roots = [container.config, container.scripts, installed_home()]
    before = [written(root) for root in roots]
    with container.running():
        httpx.get(f"{container.url}/openai/v1/models")
    assert [written(root) for root in roots] == before


def test_it_is_unhealthy_before_it_serves(container: Container) -> None:
    assert not container.is_healthy()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["SIGTERM", "SIGQUIT"])
def test_c3_a_stopping_gateway_finishes_its_streams(container: Container, number: signal.Signals) -> None:
    with Simulator([Region("eastus", key=BACKEND_KEY)]) as sim:
        sim.latency("eastus", Latency(per_token_ms=50))
        container.put(container.render(settings(sim.endpoint("eastus"))))
        with (
            container.running() as process,
            httpx.Client(base_url=container.url, headers={"api-key": CLIENT_KEY}, timeout=30) as client,
            client.stream("POST", CHAT_PATH, json={**CHAT, "stream": True}) as response,
        ):
            lines = response.iter_lines()
            next(lines)
            process.send_signal(number)
            assert [line for line in lines if line][-1] == "data: [DONE]"
            assert process.wait(30) == 0


def test_c3_a_stopping_gateway_lets_sessions_go_on(container: Container) -> None:
    with Simulator([Region("eastus", key=BACKEND_KEY)]) as sim:
        container.put(container.render(settings(sim.endpoint("eastus"))))
        url = container.url.replace("http:", "ws:") + "/openai/v1/realtime?model=gpt-realtime"
        with (
            container.running() as process,
            connect(url, additional_headers={"api-key": CLIENT_KEY}, proxy=None) as session,
        ):
            session.recv()
            process.terminate()
            wait_until(lambda: not container.is_healthy())
            session.send('{"type": "session.update", "session": {}}')
            assert "session.updated" in str(session.recv())


def test_c3_a_stopping_gateway_takes_no_new_requests(container: Container) -> None:
    container.put(container.render(settings()))
    with container.running() as process:
        process.terminate()
        process.wait(30)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{container.url}/health/live")


def test_c2_a_new_client_is_known_without_a_restart(container: Container) -> None:
    files = container.render(settings())
    container.put(files)
    with Simulator([Region("eastus", key=BACKEND_KEY)]) as sim:
        more = settings(
            sim.endpoint("eastus"),
            GATEWAY_CLIENT_NAME_1="team-b",
            GATEWAY_CLIENT_KEY_1="client-key-of-team-b-0001",
        )
        with container.running():
            write_changed(container.config, "apisix.yaml", container.render(more)["apisix.yaml"])

            def is_known() -> bool:
                headers = {"api-key": "client-key-of-team-b-0001"}
                return httpx.get(f"{container.url}/openai/v1/models", headers=headers).status_code == 200

            wait_until(is_known, seconds=10)


def test_no_query_reaches_its_error_log(container: Container) -> None:
    container.put(container.render(settings()))
    with container.running():
        httpx.get(f"{container.url}/openai/v1/models", params={"api-key": CLIENT_KEY})
        wait_until(lambda: 'request: "GET /openai/v1/models"' in container.log.read_text())
        assert CLIENT_KEY not in container.log.read_text()


def test_it_ends_when_the_filter_of_its_error_log_ends(container: Container) -> None:
    container.put(container.render(settings()))
    with container.running() as process:
        os.kill(container.filter_of(process), signal.SIGKILL)
        assert process.wait(30) != 0


@pytest.mark.parametrize(
    ("line", "passed_on"),
    [
        (b'401, client: 1.2.3.4, server: _, request: "GET /a?api-key=K HTTP/1.1", host: "b"', b'GET /a"'),
        (b'401, server: _, request: "GET /a HTTP/1.1", host: "b", referrer: "c?d=K"', b'GET /a HTTP/1.1"'),
        (b'401, server: _, request: "GET /a?b="K" HTTP/1.1", host: "b"', b'GET /a"'),
        (b'401, server: _, request: "GET /a?b=\xff\xfeK\xff HTTP/1.1", host: "b"', b'GET /a"'),
        (b'401, server: _, request: "GET /a?b=K', b'GET /a"'),
        (b'401, server: _, request: "?b=K"', b'"'),
        (b'[warn] 7#7: a line that no request caused? "K" is not there', None),
    ],
    ids=["query", "referrer", "quotation marks", "no UTF-8", "cut short", "no method", "no request"],
)
def test_the_error_log_passes_without_queries(line: bytes, passed_on: bytes | None) -> None:
    done = subprocess.run(
        ["bash", str(IMAGE / "filter_error_log.sh")], input=line + b"\n", capture_output=True, check=True
    )
    expected = line if passed_on is None else line[: line.index(b'request: "') + 10] + passed_on
    assert done.stdout == expected + b"\n"


def test_every_missing_file_is_named(container: Container) -> None:
    said = container.refusal()
    assert [name in said for name in ("config.yaml is missing", "apisix.yaml is missing")] == [True, True]


def test_an_empty_file_is_named(container: Container) -> None:
    container.put({**container.render(settings()), "apisix.yaml": ""})
    assert "apisix.yaml is empty" in container.refusal()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_an_unreadable_file_is_named_with_the_user() -> None:
    # Not below pytest's own directory: other users cannot enter that.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        container = make_container(Path(directory))
        container.put(container.render(settings()))
        (container.config / "apisix.yaml").chmod(0o600)
        assert "apisix.yaml is not readable for uid 65534" in container.refusal(user=65534)


def test_a_file_that_was_cut_short_is_refused(container: Container) -> None:
    files = container.render(settings())
    container.put({**files, "apisix.yaml": files["apisix.yaml"].removesuffix("#END\n")})
    assert "does not end with #END" in container.refusal()


def test_broken_yaml_is_refused_with_its_place_and_without_its_text(container: Container) -> None:
    files = container.render(settings())
    container.put({**files, "apisix.yaml": f'routes: ["{BACKEND_KEY}\n#END\n'})
    said = container.refusal()
    assert (bool(re.search(r"not valid YAML at \d+:\d+", said)), BACKEND_KEY in said) == (True, False)


def test_a_configuration_without_backends_is_refused(container: Container) -> None:
    files = container.render(settings())
    routes = files["apisix.yaml"][files["apisix.yaml"].index("routes:") :]
    container.put({**files, "apisix.yaml": routes})
    assert "names no backend" in container.refusal()


def test_files_that_do_not_belong_together_are_refused(container: Container) -> None:
    files = container.render(settings())
    container.put({**files, "config.yaml": files["config.yaml"].replace("- ai-proxy-multi\n", "")})
    assert "uses the plugin ai-proxy-multi, which config.yaml does not load" in container.refusal()


def test_a_bundle_that_is_not_there_is_named(container: Container) -> None:
    files = container.render(settings())
    config = re.sub(r"extra_lua_path: .*", "extra_lua_path: /nowhere/?.lua", files["config.yaml"])
    container.put({**files, "config.yaml": config})
    assert "apisix.extra_lua_path" in container.refusal()


def test_settings_that_apisix_refuses_are_reported_in_its_words(container: Container) -> None:
    files = container.render(settings())
    config = files["config.yaml"].replace(
        "enable_admin: false", "enable_admin: false\n  proxy_mode: sideways"
    )
    container.put({**files, "config.yaml": config})
    assert "proxy_mode" in container.refusal()


def test_all_problems_are_said_at_once(container: Container) -> None:
    files = container.render(settings())
    config = re.sub(r"extra_lua_path: .*", "extra_lua_path: /nowhere/?.lua", files["config.yaml"])
    container.put({"config.yaml": config, "apisix.yaml": "plugin_metadata: []\n"})
    said = container.refusal()
    expected = ["#END", "has no routes", "names no backend", "extra_lua_path"]
    assert [text for text in expected if text not in said] == []
