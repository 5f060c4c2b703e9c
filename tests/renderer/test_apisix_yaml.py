"""apisix.yaml: routes and metadata."""

from __future__ import annotations

import pytest
import yaml

from renderer import render_files
from tests.renderer.support import documents, load, metadata, route


def test_the_file_ends_with_the_mark_that_apisix_waits_for() -> None:
    assert render_files(load())["apisix.yaml"].endswith("\n#END\n")


def test_the_same_settings_give_the_same_bytes() -> None:
    assert render_files(load()) == render_files(load())


def test_s1_inference_runs_through_the_pool_driver_with_one_instance() -> None:
    proxy = route("inference")["plugins"]["ai-proxy-multi"]
    assert [instance["provider"] for instance in proxy["instances"]] == ["azure-openai-pool"]
    assert "fallback_strategy" not in proxy


def test_s2_everything_else_below_openai_is_passed_through() -> None:
    resources = route("resources")
    assert (resources["uri"], resources["priority"]) == ("/openai/*", 0)
    assert "azure-openai-passthrough" in resources["plugins"]
    assert "methods" not in resources


def test_s4_whatever_no_route_takes_is_not_found() -> None:
    other = route("not-found")
    assert (other["uri"], other["priority"]) == ("/*", -10)
    assert other["plugins"]["azure-openai-answer"] == {"answer": "not-found"}


def test_o1_every_route_is_counted_by_apisix() -> None:
    items = documents(
        AZURE_OPENAI_SURFACES_0="openai,anthropic,inference",
        GATEWAY_LIVE_PAGE="local",
        GATEWAY_E2E_TEST_MODE="true",
    )["apisix.yaml"]
    assert all(each["plugins"]["prometheus"] == {"prefer_name": True} for each in items["routes"])


@pytest.mark.parametrize("name", ["live", "ready"])
def test_s5_health_has_routes_of_its_own(name: str) -> None:
    health = route(f"health-{name}")
    assert health["plugins"]["azure-openai-answer"]["answer"] == name
    assert health["uri"] == f"/health/{name}"


def test_a5_both_openai_routes_ask_for_authentication() -> None:
    assert all("azure-openai-auth" in route(name)["plugins"] for name in ("inference", "resources"))


def test_an_open_gateway_asks_for_none() -> None:
    items = documents(GATEWAY_REQUIRE_AUTH="false")["apisix.yaml"]
    assert all("azure-openai-auth" not in each["plugins"] for each in items["routes"])


def test_the_backend_numbered_n_is_at_position_n() -> None:
    many = {f"AZURE_OPENAI_ENDPOINT_{n}": f"https://r{n}.openai.azure.com" for n in range(12)}
    keys = {f"AZURE_OPENAI_KEY_{n}": f"key-{n}" for n in range(12)}
    backends = metadata("azure-openai-gateway", **many, **keys)["backends"]
    assert [backend["key"] for backend in backends] == [f"key-{n}" for n in range(12)]


def test_a_backend_as_the_plugins_read_it() -> None:
    (backend,) = metadata(
        "azure-openai-gateway",
        AZURE_OPENAI_NAME_0="eastus",
        AZURE_OPENAI_REGION_0="eastus",
        AZURE_OPENAI_WEIGHT_0="3",
        AZURE_OPENAI_PRIORITY_0="-1",
        AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o=my-gpt4o",
    )["backends"]
    assert backend == {
        "name": "eastus",
        "endpoint": "https://my-eastus.openai.azure.com",
        "weight": 3,
        "priority": -1,
        "region": "eastus",
        "surfaces": ["openai"],
        "deployments": {"gpt-4o": "my-gpt4o"},
        "auth": "key",
        "key": "backend-key-0123456789",
        "credential_variable": "AZURE_OPENAI_KEY_0",
    }


def test_a_backend_with_managed_identity_has_no_key_even_when_one_is_set() -> None:
    (backend,) = metadata(
        "azure-openai-gateway", AZURE_OPENAI_AUTH_0="managed-identity", AZURE_OPENAI_CLIENT_ID_0="some-id"
    )["backends"]
    assert "key" not in backend
    assert backend["credential_variable"] == "AZURE_OPENAI_AUTH_0"
    assert backend["client_id"] == "some-id"
    assert backend["token_scopes"] == {"openai": "https://cognitiveservices.azure.com/.default"}


def test_unset_options_are_left_to_the_plugins() -> None:
    conf = metadata("azure-openai-gateway")
    assert not {"home_backend", "limits", "redis"} & set(conf)
    assert "max_attempts" not in conf["failover"]


def test_l2_limits_of_the_lanes() -> None:
    limits = metadata("azure-openai-gateway", ENABLE_AI_RATE_LIMIT="true")["limits"]
    assert limits == {
        "strategy": "total_tokens",
        "window_seconds": 60,
        "high_limit": 200,
        "low_limit": 20,
        "reject_code": 503,
        "reject_message": "rate limited",
        "low_lane_reserve_percent": 0,
    }


def test_l3_the_reserve_works_without_the_limits() -> None:
    limits = metadata("azure-openai-gateway", LOW_LANE_RESERVE_PERCENT="30")["limits"]
    assert limits == {"low_lane_reserve_percent": 30}


def test_redis_reaches_the_plugins() -> None:
    conf = metadata("azure-openai-gateway", REDIS_HOST="cache", REDIS_PASSWORD="p", REDIS_TLS="yes")
    assert conf["redis"] == {"host": "cache", "port": 6379, "password": "p", "tls": True}


def test_prices_of_the_settings_override_the_shipped_ones() -> None:
    prices = metadata("azure-openai-gateway", MODEL_PRICING='{"gpt-4o": {"prompt": 1}}')["pricing"]
    assert prices["gpt-4o"] == {"prompt": 1, "cached": 1, "completion": 0}
    assert prices["gpt-4o-mini"]["prompt"] == 0.15


def test_records_and_traces_are_sent_only_with_a_collector() -> None:
    assert "telemetry" not in metadata("azure-openai-gateway")
    conf = metadata("azure-openai-gateway", OTEL_COLLECTOR_ENDPOINT="http://127.0.0.1:4318")["telemetry"]
    assert conf == {
        "collector_endpoint": "http://127.0.0.1:4318",
        "service_name": "azure-openai-gateway",
        "sample_rate": 0.1,
        "slow_first_token_ms": 30000,
    }


@pytest.mark.parametrize(
    "value",
    [
        "${{HOME}}",
        "$${{x}}",
        "a: b",
        "# no comment",
        'it\'s "quoted"',
        "\\u0024 \\ ",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "é ü 漢字 😀",
        "\x85\u2028\ufeff",
        "- x",
        "null",
        "!!python/object:os.system",
        "&anchor *alias",
    ],
)
def test_a_value_arrives_as_it_was_written(value: str) -> None:
    password = f"x{value}x"
    text = render_files(load(REDIS_HOST="redis", REDIS_PASSWORD=password))["apisix.yaml"]
    assert "${{" not in text
    assert yaml.safe_load(text)["plugin_metadata"][0]["redis"]["password"] == password
