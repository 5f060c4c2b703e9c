"""Starting and stopping gateways."""

import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from scripts.engines import EngineError, Gateway, choose_engine, start_files
from scripts.engines.base import Instance, Ports
from scripts.engines.embedded import EmbeddedEngine
from scripts.engines.ports import choose_ports, free_ports
from scripts.engines.process import GatewayProcess
from tests.engines.support import apisix_yaml, config_yaml, start, write_plugins

ENVIRONMENT = """
local _M = { version = 0.1, priority = 0, name = "environment", schema = { type = "object" } }
function _M.access()
    return 200, { listed = os.getenv("LISTED"), unlisted = os.getenv("UNLISTED") }
end
return _M
"""
SLOW = """
local _M = { version = 0.1, priority = 0, name = "slow", schema = { type = "object" } }
function _M.access()
    ngx.print("begun ")
    ngx.flush(true)
    ngx.sleep(0.5)
    return 200, "finished"
end
return _M
"""


def answer(gateway: Gateway) -> int:
    return httpx.get(f"{gateway.url}/").status_code


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def ports_of(gateway: Gateway) -> list[int]:
    found = [urlsplit(url).port for url in (gateway.url, gateway.metrics_url, gateway.status_url)]
    return [port for port in found if port]


class TestStopping:
    @pytest.fixture
    def stopped(self, engine: str, tmp_path: Path) -> Gateway:
        with start(tmp_path, engine=engine, plugins={}, stock=("prometheus",), routes=[]) as gateway:
            assert answer(gateway) == 404
        return gateway

    def test_frees_all_ports(self, stopped: Gateway) -> None:
        assert [is_free(port) for port in ports_of(stopped)] == [True] * 3

    def test_removes_the_files(self, stopped: Gateway) -> None:
        assert not stopped.directory.exists()

    def test_twice_is_as_good_as_once(self, stopped: Gateway) -> None:
        stopped.stop()

    def test_lets_a_request_in_flight_finish(self, engine: str, tmp_path: Path) -> None:
        routes = [{"id": "slow", "uri": "/", "plugins": {"slow": {}}}]
        gateway = start(tmp_path, engine=engine, plugins={"slow": SLOW}, routes=routes)
        with httpx.stream("GET", gateway.url) as response:
            pieces = response.iter_raw()
            first = next(pieces)
            stopping = threading.Thread(target=gateway.stop)
            stopping.start()
            rest = b"".join(pieces)
            stopping.join()
        assert first + rest == b"begun finished"


def test_files_are_kept_on_request(tmp_path: Path) -> None:
    files = {"apisix.yaml": apisix_yaml(), "config.yaml": config_yaml(tmp_path, [])}
    home = tmp_path / "instance"
    embedded, _ = choose_engine("embedded")
    start_files(files, engine=embedded, directory=home, keep_files=True).stop()
    assert (home / "logs" / "error.log").exists()


def test_a_gateway_listens_on_the_port_that_was_asked_for(tmp_path: Path) -> None:
    files = {"apisix.yaml": apisix_yaml(), "config.yaml": config_yaml(tmp_path, [])}
    (port,) = free_ports(1)
    embedded, _ = choose_engine("embedded")
    with start_files(files, engine=embedded, port=port) as gateway:
        assert (gateway.url, answer(gateway)) == (f"http://127.0.0.1:{port}", 404)


def test_a_gateway_can_be_started_again_on_its_port(tmp_path: Path) -> None:
    files = {"apisix.yaml": apisix_yaml(), "config.yaml": config_yaml(tmp_path, [])}
    with start_files(files, engine=EmbeddedEngine()) as gateway:
        port = ports_of(gateway)[0]
        # The side that closes a connection first keeps its address for a minute.
        httpx.get(gateway.url, headers={"connection": "close"})
    with start_files(files, engine=EmbeddedEngine(), port=port) as again:
        assert answer(again) == 404


def test_a_port_in_use_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EngineError, match="is in use"):
        choose_ports(taken.getsockname()[1])


def test_a_port_in_use_leaves_no_files_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    files = {"apisix.yaml": apisix_yaml(), "config.yaml": config_yaml(tmp_path, [])}
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EngineError):
        start_files(files, engine=EmbeddedEngine(), port=taken.getsockname()[1])
    assert list(tmp_path.iterdir()) == []


def test_another_gateways_readiness_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    files = {"apisix.yaml": apisix_yaml(), "config.yaml": config_yaml(tmp_path, [])}
    embedded = EmbeddedEngine()
    with start_files(files, engine=embedded) as other:
        ports = replace(choose_ports(), status=ports_of(other)[-1])
        launch = embedded.prepare(Instance(tmp_path / "instance", files, ports))
        process = GatewayProcess(launch, ports.status)
        with pytest.raises(EngineError, match="Address already in use"):
            process.wait_until_ready(30)


