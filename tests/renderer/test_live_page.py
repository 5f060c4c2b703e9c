"""Settings of the live page: who may watch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.renderer.support import documents, problem, problems

KEYS = {"GATEWAY_LIVE_PAGE": "keys"}


def routes(**settings: str | None) -> dict[str, Any]:
    """The plugins of the page's two routes, by uri."""
    found = documents(**settings)["apisix.yaml"]["routes"]
    return {route["uri"]: route["plugins"] for route in found if route["uri"].startswith("/live")}


def dictionaries(**settings: str | None) -> dict[str, str]:
    found: dict[str, str] = documents(**settings)["config.yaml"]["nginx_config"]["http"][
        "custom_lua_shared_dict"
    ]
    return found


def test_there_is_no_page_unless_it_is_asked_for() -> None:
    assert (routes(), "azure-openai-live" in dictionaries()) == ({}, False)


def test_the_page_has_memory_of_its_own() -> None:
    assert dictionaries(GATEWAY_LIVE_PAGE="local")["azure-openai-live"] == "4m"


def test_on_this_machine_nobody_signs_in() -> None:
    assert all("azure-openai-auth" not in plugins for plugins in routes(GATEWAY_LIVE_PAGE="local").values())


def test_elsewhere_the_events_need_a_key_and_the_page_itself_does_not() -> None:
    found = routes(**KEYS)
    assert ["azure-openai-auth" in found[uri] for uri in ("/live", "/live/events")] == [False, True]


def test_only_named_clients_see_the_requests_of_all() -> None:
    plugins = routes(**KEYS, GATEWAY_LIVE_OPERATORS="team-a")["/live/events"]
    assert plugins["azure-openai-live"]["operators"] == ["team-a"]


@pytest.mark.parametrize("uri", ["/live", "/live/events"])
def test_restricted_addresses_are_kept_from_the_page_too(uri: str) -> None:
    found = routes(**KEYS, ENABLE_IP_RESTRICTION="true", IP_ALLOWLIST="10.0.0.0/8")
    assert found[uri]["ip-restriction"] == {"whitelist": ["10.0.0.0/8"]}


def test_no_other_site_reads_the_events_whatever_cors_allows() -> None:
    assert "cors" not in routes(**KEYS, ENABLE_CORS="true", CORS_ALLOW_ORIGINS="*")["/live/events"]


def test_a_page_behind_keys_needs_clients_that_sign_in() -> None:
    settings = {"GATEWAY_REQUIRE_AUTH": "false", "GATEWAY_CLIENT_NAME_0": None, "GATEWAY_CLIENT_KEY_0": None}
    found = problem("GATEWAY_LIVE_PAGE", **KEYS, **settings)
    assert "GATEWAY_REQUIRE_AUTH=true" in found.remedy


def test_an_operator_is_a_client() -> None:
    found = problem("GATEWAY_LIVE_OPERATORS", **KEYS, GATEWAY_LIVE_OPERATORS="team-b")
    assert "team-a" in found.remedy


@pytest.mark.parametrize("access", ["off", "local"])
def test_operators_have_no_effect_without_keys(access: str) -> None:
    [found] = problems(GATEWAY_LIVE_PAGE=access, GATEWAY_LIVE_OPERATORS="team-a")
    assert "GATEWAY_LIVE_PAGE=keys" in found.remedy
