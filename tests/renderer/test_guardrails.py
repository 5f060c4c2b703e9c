"""Guardrails: plugins in front of the routes below /openai/, each off until it is switched on."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.renderer.support import documents, metadata, problem, problems, route

ENTRA = {
    "ENABLE_ENTRA_AUTH": "true",
    "ENTRA_TENANT_ID": "11111111-2222-3333-4444-555555555555",
    "ENTRA_AUDIENCE": "api://gateway",
    "ENTRA_ALLOWED_APP_IDS": "AAAAAAAA-2222-3333-4444-555555555555,bbbbbbbb-2222-3333-4444-555555555555",
}
EVERYTHING = {
    **ENTRA,
    "ENABLE_CORS": "true",
    "CORS_ALLOW_ORIGINS": "https://app.example.com,https://other.example.com",
    "ENABLE_IP_RESTRICTION": "true",
    "IP_ALLOWLIST": "203.0.113.7,10.0.0.0/8,2001:db8::/32",
    "ENABLE_RATE_LIMIT": "true",
    "RATE_LIMIT_RATE": "10",
    "ENABLE_QUOTA": "true",
    "QUOTA_COUNT": "1000",
    "QUOTA_TIME_WINDOW": "3600",
    "ENABLE_RESPONSE_HEADERS": "true",
    "ENABLE_PROMPT_GUARD": "true",
    "PROMPT_DENY_PATTERNS": "ignore previous,(?<word>secret)",
    "REDIS_HOST": "redis",
    "REDIS_PASSWORD": "redis-password",
    "REDIS_TLS": "true",
    "OTEL_COLLECTOR_ENDPOINT": "http://127.0.0.1:4318",
    "ENABLE_AI_RATE_LIMIT": "true",
    "LOW_LANE_RESERVE_PERCENT": "30",
}
PLUGINS = {
    "cors",
    "ip-restriction",
    "limit-req",
    "limit-count",
    "response-rewrite",
    "azure-openai-prompt-guard",
    "openid-connect",
}


def plugins_of(name: str, **changes: str | None) -> dict[str, Any]:
    plugins: dict[str, Any] = route(name, **changes)["plugins"]
    return plugins


@pytest.mark.parametrize("name", ["inference", "resources"])
def test_no_guardrail_is_on_by_default(name: str) -> None:
    assert not PLUGINS & set(plugins_of(name))


def test_all_guardrails_together_are_accepted_by_the_schemas_of_apisix() -> None:
    assert set(plugins_of("inference", **EVERYTHING)) >= PLUGINS


def test_every_guardrail_stands_before_resources_too() -> None:
    assert set(plugins_of("resources", **EVERYTHING)) >= PLUGINS


@pytest.mark.parametrize("name", ["health-live", "health-ready", "not-found"])
def test_no_guardrail_stands_before_the_gateways_own_answers(name: str) -> None:
    assert set(plugins_of(name, **EVERYTHING)) == {"azure-openai-answer", "prometheus"}


def test_only_the_plugins_in_use_are_loaded() -> None:
    assert not PLUGINS & set(documents()["config.yaml"]["plugins"])
    assert set(documents(**EVERYTHING)["config.yaml"]["plugins"]) >= PLUGINS


@pytest.mark.parametrize(
    ("switch", "missing"),
    [
        ("ENABLE_CORS", ["CORS_ALLOW_ORIGINS"]),
        ("ENABLE_IP_RESTRICTION", ["ENABLE_IP_RESTRICTION"]),
        ("ENABLE_RATE_LIMIT", ["RATE_LIMIT_RATE"]),
        ("ENABLE_QUOTA", ["QUOTA_COUNT", "QUOTA_TIME_WINDOW"]),
        ("ENABLE_PROMPT_GUARD", ["ENABLE_PROMPT_GUARD"]),
        ("ENABLE_ENTRA_AUTH", ["ENTRA_ALLOWED_APP_IDS", "ENTRA_AUDIENCE", "ENTRA_TENANT_ID"]),
    ],
)
def test_a_guardrail_without_its_own_settings_is_wrong(switch: str, missing: list[str]) -> None:
    assert [each.setting for each in problems(**{switch: "true"})] == missing


@pytest.mark.parametrize("switch", ["ENABLE_CORS", "ENABLE_QUOTA", "ENABLE_ENTRA_AUTH"])
def test_the_settings_of_a_guardrail_may_stay_while_it_is_switched_off(switch: str) -> None:
    assert not problems(**{**EVERYTHING, switch: "false"})


@pytest.mark.parametrize(
    ("name", "value", "switch"),
    [
        ("IP_ALLOWLIST", "10.0.0.0/8", "ENABLE_IP_RESTRICTION"),
        ("IP_DENYLIST", "10.0.0.0/8", "ENABLE_IP_RESTRICTION"),
        ("CORS_ALLOW_ORIGINS", "*", "ENABLE_CORS"),
        ("CORS_MAX_AGE", "10", "ENABLE_CORS"),
        ("RATE_LIMIT_RATE", "10", "ENABLE_RATE_LIMIT"),
        ("RATE_LIMIT_BURST", "10", "ENABLE_RATE_LIMIT"),
        ("QUOTA_COUNT", "10", "ENABLE_QUOTA"),
        ("QUOTA_TIME_WINDOW", "10", "ENABLE_QUOTA"),
        ("PROMPT_DENY_PATTERNS", "secret", "ENABLE_PROMPT_GUARD"),
        ("PROMPT_ALLOW_PATTERNS", "secret", "ENABLE_PROMPT_GUARD"),
        ("ENTRA_AUDIENCE", "api://gateway", "ENABLE_ENTRA_AUTH"),
        ("ENTRA_ALLOWED_APP_IDS", "11111111-2222-3333-4444-555555555555", "ENABLE_ENTRA_AUTH"),
        ("AI_RATE_LIMIT_HIGH_LIMIT", "10", "ENABLE_AI_RATE_LIMIT"),
        ("AI_RATE_LIMIT_REJECT_CODE", "429", "ENABLE_AI_RATE_LIMIT"),
    ],
)
def test_a_setting_of_a_guardrail_without_its_switch_is_wrong(name: str, value: str, switch: str) -> None:
    found = problem(name, **{name: value})
    assert found.message == f"has no effect without {switch}"
    assert found.remedy.startswith(f"Set {switch}=true")
    assert not problems(**{switch: "false", name: value})


def test_the_reserve_of_the_low_lane_needs_no_switch() -> None:
    assert not problems(LOW_LANE_RESERVE_PERCENT="30")


def test_a_misspelt_switch_and_the_setting_that_it_leaves_without_effect_are_both_told() -> None:
    found = problems(ENABLE_IP_ALLOWLIST="true", IP_ALLOWLIST="10.0.0.0/8")
    assert [each.setting for each in found] == ["ENABLE_IP_ALLOWLIST", "IP_ALLOWLIST"]


def test_cors_with_credentials_for_everybody_is_wrong() -> None:
    assert problem("CORS_ALLOW_ORIGINS", ENABLE_CORS="1", CORS_ALLOW_ORIGINS="*", CORS_ALLOW_CREDENTIALS="1")


@pytest.mark.parametrize("name", ["CORS_ALLOW_METHODS", "CORS_ALLOW_HEADERS", "CORS_EXPOSE_HEADERS"])
def test_c1_cors_with_credentials_for_everything_is_wrong_because_apisix_would_skip_the_route(
    name: str,
) -> None:
    origin = {"ENABLE_CORS": "1", "CORS_ALLOW_ORIGINS": "https://app.example.com"}
    assert problem(name, **origin, CORS_ALLOW_CREDENTIALS="1", **{name: "*"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CORS_ALLOW_ORIGINS", "https://app.example.com,*"),
        ("CORS_ALLOW_METHODS", "GET,*"),
        ("CORS_ALLOW_HEADERS", "**,authorization"),
        ("CORS_EXPOSE_HEADERS", "*,retry-after"),
    ],
)
def test_a_star_beside_other_items_is_wrong(name: str, value: str) -> None:
    found = problem(name, ENABLE_CORS="false", **{name: value})
    assert found.remedy == "Write * alone, or the items without it"


@pytest.mark.parametrize("origins", ["app.example.com", "https://app.example.com/path", "https://a b"])
def test_an_origin_that_is_none_is_wrong(origins: str) -> None:
    assert problem("CORS_ALLOW_ORIGINS", ENABLE_CORS="true", CORS_ALLOW_ORIGINS=origins)


def test_ip_allow_list_and_deny_list_exclude_each_other() -> None:
    assert problem(
        "IP_DENYLIST", ENABLE_IP_RESTRICTION="1", IP_ALLOWLIST="10.0.0.0/8", IP_DENYLIST="10.1.0.0/16"
    )


def test_a_pattern_that_does_not_compile_is_wrong_and_its_position_is_told() -> None:
    found = problem("PROMPT_DENY_PATTERNS", ENABLE_PROMPT_GUARD="1", PROMPT_DENY_PATTERNS="fine,(open")
    assert "(number 2)" in found.message


def test_patterns_are_those_of_pcre() -> None:
    guard = plugins_of(
        "inference", ENABLE_PROMPT_GUARD="1", PROMPT_DENY_PATTERNS=r"(?<name>a)\h++,[[:alpha:]]"
    )
    assert guard["azure-openai-prompt-guard"]["deny_patterns"] == [r"(?<name>a)\h++", "[[:alpha:]]"]


def test_patterns_with_commas_are_written_as_a_json_list() -> None:
    guard = plugins_of("inference", ENABLE_PROMPT_GUARD="1", PROMPT_DENY_PATTERNS='["a{1,3}", "b"]')
    assert guard["azure-openai-prompt-guard"]["deny_patterns"] == ["a{1,3}", "b"]


@pytest.mark.parametrize("text", [r"\d{3,}", "a{1,3}", "fine,b{,2}"])
def test_a_quantifier_with_a_comma_outside_a_json_list_is_wrong_because_it_would_be_split(text: str) -> None:
    found = problem("PROMPT_DENY_PATTERNS", ENABLE_PROMPT_GUARD="1", PROMPT_DENY_PATTERNS=text)
    assert "JSON list" in found.remedy


@pytest.mark.parametrize("text", ["[]", '[""]', "[1]", '["a", null]'])
def test_a_json_list_of_something_else_than_patterns_is_wrong(text: str) -> None:
    assert problem("PROMPT_ALLOW_PATTERNS", ENABLE_PROMPT_GUARD="1", PROMPT_ALLOW_PATTERNS=text)


def test_a_single_character_class_is_no_json_list() -> None:
    guard = plugins_of("inference", ENABLE_PROMPT_GUARD="1", PROMPT_DENY_PATTERNS="[0-9]")
    assert guard["azure-openai-prompt-guard"]["deny_patterns"] == ["[0-9]"]


@pytest.mark.parametrize("tenant", ["contoso.onmicrosoft.com", "common", "organizations"])
def test_a_tenant_that_no_token_names_so_is_wrong(tenant: str) -> None:
    assert "GUID" in problem("ENTRA_TENANT_ID", **{**ENTRA, "ENTRA_TENANT_ID": tenant}).remedy


def test_rejected_requests_get_429() -> None:
    plugins = plugins_of("inference", **EVERYTHING)
    assert plugins["limit-req"]["rejected_code"] == plugins["limit-count"]["rejected_code"] == 429


def test_replicas_share_their_counts_through_redis() -> None:
    for plugin in ("limit-req", "limit-count"):
        conf = plugins_of("inference", **EVERYTHING)[plugin]
        assert (conf["policy"], conf["redis_host"], conf["redis_ssl"]) == ("redis", "redis", True)


def test_r4_redis_being_down_lets_requests_pass() -> None:
    assert plugins_of("inference", **EVERYTHING)["limit-count"]["allow_degradation"] is True


def test_counts_are_local_without_redis() -> None:
    conf = plugins_of(
        "inference", **{**EVERYTHING, "REDIS_HOST": None, "REDIS_PASSWORD": None, "REDIS_TLS": None}
    )
    assert conf["limit-count"]["policy"] == "local"


def test_a6_a_token_is_checked_for_issuer_audience_and_application() -> None:
    conf = plugins_of("inference", **ENTRA)["openid-connect"]
    tenant = ENTRA["ENTRA_TENANT_ID"]
    assert conf["bearer_only"] is True
    assert conf["claim_validator"]["issuer"]["valid_issuers"] == [
        f"https://login.microsoftonline.com/{tenant}/v2.0",
        f"https://sts.windows.net/{tenant}/",
    ]
    assert conf["client_id"] == "api://gateway"
    assert conf["claim_validator"]["audience"]["match_with_client_id"] is True
    applications = [branch["properties"] for branch in conf["claim_schema"]["anyOf"]]
    assert [list(each) for each in applications] == [["azp"], ["appid"]]
    assert all(len(each[name]["enum"]) == 2 for each in applications for name in each)


def applications(**changes: str | None) -> list[list[str]]:
    """The application ids that each branch of the claims' schema accepts."""
    schema = plugins_of("inference", **{**ENTRA, **changes})["openid-connect"]["claim_schema"]
    return [each["enum"] for branch in schema["anyOf"] for each in branch["properties"].values()]


