"""config.yaml and otel-collector.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from renderer import render_files, sizing
from tests.renderer.support import BACKEND_KEY, CLIENT_KEY, documents, load
from tests.renderer.test_guardrails import EVERYTHING

INSIGHTS = {"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=x"}


def config(**changes: str | None) -> dict[str, Any]:
    document: dict[str, Any] = documents(**changes)["config.yaml"]
    return document


def collector(**changes: str | None) -> dict[str, Any]:
    document: dict[str, Any] = documents(**changes)["otel-collector.yaml"]
    return document


def test_the_gateway_is_a_data_plane_that_reads_a_file() -> None:
    deployment = config()["deployment"]
    assert deployment == {"role": "data_plane", "role_data_plane": {"config_provider": "yaml"}}


def test_there_is_no_admin_api_and_no_control_api() -> None:
    assert (config()["apisix"]["enable_admin"], config()["apisix"]["enable_control"]) == (False, False)


def test_the_ports() -> None:
    document = config()
    assert document["apisix"]["node_listen"] == [{"ip": "0.0.0.0", "port": 9080}]
    assert document["apisix"]["status"]["port"] == 7085
    assert document["plugin_attr"]["prometheus"]["export_addr"]["port"] == 9091


def test_the_bundle_is_on_the_lua_path() -> None:
    assert config()["apisix"]["extra_lua_path"] == "/bundle/?.lua"


def test_no_secret_is_in_config_yaml_or_otel_collector_yaml() -> None:
    settings = load(**EVERYTHING, APPLICATIONINSIGHTS_CONNECTION_STRING="InstrumentationKey=top-secret")
    files = render_files(settings)
    for secret in (BACKEND_KEY, CLIENT_KEY, "redis-password", "top-secret"):
        assert secret not in files["config.yaml"] + files["otel-collector.yaml"]


def test_the_environment_that_lua_reads_is_let_through() -> None:
    envs = config()["nginx_config"]["envs"]
    assert set(envs) >= {
        *("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"),
        *("AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST", "AZURE_POD_IDENTITY_AUTHORITY_HOST"),
    }


@pytest.mark.parametrize("mode", ["prod", "test", "dev"])
def test_the_access_log_has_no_query(mode: str) -> None:
    log_format = config(GATEWAY_LOG_MODE=mode)["nginx_config"]["http"]["access_log_format"]
    assert not re.search(r"\$(request|request_uri|args|query_string)\b", log_format)


@pytest.mark.parametrize("mode", ["prod", "test"])
def test_o2_the_access_log_is_the_gateways_own_record_where_machines_read_it(mode: str) -> None:
    http = config(GATEWAY_LOG_MODE=mode)["nginx_config"]["http"]
    assert (http["access_log_format"], http["access_log_format_escape"]) == ("$azure_openai_line", "none")


def test_the_access_log_is_readable_at_once_in_development() -> None:
    http = config(GATEWAY_LOG_MODE="dev")["nginx_config"]["http"]
    assert "$uri $status" in http["access_log_format"]
    assert http["access_log_buffer"] == 1


def test_the_client_address_is_believed_of_the_configured_proxies_only() -> None:
    http = config(GATEWAY_TRUSTED_PROXIES="10.1.0.0/16")["nginx_config"]["http"]
    assert (http["real_ip_header"], http["real_ip_from"]) == ("X-Forwarded-For", ["10.1.0.0/16"])


def test_t4_a_client_that_goes_away_is_noticed() -> None:
    assert "lua_check_client_abort on;" in config()["nginx_config"]["http_server_configuration_snippet"]


def test_t1_nothing_is_buffered() -> None:
    snippet = config()["nginx_config"]["http_server_configuration_snippet"]
    assert "proxy_buffering off;" in snippet
    assert "proxy_request_buffering off;" in snippet


def test_c3_a_stopping_gateway_gives_answers_as_long_as_they_may_take() -> None:
    nginx = config(AI_PROXY_READ_TIMEOUT_MS="120500")["nginx_config"]
    assert nginx["worker_shutdown_timeout"] == "121s"


def test_the_body_limit_holds_everywhere() -> None:
    files = documents(MAX_REQUEST_BODY_MB="8")
    assert files["config.yaml"]["nginx_config"]["http"]["client_max_body_size"] == "8m"
    plugins = [route["plugins"].get("azure-openai-gateway") for route in files["apisix.yaml"]["routes"]]
    assert [conf["max_req_body_size"] for conf in plugins if conf] == [8 * 1024 * 1024] * 2


def test_shared_dictionaries_grow_with_backends_and_clients() -> None:
    small = sizing.shared_dictionaries(load())
    many = {
        f"GATEWAY_CLIENT_{field}_{n}": f"client-{field.lower()}-number-{n}"
        for n in range(1, 2000)
        for field in ("NAME", "KEY")
    }
    large = sizing.shared_dictionaries(load(**many))
    assert set(small) == {
        "azure-openai-availability",
        "azure-openai-unproven",
        "azure-openai-ephemeral",
        "azure-openai-sightings",
        "azure-openai-identity",
        "azure-openai-conversations",
        "azure-openai-hints",
        "azure-openai-items",
        "azure-openai-ownership",
        "azure-openai-limits",
        "azure-openai-metrics",
        "azure-openai-budgets",
    }
    assert int(large["azure-openai-limits"][:-1]) > int(small["azure-openai-limits"][:-1])


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_cpu_limit_of_the_container(files: dict[str, str], cpus: float | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert sizing.cgroup_cpus(tmp_path) == cpus


def test_configured_workers_win_over_the_cpu_limit() -> None:
    assert config(GATEWAY_WORKER_PROCESSES="7")["nginx_config"]["worker_processes"] == 7


GIB = 1024**3


@pytest.mark.parametrize(
    ("memory", "files", "workers", "expected"),
    [
        pytest.param(1 * GIB, 1048576, 1, (16384, 32768), id="the default replica carries 8,192 streams"),
        pytest.param(2 * GIB, 1048576, 2, (16384, 32768), id="workers share the memory"),
        pytest.param(2 * GIB, 20000, 1, (19936, 20000), id="no more than files may be open"),
        pytest.param(64 * GIB, 1048576, 1, (65535, 131070), id="no more than a worker can use"),
        pytest.param(GIB // 64, 1048576, 4, (1024, 2048), id="no fewer than nginx expects"),
    ],
)
def test_a_workers_connections_follow_the_containers_limits(
    memory: int, files: int, workers: int, expected: tuple[int, int]
) -> None:
    sized = sizing.connections_for(memory, files, workers)
    assert (sized.connections, sized.files) == expected


def test_ten_thousand_streams_fit_into_two_gibibytes() -> None:
    assert sizing.connections_for(2 * GIB, 1048576, 1).connections >= 2 * 10_000


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "1073741824\n"}, GIB),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "1073741824\n"}, GIB),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({}, None),
    ],
)
def test_the_memory_limit_of_the_container(files: dict[str, str], limit: int | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert sizing.cgroup_memory(tmp_path) == limit


def test_the_limits_are_rendered() -> None:
    nginx = config()["nginx_config"]
    assert nginx["event"]["worker_connections"] >= 1
    assert nginx["worker_rlimit_nofile"] >= nginx["event"]["worker_connections"]


def test_the_collector_shows_telemetry_when_it_has_nowhere_to_send_it() -> None:
    pipelines = collector()["service"]["pipelines"]
    assert [pipeline["exporters"] for pipeline in pipelines.values()] == [["debug"]] * 3


def test_traces_go_to_application_insights_with_the_connection_string_of_the_environment() -> None:
    document = collector(**INSIGHTS)
    exporter = document["exporters"]["azuremonitor"]
    assert exporter["connection_string"] == "${env:APPLICATIONINSIGHTS_CONNECTION_STRING}"
    assert (exporter["spaneventsenabled"], exporter["sending_queue"]["enabled"]) == (True, True)
    assert document["service"]["pipelines"]["traces"]["exporters"] == ["azuremonitor"]


def test_traces_go_to_application_insights_as_the_managed_identity() -> None:
    document = collector(**INSIGHTS, AZURE_CLIENT_ID="id-1")
    assert document["exporters"]["azuremonitor"]["auth"] == {"authenticator": "azureauth"}
    assert document["extensions"]["azureauth"] == {
        "managed_identity": {"client_id": "id-1"},
        "scopes": ["https://monitor.azure.com/.default"],
    }
    assert document["service"]["extensions"] == ["health_check", "azureauth"]


@pytest.mark.parametrize("metrics", [{}, {"AZURE_MONITOR_METRICS_ENDPOINT": "https://x/y"}])
def test_without_a_client_id_the_connection_string_alone_goes_with_traces(metrics: dict[str, str]) -> None:
    assert "auth" not in collector(**INSIGHTS, **metrics)["exporters"]["azuremonitor"]


@pytest.mark.parametrize("changes", [INSIGHTS, {"AZURE_CLIENT_ID": "id-1"}])
def test_nobody_signs_in_where_nothing_asks_for_it(changes: dict[str, str]) -> None:
    document = collector(**changes)
    assert set(document["extensions"]) == set(document["service"]["extensions"]) == {"health_check"}


def test_metrics_go_to_the_workspace_as_the_managed_identity() -> None:
    document = collector(
        AZURE_MONITOR_METRICS_ENDPOINT="https://dce.example.com/w?x=1", AZURE_CLIENT_ID="id-1"
    )
    assert document["exporters"]["prometheus_remote_write"]["http"] == {
        "endpoint": "https://dce.example.com/w?x=1",
        "auth": {"authenticator": "azureauth"},
    }
    identity = document["extensions"]["azureauth"]
    assert identity["managed_identity"]["client_id"] == "id-1"
    assert identity["scopes"] == ["https://monitor.azure.com/.default"]
    assert document["service"]["extensions"] == ["health_check", "azureauth"]


def test_the_collector_expands_nothing_in_a_value() -> None:
    text = render_files(load(OTEL_SERVICE_NAME="${env:PATH}"))["otel-collector.yaml"]
    assert "$${env:PATH}" in text


def test_the_collector_reads_the_gateways_metrics_as_often_as_configured() -> None:
    document = collector(PROMETHEUS_SCRAPE_INTERVAL_SECONDS="5")
    (job,) = document["receivers"]["prometheus"]["config"]["scrape_configs"]
    assert (job["scrape_interval"], job["scrape_timeout"]) == ("5s", "5s")


def test_every_component_of_a_pipeline_is_configured() -> None:
    for changes in (
        {},
        INSIGHTS,
        {"AZURE_MONITOR_METRICS_ENDPOINT": "https://x/y"},
    ):
        document = collector(**changes)
        for pipeline in document["service"]["pipelines"].values():
            for kind in ("receivers", "processors", "exporters"):
                assert set(pipeline[kind]) <= set(document[kind])
