"""Settings of the end-to-end stage: the preferred backends and the config API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.renderer.support import documents, metadata, problem, problems
from tests.renderer.test_test_routes import E2E

NAMES = "payg-backend-1", "payg-backend-2"
TOKEN = "token-of-the-config-api"


def order(pool: str, **settings: str | None) -> list[str]:
    """The backends of a pool, the preferred ones first."""
    [found] = [
        each for each in metadata("azure-openai-gateway", **(E2E | settings))["pools"] if each["name"] == pool
    ]
    return [member["name"] for member in sorted(found["backends"], key=lambda each: -each["priority"])]


def route(**settings: str | None) -> Any:
    found = documents(**settings)["apisix.yaml"]["routes"]
    return next((each["plugins"] for each in found if each["id"] == "config-api"), None)


@pytest.mark.parametrize(
    ("preferred", "expected"),
    [
        (None, ["payg-backend-1", "payg-backend-2"]),
        ("payg-backend-1,payg-backend-2", ["payg-backend-1", "payg-backend-2"]),
        ("payg-backend-2,payg-backend-1", ["payg-backend-2", "payg-backend-1"]),
        ("payg-backend-2", ["payg-backend-2", "payg-backend-1"]),
        ("ptu-backend-1,payg-backend-2", ["payg-backend-2", "payg-backend-1"]),
        ("payg-backend-2,payg-backend-2", ["payg-backend-2", "payg-backend-1"]),
    ],
)
def test_preferred_backends_are_asked_in_their_order(preferred: str | None, expected: list[str]) -> None:
    assert order("latency-routing", GATEWAY_E2E_PREFERRED_BACKENDS=preferred) == expected


def test_the_preference_concerns_one_pool_only() -> None:
    def others(preferred: str | None) -> list[Any]:
        pools = metadata("azure-openai-gateway", **E2E, GATEWAY_E2E_PREFERRED_BACKENDS=preferred)["pools"]
        return [pool for pool in pools if pool["name"] != "latency-routing"]

    assert others("payg-backend-2") == others(None)


def test_a_preferred_backend_must_exist() -> None:
    found = problem("GATEWAY_E2E_PREFERRED_BACKENDS", **E2E, GATEWAY_E2E_PREFERRED_BACKENDS="payg-backend-3")
    assert "'payg-backend-3'" in found.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_E2E_PREFERRED_BACKENDS", "my-eastus"),
        ("CONFIG_API_PORT", "9000"),
        ("CONFIG_API_TOKEN", TOKEN),
    ],
)
def test_in_production_these_settings_are_errors(name: str, value: str) -> None:
    assert "GATEWAY_E2E_TEST_MODE" in problem(name, **{name: value}).message


@pytest.mark.parametrize("token", ["short", "with blanks in between"])
def test_a_weak_or_broken_token_is_an_error(token: str) -> None:
    assert token not in str(problem("CONFIG_API_TOKEN", **E2E, CONFIG_API_TOKEN=token))


def test_nobody_changes_the_configuration_without_signing_in() -> None:
    open_gateway: dict[str, str | None] = {**E2E, "GATEWAY_REQUIRE_AUTH": "false"}
    assert problems(**open_gateway) == []
    assert "everybody" in problem("CONFIG_API_TOKEN", **open_gateway, CONFIG_API_TOKEN=TOKEN).message


def test_the_helper_signs_clients_in_and_knows_the_config_api() -> None:
    plugins = route(**E2E, CONFIG_API_TOKEN=TOKEN, CONFIG_API_PORT="9123")
    assert plugins["azure-openai-config-api"] == {"port": 9123, "token": TOKEN}
    assert plugins["azure-openai-gateway"] == {"kind": "helper"}
    assert "azure-openai-auth" in plugins


@pytest.mark.parametrize("settings", [{}, E2E], ids=["production", "no token"])
def test_without_a_token_there_is_no_helper(settings: dict[str, str]) -> None:
    assert route(**settings) is None