def test_a6_the_applications_of_clients_are_accepted_beside_the_listed_ones() -> None:
    listed = ["aaaaaaaa-2222-3333-4444-555555555555", "bbbbbbbb-2222-3333-4444-555555555555"]
    of_client = "CCCCCCCC-2222-3333-4444-555555555555"
    assert applications(GATEWAY_CLIENT_APP_ID_0=of_client) == [[*listed, of_client.lower()]] * 2


def test_a6_an_application_that_is_listed_and_a_clients_is_accepted_once() -> None:
    listed = ENTRA["ENTRA_ALLOWED_APP_IDS"].lower().split(",")
    assert applications(GATEWAY_CLIENT_APP_ID_0=listed[1]) == [listed] * 2


def test_a6_no_list_is_needed_when_a_client_has_an_application() -> None:
    of_client = "cccccccc-2222-3333-4444-555555555555"
    found = applications(ENTRA_ALLOWED_APP_IDS=None, GATEWAY_CLIENT_APP_ID_0=of_client)
    assert found == [[of_client]] * 2


def test_a6_a_bearer_that_is_no_token_is_left_to_the_keys() -> None:
    ((name, operator, shape),) = plugins_of("inference", **ENTRA)["openid-connect"]["_meta"]["filter"]
    assert (name, operator) == ("http_authorization", "~~")
    bearers = ("Bearer aaa.bbb.ccc", "bearer aaa.bbb.", "Bearer client-key-0123456789", "Basic aaa.bbb.ccc")
    assert [bool(re.match(shape, bearer)) for bearer in bearers] == [True, True, False, False]