def test_lua_sees_only_the_variables_that_the_configuration_lists(engine: str, tmp_path: Path) -> None:
    write_plugins(tmp_path, {"environment": ENVIRONMENT})
    config = yaml.safe_load(config_yaml(tmp_path, ["environment"]))
    config["nginx_config"]["envs"] = ["LISTED"]
    files = {
        "apisix.yaml": apisix_yaml(routes=[{"id": "e", "uri": "/", "plugins": {"environment": {}}}]),
        "config.yaml": yaml.safe_dump(config),
    }
    env = {"LISTED": "yes", "UNLISTED": "no"}
    with start_files(files, engine=choose_engine(engine)[0], env=env) as gateway:
        assert httpx.get(gateway.url).json() == {"listed": "yes"}


class TestFilesAreUsedAsRendered:
    @pytest.fixture
    def given(self, tmp_path: Path) -> dict[str, str]:
        return {"apisix.yaml": apisix_yaml(routes=[]), "config.yaml": config_yaml(tmp_path, [])}

    @pytest.fixture
    def written(self, tmp_path: Path, given: dict[str, str]) -> Path:
        EmbeddedEngine().prepare(Instance(tmp_path / "instance", given, Ports(1, 2, 3)))
        return tmp_path / "instance"

    def test_apisix_yaml_is_the_same_text(self, written: Path, given: dict[str, str]) -> None:
        assert (written / "apisix.yaml").read_text() == given["apisix.yaml"]

    def test_config_yaml_differs_in_its_listeners_only(self, written: Path, given: dict[str, str]) -> None:
        found, expected = (
            yaml.safe_load(text) for text in ((written / "config.yaml").read_text(), given["config.yaml"])
        )
        for config in (found, expected):
            for key in ("node_listen", "enable_reuseport", "status"):
                config["apisix"].pop(key, None)
            config["plugin_attr"]["prometheus"].pop("export_addr", None)
        assert found == expected


def refusal(tmp_path: Path, plugins: dict[str, str], **options: Any) -> EngineError:
    with pytest.raises(EngineError) as caught:
        start(tmp_path, plugins=plugins, **options).stop()
    return caught.value


class TestTheEmbeddedEngineDoesNotStart:
    def test_with_plugins_that_it_does_not_offer_and_names_all_of_them(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, {}, stock=("cors", "prometheus", "limit-count"), routes=[])
        message = "the embedded engine does not offer: cors, limit-count; use --engine docker or apisix"
        assert error.problems == [message]

    def test_with_route_fields_that_it_does_not_offer_and_names_all_of_them(self, tmp_path: Path) -> None:
        routes = [
            {"id": "a", "uri": "/a", "upstream": {"nodes": {"127.0.0.1:1": 1}}},
            {"id": "b", "uri": "/b", "service_id": "s", "host": "example.com"},
        ]
        assert refusal(tmp_path, {}, routes=routes).problems == [
            "route a: upstream is not offered by the embedded engine",
            "route b: host is not offered by the embedded engine",
            "route b: service_id is not offered by the embedded engine",
        ]

    def test_with_a_filter_that_it_does_not_understand(self, tmp_path: Path) -> None:
        conf = {"_meta": {"filter": [["uri", "ipmatch", ["127.0.0.1"]]]}}
        error = refusal(
            tmp_path,
            {"environment": ENVIRONMENT},
            routes=[{"id": "r", "uri": "/", "plugins": {"environment": conf}}],
        )
        assert error.problems == [
            "route r: plugin environment: _meta.filter: operator ipmatch is not offered"
        ]

    def test_with_a_plugin_that_cannot_be_loaded(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, {"bad": 'error("no such luck")'}, routes=[])
        assert "plugin bad cannot be loaded" in str(error)

    def test_with_a_module_hook_that_fails_and_shows_the_log(self, tmp_path: Path) -> None:
        error = refusal(
            tmp_path, {"x/hook": 'error("no such luck")'}, hook="apisix.plugins.x.hook", routes=[]
        )
        assert "no such luck" in str(error)

    def test_and_leaves_no_files_behind(
        self, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
        refusal(tmp_path, {}, stock=("cors",), routes=[])
        assert list(elsewhere.iterdir()) == []


def test_workers_share_one_configuration_and_are_all_ready(tmp_path: Path) -> None:
    with start(tmp_path, plugins={}, workers=3, routes=[]) as gateway:
        assert len(gateway.children) == 3


def test_files_with_keys_are_readable_by_their_owner_only(engine: str, tmp_path: Path) -> None:
    with start(tmp_path, engine=engine, plugins={}, routes=[]) as gateway:
        modes = [(gateway.directory / name).stat().st_mode & 0o077 for name in ("apisix.yaml", "config.yaml")]
    assert modes == [0, 0]
