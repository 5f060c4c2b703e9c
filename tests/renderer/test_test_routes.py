"""The routes and pools of end-to-end tests."""

from __future__ import annotations

from typing import Any

import pytest

from renderer import render_files, test_routes
from tests.renderer.support import documents, load, metadata

STAGE = {
    f"AZURE_OPENAI_{field}_{index}": value
    for index, name in enumerate(["ptu-backend-1", "payg-backend-1", "payg-backend-2"])
    for field, value in [
        ("NAME", name),
        ("ENDPOINT", f"http://127.0.0.1:800{index}"),
        ("KEY", f"key-of-{name}"),
        ("PRIORITY", "1" if index == 0 else "0"),
    ]
}
E2E = {**STAGE, "GATEWAY_E2E_TEST_MODE": "true"}
PRODUCTION = {name: value.replace("http:", "https:") for name, value in STAGE.items()}

TABLE = {
    "round-robin-simple": "payg-backend-1*1@0 payg-backend-2*1@0",
    "round-robin-simple-v2": "payg-backend-1*1@0 payg-backend-2*1@0",
    "round-robin-weighted": "payg-backend-1*2@0 payg-backend-2*1@0",
    "round-robin-weighted-v2": "payg-backend-1*2@0 payg-backend-2*1@0",
    "retry-with-payg": "ptu-backend-1*1@1 payg-backend-1*1@0",
    "retry-with-payg-v2": "ptu-backend-1*1@1 payg-backend-1*1@0",
    "latency-routing": "payg-backend-1*1@1 payg-backend-2*1@0",
    "usage-tracking": "payg-backend-1*1@0",
    "prioritization-token-calculating": "ptu-backend-1*1@0",
    "prioritization-token-tracking": "ptu-backend-1*1@0",
    "latency-preference": "payg-backend-1*1@0 payg-backend-2*1@0",
    "throttle-storm": "ptu-backend-1*1@0 payg-backend-1*1@0 payg-backend-2*1@0",
    "region-outage": "ptu-backend-1*1@0 payg-backend-1*1@0 payg-backend-2*1@0",
    "stream-faults": "ptu-backend-1*1@0 payg-backend-1*1@0 payg-backend-2*1@0",
    "key-rotation": "ptu-backend-1*1@0 payg-backend-1*1@0 payg-backend-2*1@0",
    "responses-affinity": "ptu-backend-1*1@0 payg-backend-1*1@0 payg-backend-2*1@0",
    "noisy-neighbour": "ptu-backend-1*1@0 payg-backend-1*1@0 payg-backend-2*1@0",
    "scalability": "ptu-backend-1*1@0 payg-backend-1*1@0 payg-backend-2*1@0",
    "scalability-burst": "ptu-backend-1*1@0 payg-backend-1*1@0 payg-backend-2*1@0",
}


def routes(**settings: str | None) -> dict[str, Any]:
    """The rendered routes by id."""
    return {route["id"]: route for route in documents(**settings)["apisix.yaml"]["routes"]}


def pools(**settings: str | None) -> dict[str, Any]:
    """The rendered pools by name."""
    return {pool["name"]: pool for pool in metadata("azure-openai-gateway", **settings)["pools"]}


def test_each_prefix_has_its_backends_weights_and_priorities() -> None:
    shown = {
        name: " ".join(f"{each['name']}*{each['weight']}@{each['priority']}" for each in pool["backends"])
        for name, pool in pools(**E2E).items()
    }
    assert shown == TABLE


def test_b7_only_the_pool_of_latency_preference_balances_by_latency() -> None:
    algorithms = {name: pool["balancer"]["algorithm"] for name, pool in pools(**E2E).items()}
    assert algorithms == dict.fromkeys(TABLE, "roundrobin") | {"latency-preference": "latency"}


@pytest.mark.parametrize("prefix", TABLE)
def test_a_prefix_has_the_routes_of_production_below_it(prefix: str) -> None:
    found = routes(**E2E)
    for id in ("inference", "misspelt-inference", "resources"):
        ours, production = found[f"{prefix}-{id}"], found[id]
        assert ours["uri"] == f"/{prefix}{production['uri']}"
        assert (ours["priority"], ours.get("methods")) == (
            production["priority"],
            production.get("methods"),
        )
        assert set(ours["plugins"]) >= set(production["plugins"])


@pytest.mark.parametrize("prefix", TABLE)
def test_a_prefix_leads_to_the_pool_of_that_name(prefix: str) -> None:
    found = routes(**E2E)
    for id in (f"{prefix}-inference", f"{prefix}-resources"):
        conf = found[id]["plugins"]["azure-openai-gateway"]
        assert (conf["pool"], conf["path_prefix"]) == (prefix, f"/{prefix}")


def plugins(**settings: str | None) -> dict[str, set[str]]:
    """The plugins of tests that each rendered route has, by its id."""
    ours = {"azure-openai-test-headers", "azure-openai-test-limits"}
    return {id: set(route["plugins"]) & ours for id, route in routes(**settings).items()}


def test_only_routes_of_tests_have_the_headers_of_tests() -> None:
    having = {id for id, names in plugins(**E2E).items() if "azure-openai-test-headers" in names}
    assert having == {f"{prefix}-{id}" for prefix in TABLE for id in ("inference", "resources")}


def test_only_one_route_counts_limits_by_itself() -> None:
    having = [id for id, names in plugins(**E2E).items() if "azure-openai-test-limits" in names]
    assert having == ["prioritization-token-calculating-inference"]


def test_l3_only_one_pool_has_a_reserve_by_what_backends_report() -> None:
    limits = {name: pool["limits"] for name, pool in pools(**E2E).items() if "limits" in pool}
    assert list(limits) == ["prioritization-token-tracking"]
    found = limits["prioritization-token-tracking"]
    assert (found["low_lane_reserve_percent"], found["tokens"]["gpt-35-turbo-100k-token"]) == (30, 100_000)
    assert (found["requests"]["gpt-35-turbo-100k-token"], found["requests"]["embedding"]) == (100, 10)


def test_production_loads_no_plugin_of_tests() -> None:
    loaded = documents(**PRODUCTION)["config.yaml"]["plugins"]
    assert not [name for name in loaded if "test" in name]


def test_production_has_no_pools_and_no_routes_of_tests() -> None:
    assert "pools" not in metadata("azure-openai-gateway", **PRODUCTION)
    assert sorted(routes(**PRODUCTION)) == [
        "health-live",
        "health-ready",
        "inference",
        "misspelt-inference",
        "not-found",
        "resources",
    ]


def test_the_mode_changes_no_byte_of_production_but_what_it_adds() -> None:
    production = render_files(load(**PRODUCTION))["apisix.yaml"].replace("https:", "http:").splitlines()
    e2e = iter(render_files(load(**E2E))["apisix.yaml"].replace("https:", "http:").splitlines())
    assert all(line in e2e for line in production)  # in that order: each search goes on behind the last one


def test_without_the_backends_of_the_stage_the_mode_renders_what_production_has() -> None:
    assert render_files(load(GATEWAY_E2E_TEST_MODE="true")) == render_files(load())


def test_a_pool_needs_all_of_its_backends() -> None:
    only_payg_1 = {
        name.replace("_1", "_0"): value for name, value in E2E.items() if not name.endswith(("_0", "_2"))
    }
    assert list(pools(**only_payg_1)) == ["usage-tracking"]


def test_names_are_those_of_configured_backends_only() -> None:
    names = {member.name for pool in test_routes.POOLS for member in pool.members}
    assert names == {"ptu-backend-1", "payg-backend-1", "payg-backend-2"}