@pytest.mark.parametrize(
    "clients",
    [
        {"GATEWAY_CLIENT_NAME_0": None, "GATEWAY_CLIENT_KEY_0": None},
        {"GATEWAY_CLIENT_KEY_0": None, "GATEWAY_CLIENT_APP_ID_0": "cccccccc-2222-3333-4444-555555555555"},
    ],
    ids=["no client", "no key"],
)
def test_a6_without_keys_every_request_needs_a_token(clients: dict[str, str | None]) -> None:
    assert "_meta" not in plugins_of("inference", **{**ENTRA, **clients})["openid-connect"]


@pytest.mark.parametrize("name", ["inference", "resources"])
def test_a6_the_client_of_a_token_is_found_even_without_keys(name: str) -> None:
    plugins = plugins_of(name, **ENTRA, GATEWAY_CLIENT_NAME_0=None, GATEWAY_CLIENT_KEY_0=None)
    assert plugins["azure-openai-auth"] == {}
    assert plugins["openid-connect"]["set_userinfo_header"] is True


def test_a6_without_clients_the_list_of_clients_is_empty() -> None:
    nobody = {"GATEWAY_CLIENT_NAME_0": None, "GATEWAY_CLIENT_KEY_0": None}
    assert metadata("azure-openai-auth", **{**ENTRA, **nobody})["clients"] == []


def test_a6_a_client_key_in_the_shape_of_a_token_is_wrong() -> None:
    assert problem("GATEWAY_CLIENT_KEY_0", **ENTRA, GATEWAY_CLIENT_KEY_0="aaaaaaaa.bbbbbbbb.cccccccc")


def test_asking_for_tokens_of_an_open_gateway_is_wrong() -> None:
    assert problem("ENABLE_ENTRA_AUTH", **ENTRA, GATEWAY_REQUIRE_AUTH="false")
