"""Clients: GATEWAY_CLIENT_<FIELD>_<N>."""

from __future__ import annotations

import hashlib

import pytest

from tests.renderer.support import CLIENT_KEY, load, metadata, problem, problems

APP_ID = "aaaaaaaa-2222-3333-4444-555555555555"
ENTRA = {
    "ENABLE_ENTRA_AUTH": "true",
    "ENTRA_TENANT_ID": "11111111-2222-3333-4444-555555555555",
    "ENTRA_AUDIENCE": "api://gateway",
}


def test_a2_the_rendered_file_holds_the_digest_of_a_key_only() -> None:
    (client,) = metadata("azure-openai-auth")["clients"]
    assert client == {"name": "team-a", "key_sha256": [hashlib.sha256(CLIENT_KEY.encode()).hexdigest()]}


def test_a2_both_keys_of_a_client_are_live() -> None:
    settings = load(GATEWAY_CLIENT_KEY_SECONDARY_0="second-key-0123456789")
    assert len(settings.clients[0].key_digests) == 2


def test_a5_no_client_with_authentication_on_is_wrong() -> None:
    found = problem("GATEWAY_CLIENT_KEY_0", GATEWAY_CLIENT_NAME_0=None, GATEWAY_CLIENT_KEY_0=None)
    assert "GATEWAY_REQUIRE_AUTH=false" in found.remedy


def test_a5_no_client_is_fine_when_authentication_is_switched_off_explicitly() -> None:
    assert not problems(GATEWAY_CLIENT_NAME_0=None, GATEWAY_CLIENT_KEY_0=None, GATEWAY_REQUIRE_AUTH="false")


def test_a7_limits_deployments_and_lane_are_optional() -> None:
    (client,) = metadata(
        "azure-openai-auth",
        GATEWAY_CLIENT_DEPLOYMENTS_0="gpt-4o,embeddings",
        GATEWAY_CLIENT_TOKENS_PER_MINUTE_0="1000",
        GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0="60",
        GATEWAY_CLIENT_LANE_0="low",
    )["clients"]
    del client["key_sha256"]
    assert client == {
        "name": "team-a",
        "deployments": ["gpt-4o", "embeddings"],
        "tokens_per_minute": 1000,
        "requests_per_minute": 60,
        "lane": "low",
    }


