"""Variables that the gateway does not know."""

from __future__ import annotations

import pytest

from tests.renderer.support import problem, problems


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AZURE_OPENAI_WIEGHT_0", "AZURE_OPENAI_WEIGHT_0"),
        ("AZURE_OPENAI_WEIGHTS_12", "AZURE_OPENAI_WEIGHT_12"),
        ("AZURE_OPENAI_KEY", "AZURE_OPENAI_KEY_0"),
        ("AZURE_OPENAI_KEY0", "AZURE_OPENAI_KEY_0"),
        ("AZURE_OPENAI_KEY_01", "AZURE_OPENAI_KEY_1"),
        ("GATEWAY_CLIENT_KEYS_0", "GATEWAY_CLIENT_KEY_0"),
        ("GATEWAY_REQUIRE_AUHT", "GATEWAY_REQUIRE_AUTH"),
        ("COOLDOWN_DEFAULT", "COOLDOWN_DEFAULT_SECONDS"),
        ("AI_PROXY_TIMEOUT_MS", "AI_PROXY_READ_TIMEOUT_MS"),
        ("CORS_ALLOWED_ORIGINS", "CORS_ALLOW_ORIGINS"),
        ("ENABLE_CROS", "ENABLE_CORS"),
        ("REDIS_PASWORD", "REDIS_PASSWORD"),
        ("OTEL_COLLECTOR_ENDPONT", "OTEL_COLLECTOR_ENDPOINT"),
        ("APPLICATIONINSIGHTS_CONECTION_STRING", "APPLICATIONINSIGHTS_CONNECTION_STRING"),
        ("KEY_VAULT_URI", "KEY_VAULT_URL"),
        ("AZURE_OPENAI_KEY_00", "AZURE_OPENAI_KEY_0"),
        ("AZURE_OPENAI_KEY_٣", "AZURE_OPENAI_KEY_3"),
        ("AZURE_OPENAI_7_KEY", "AZURE_OPENAI_KEY_7"),
        ("AZURE_OPEN_AI_KEY_3", "AZURE_OPENAI_KEY_3"),
        ("GATEWY_CLIENT_KEY_2", "GATEWAY_CLIENT_KEY_2"),
        ("azure_openai_key_1", "AZURE_OPENAI_KEY_1"),
        ("azure-openai-key-1", "AZURE_OPENAI_KEY_1"),
        ("redis_password", "REDIS_PASSWORD"),
    ],
)
def test_a_misspelt_variable_is_answered_with_the_one_that_was_meant(name: str, meant: str) -> None:
    assert problem(name, **{name: "1"}).remedy == f"Did you mean {meant}?"


@pytest.mark.parametrize("name", ["GATEWAY_COLOUR", "AZURE_OPENAI_ZZZ_0", "BREAKER_X"])
def test_an_unknown_variable_of_our_own_family_is_wrong_even_without_a_suggestion(name: str) -> None:
    assert problem(name, **{name: "1"}).message == "is not a setting of the gateway"


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "AZURE_CLIENT_SECRET",
        "AZURE_TENANT_ID",
        "AZURE_SUBSCRIPTION_ID",
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_AD_TOKEN",
        "AZURE_OPENAI_ENDPOINT",
        "APISIX_PROFILE",
        "APISIX_WORKER_PROCESSES",
        "CONTAINER_APP_NAME",
        "ENABLE_ORYX_BUILD",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_RESOURCE_ATTRIBUTES",
        "PROMPT_COMMAND",
        "REDIS_URL",
        "REDIS_DB",
        "GATEWAY_SERVICE_HOST",
        "GATEWAY_SERVICE_PORT_HTTP",
        "GATEWAY_PORT_9080_TCP_ADDR",
        "REQUESTS_CA_BUNDLE",
    ],
)
def test_a_foreign_variable_is_left_alone(name: str) -> None:
    assert not problems(**{name: "something"})


def test_the_link_of_a_kubernetes_service_is_left_alone() -> None:
    assert not problems(GATEWAY_PORT="tcp://10.0.0.1:9080")


def test_an_unknown_variable_with_an_empty_value_is_unset() -> None:
    assert not problems(AZURE_OPENAI_WIEGHT_0=" ")


def test_a_misspelt_variable_never_shows_its_value() -> None:
    assert "s3cr3t-value" not in str(problem("AZURE_OPENAI_KYE_0", AZURE_OPENAI_KYE_0="s3cr3t-value"))