def test_a7_budgets_reach_the_plugin() -> None:
    (client,) = metadata(
        "azure-openai-auth",
        GATEWAY_CLIENT_TOKENS_PER_HOUR_0="1000",
        GATEWAY_CLIENT_TOKENS_PER_MONTH_0="50000000000",
        GATEWAY_CLIENT_USD_PER_DAY_0="12.50",
    )["clients"]
    assert client["budgets"] == [
        {"unit": "tokens", "period": "hour", "limit": 1000},
        {"unit": "tokens", "period": "month", "limit": 50_000_000_000},
        {"unit": "usd", "period": "day", "limit": 12.5},
    ]


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e30", "10 USD", "$10", "0.001"])
def test_a7_money_that_is_no_amount_is_wrong(text: str) -> None:
    assert problem("GATEWAY_CLIENT_USD_PER_DAY_0", GATEWAY_CLIENT_USD_PER_DAY_0=text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many"])
def test_a7_a_budget_of_tokens_is_a_whole_number(text: str) -> None:
    assert problem("GATEWAY_CLIENT_TOKENS_PER_DAY_0", GATEWAY_CLIENT_TOKENS_PER_DAY_0=text)


def test_a7_a_budget_without_clients_that_sign_in_is_wrong() -> None:
    found = problem(
        "GATEWAY_CLIENT_TOKENS_PER_DAY_0",
        GATEWAY_CLIENT_TOKENS_PER_DAY_0="1",
        GATEWAY_REQUIRE_AUTH="false",
    )
    assert "cannot be told apart" in found.message


IN_USD = {"GATEWAY_CLIENT_USD_PER_DAY_0": "1"}
LISTED = {"AZURE_OPENAI_DEPLOYMENTS_0": "gpt-4o,chat=our-chat,fast=gpt-4o-mini-2024-07-18"}


@pytest.mark.parametrize(
    ("changes", "unpriced"),
    [
        ({"GATEWAY_CLIENT_DEPLOYMENTS_0": "gpt-4o,chat"}, "'chat'"),
        (LISTED, "'chat'"),
        (LISTED | {"GATEWAY_CLIENT_DEPLOYMENTS_0": "gpt-4o,fast"}, ""),
        (LISTED | {"MODEL_PRICING": '{"chat":{"prompt":1}}'}, ""),
        (LISTED | {"MODEL_PRICING": '{"our-chat":{"prompt":1}}'}, ""),
        (LISTED | {"AZURE_OPENAI_PROVISIONED_USD_PER_HOUR_0": "10"}, ""),
        # Which deployments there are shows at the first request.
        ({}, ""),
    ],
    ids=[
        "allow-list",
        "backends",
        "not allowed",
        "price",
        "price of the backend's name",
        "provisioned",
        "any",
    ],
)
def test_a7_a_budget_in_usd_needs_prices(changes: dict[str, str], unpriced: str) -> None:
    found = problems(**IN_USD, **changes)
    assert [each.setting for each in found] == (["GATEWAY_CLIENT_USD_PER_DAY_0"] if unpriced else [])
    assert all(f"no price: {unpriced}" in each.message for each in found)


def test_a7_a_budget_of_tokens_needs_none() -> None:
    assert not problems(**LISTED, GATEWAY_CLIENT_TOKENS_PER_DAY_0="1")


def test_a9_the_group_of_a_client_reaches_the_plugin() -> None:
    (client,) = metadata("azure-openai-auth", GATEWAY_CLIENT_GROUP_0="research")["clients"]
    assert client["group"] == "research"


@pytest.mark.parametrize("value", ["private", "strict", "shared"])
def test_a9_who_may_use_stored_resources_reaches_the_plugin(value: str) -> None:
    conf = metadata("azure-openai-gateway", STORED_RESOURCES=value, REDIS_HOST="cache")
    assert conf["stored_resources"] == value


def test_a9_stored_resources_are_private_by_default() -> None:
    assert metadata("azure-openai-gateway")["stored_resources"] == "private"


def test_a9_strict_needs_redis() -> None:
    assert "REDIS_HOST" in problem("STORED_RESOURCES", STORED_RESOURCES="strict").remedy


def test_a9_nothing_is_private_where_clients_cannot_be_told_apart() -> None:
    found = problem("STORED_RESOURCES", STORED_RESOURCES="private", GATEWAY_REQUIRE_AUTH="false")
    assert "cannot be told apart" in found.message


@pytest.mark.parametrize("missing", ["GATEWAY_CLIENT_NAME_0", "GATEWAY_CLIENT_KEY_0"])
def test_a_client_needs_a_name_and_a_credential(missing: str) -> None:
    assert "is missing" in problem(missing, **{missing: None}).message


def test_a_secondary_key_without_a_primary_one_is_wrong() -> None:
    changes = {"GATEWAY_CLIENT_KEY_0": None, "GATEWAY_CLIENT_KEY_SECONDARY_0": CLIENT_KEY}
    assert "there is no first" in problem("GATEWAY_CLIENT_KEY_SECONDARY_0", **changes).message


def test_a7_the_application_of_a_client_is_rendered_beside_its_key() -> None:
    (client,) = metadata("azure-openai-auth", **ENTRA, GATEWAY_CLIENT_APP_ID_0=APP_ID.upper())["clients"]
    assert (client["app_id"], len(client["key_sha256"])) == (APP_ID, 1)


def test_a7_a_client_may_have_an_application_instead_of_a_key() -> None:
    changes = {"GATEWAY_CLIENT_KEY_0": None, "GATEWAY_CLIENT_APP_ID_0": APP_ID}
    assert metadata("azure-openai-auth", **ENTRA, **changes)["clients"] == [
        {"name": "team-a", "app_id": APP_ID}
    ]


@pytest.mark.parametrize("text", ["team-a", "api://gateway", APP_ID[:-1], f"{APP_ID},{APP_ID}"])
def test_an_application_id_that_is_no_guid_is_wrong(text: str) -> None:
    assert "GUID" in problem("GATEWAY_CLIENT_APP_ID_0", **ENTRA, GATEWAY_CLIENT_APP_ID_0=text).remedy


def test_two_clients_with_one_application_are_wrong() -> None:
    found = problem(
        "GATEWAY_CLIENT_APP_ID_1",
        **ENTRA,
        GATEWAY_CLIENT_APP_ID_0=APP_ID,
        GATEWAY_CLIENT_NAME_1="team-b",
        GATEWAY_CLIENT_APP_ID_1=APP_ID.upper(),
    )
    assert "GATEWAY_CLIENT_APP_ID_0" in found.message


def test_a6_an_application_without_tokens_is_wrong() -> None:
    assert "ENABLE_ENTRA_AUTH" in problem("GATEWAY_CLIENT_APP_ID_0", GATEWAY_CLIENT_APP_ID_0=APP_ID).message


@pytest.mark.parametrize("name", ["GATEWAY_CLIENT_KEY_0", "GATEWAY_CLIENT_KEY_SECONDARY_0"])
def test_a_key_of_fewer_than_16_characters_is_wrong(name: str) -> None:
    assert "has 15 characters" in problem(name, **{name: "k" * 15}).message


def test_a_short_key_is_told_beside_another_mistake_of_its_client() -> None:
    found = problems(GATEWAY_CLIENT_KEY_0="short", GATEWAY_CLIENT_LANE_0="fast")
    assert [each.setting for each in found] == ["GATEWAY_CLIENT_KEY_0", "GATEWAY_CLIENT_LANE_0"]


def test_a_key_of_16_characters_is_fine() -> None:
    assert not problems(GATEWAY_CLIENT_KEY_0="x" * 16)


def test_two_clients_of_one_name_are_wrong() -> None:
    assert problem(
        "GATEWAY_CLIENT_NAME_1", GATEWAY_CLIENT_NAME_1="team-a", GATEWAY_CLIENT_KEY_1="other-key-0123456789"
    )


def test_two_clients_with_one_key_are_wrong_and_the_key_is_not_told() -> None:
    found = problem("GATEWAY_CLIENT_KEY_1", GATEWAY_CLIENT_NAME_1="team-b", GATEWAY_CLIENT_KEY_1=CLIENT_KEY)
    assert "GATEWAY_CLIENT_KEY_0" in found.message
    assert CLIENT_KEY not in str(found)


def test_a_secondary_key_equal_to_the_primary_is_wrong() -> None:
    assert problem("GATEWAY_CLIENT_KEY_SECONDARY_0", GATEWAY_CLIENT_KEY_SECONDARY_0=CLIENT_KEY)


def test_a_gap_among_clients_is_wrong() -> None:
    found = problem(
        "GATEWAY_CLIENT_*_1", GATEWAY_CLIENT_NAME_2="team-c", GATEWAY_CLIENT_KEY_2="other-key-0123456789"
    )
    assert "GATEWAY_CLIENT_NAME_2, GATEWAY_CLIENT_KEY_2" in found.message


def test_no_client_is_rendered_when_authentication_is_off() -> None:
    with pytest.raises(StopIteration):
        metadata("azure-openai-auth", GATEWAY_REQUIRE_AUTH="false")
