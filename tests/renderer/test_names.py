"""Variables that the gateway does not know."""

from __future__ import annotations

import pytest

from renderer import ConfigurationError, Problem, load, load_settings
from tests.renderer.support import env, problem, problems


def problems_of_file(env_file: dict[str, str]) -> list[Problem]:
    """The problems of an env file beside an environment that has nothing for the gateway."""
    try:
        load_settings({"PATH": "/bin"}, env_file=env_file)
    except ConfigurationError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AZURE_OPENAI_WIEGHT_0", "AZURE_OPENAI_WEIGHT_0"),
        ("AZURE_OPENAI_WEIGHTS_12", "AZURE_OPENAI_WEIGHT_12"),
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


@pytest.mark.parametrize("name", ["AZURE_OPENAI_ZZZ_0", "BREAKER_X", "GATEWAY_CLIENT_COLOUR"])
def test_an_unknown_variable_of_our_own_family_is_wrong_even_without_a_suggestion(name: str) -> None:
    assert problem(name, **{name: "1"}).message == "is not a setting of the gateway"


@pytest.mark.parametrize(
    "name",
    [
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_API_VERSION",
        "AZURE_OPENAI_DEPLOYMENT",
        "AZURE_OPENAI_DEPLOYMENTS",
        "AZURE_OPENAI_ENDPOINT",
        "AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME",
        "AZURE_OPENAI_GPT_4_DEPLOYMENT",
        "AZURE_OPENAI_KEY",
        "AZURE_OPENAI_SOMETHING_ELSE_ENTIRELY",
        "GATEWAY_COLOUR",
        "LB_POOL_OF_ANOTHER_TOOL",
    ],
)
def test_a_variable_of_another_tool_that_begins_like_ours_is_told_and_stops_nothing(name: str) -> None:
    assert load(env(**{name: "something"})).ignored == (name,)


@pytest.mark.parametrize(
    "name",
    ["PATH", "GATEWAY_KEY", "GATEWAY_ENVIRONMENT", "GATEWAY_SERVICE_HOST", "AZURE_OPENAI_SIMULATOR_URL"],
)
def test_what_everybody_knows_is_not_told(name: str) -> None:
    assert load(env(**{name: "something"})).ignored == ()


def test_what_is_not_read_is_told_beside_an_error_too() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(env(AZURE_OPENAI_KEY_0=None, AZURE_OPENAI_KEY="something"))
    assert caught.value.ignored == ["AZURE_OPENAI_KEY"]


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "AZURE_CLIENT_SECRET",
        "AZURE_TENANT_ID",
        "AZURE_AUTHORITY_HOST",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        "AZURE_SUBSCRIPTION_ID",
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_AD_TOKEN",
        "AZURE_OPENAI_ENDPOINT",
        "AZURE_OPENAI_API_BASE",
        "AZURE_OPENAI_API_DEPLOYMENT_NAME",
        "AZURE_OPENAI_API_EMBEDDINGS_DEPLOYMENT_NAME",
        "AZURE_OPENAI_API_INSTANCE_NAME",
        "AZURE_OPENAI_BASE_PATH",
        "AZURE_OPENAI_BASE_URL",
        "AZURE_OPENAI_CHAT_DEPLOYMENT_NAME",
        "AZURE_OPENAI_CHAT_MODEL",
        "AZURE_OPENAI_DEPLOYMENT",
        "AZURE_OPENAI_DEPLOYMENT_NAME",
        "AZURE_OPENAI_EMBEDDING_DEPLOYMENT",
        "AZURE_OPENAI_MODEL_NAME",
        "AZURE_OPENAI_RESOURCE",
        "AZURE_OPENAI_SIMULATOR_URL",
        "APISIX_PROFILE",
        "APISIX_WORKER_PROCESSES",
        "CONTAINER_APP_NAME",
        "ENABLE_ORYX_BUILD",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_RESOURCE_ATTRIBUTES",
        "PROMPT_COMMAND",
        "REDIS_DB",
        "REDIS_PORT_6379_TCP",
        "REDIS_SERVICE_HOST",
        "GATEWAY_ENV_FILE",
        "GATEWAY_ENVIRONMENT",
        "GATEWAY_INTERFACE",
        "GATEWAY_KEY",
        "GATEWAY_SERVICE_HOST",
        "GATEWAY_SERVICE_PORT_HTTP",
        "GATEWAY_PORT_9080_TCP_ADDR",
        "REQUESTS_CA_BUNDLE",
    ],
)
def test_a_foreign_variable_is_left_alone(name: str) -> None:
    assert not problems(**{name: "something"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ENABLE_IP_ALLOWLIST", "ENABLE_IP_RESTRICTION"),
        ("ENABLE_IP_ALLOW_LIST", "ENABLE_IP_RESTRICTION"),
        ("ENABLE_IP_WHITELIST", "ENABLE_IP_RESTRICTION"),
        ("ENABLE_IP_DENYLIST", "ENABLE_IP_RESTRICTION"),
        ("ENABLE_IP_BLACKLIST", "ENABLE_IP_RESTRICTION"),
        ("ENABLE_IP_FILTER", "ENABLE_IP_RESTRICTION"),
        ("ENABLE_IP_FILTERING", "ENABLE_IP_RESTRICTION"),
        ("ENABLE_IP_RESTRICTIONS", "ENABLE_IP_RESTRICTION"),
        ("ENABLE_ALLOWLIST", "ENABLE_IP_RESTRICTION"),
        ("IP_RESTRICTION", "ENABLE_IP_RESTRICTION"),
        ("IP_RESTRICTION_ENABLED", "ENABLE_IP_RESTRICTION"),
        ("IP_ALLOWLIST_ENABLED", "ENABLE_IP_RESTRICTION"),
        ("IP_FILTER", "ENABLE_IP_RESTRICTION"),
        ("enableIpAllowlist", "ENABLE_IP_RESTRICTION"),
        ("IP_WHITELIST", "IP_ALLOWLIST"),
        ("IP_ALLOW_LIST", "IP_ALLOWLIST"),
        ("IP_ALLOWED", "IP_ALLOWLIST"),
        ("ALLOWED_IPS", "IP_ALLOWLIST"),
        ("ALLOWED_IP_RANGES", "IP_ALLOWLIST"),
        ("IP_BLACKLIST", "IP_DENYLIST"),
        ("IP_BLOCKLIST", "IP_DENYLIST"),
        ("BLOCKED_IPS", "IP_DENYLIST"),
        ("ENABLE_TOKEN_LIMIT", "ENABLE_AI_RATE_LIMIT"),
        ("ENABLE_TOKEN_LIMITS", "ENABLE_AI_RATE_LIMIT"),
        ("ENABLE_TOKEN_RATE_LIMIT", "ENABLE_AI_RATE_LIMIT"),
        ("ENABLE_TOKEN_RATE_LIMITING", "ENABLE_AI_RATE_LIMIT"),
        ("ENABLE_AI_RATE_LIMITING", "ENABLE_AI_RATE_LIMIT"),
        ("ENABLE_AI_LIMIT", "ENABLE_AI_RATE_LIMIT"),
        ("ENABLE_LLM_RATE_LIMIT", "ENABLE_AI_RATE_LIMIT"),
        ("AI_RATE_LIMIT_ENABLED", "ENABLE_AI_RATE_LIMIT"),
        ("AI_RATE_LIMIT", "ENABLE_AI_RATE_LIMIT"),
        ("TOKEN_LIMIT", "AI_RATE_LIMIT_HIGH_LIMIT"),
        ("ENABLE_RATE_LIMITS", "ENABLE_RATE_LIMIT"),
        ("ENABLE_RATE_LIMITING", "ENABLE_RATE_LIMIT"),
        ("ENABLE_REQUEST_LIMIT", "ENABLE_RATE_LIMIT"),
        ("ENABLE_THROTTLE", "ENABLE_RATE_LIMIT"),
        ("ENABLE_THROTTLING", "ENABLE_RATE_LIMIT"),
        ("RATE_LIMIT_ENABLED", "ENABLE_RATE_LIMIT"),
        ("RATE_LIMITING", "ENABLE_RATE_LIMIT"),
        ("ENABLE_QUOTAS", "ENABLE_QUOTA"),
        ("ENABLE_REQUEST_QUOTA", "ENABLE_QUOTA"),
        ("QUOTA_ENABLED", "ENABLE_QUOTA"),
        ("CORS_ENABLED", "ENABLE_CORS"),
        ("ENABLE_CORS_POLICY", "ENABLE_CORS"),
        ("ALLOWED_ORIGINS", "CORS_ALLOW_ORIGINS"),
        ("ENABLE_SECURITY_HEADERS", "ENABLE_RESPONSE_HEADERS"),
        ("ENABLE_HSTS", "ENABLE_RESPONSE_HEADERS"),
        ("RESPONSE_HEADERS_ENABLED", "ENABLE_RESPONSE_HEADERS"),
        ("ENABLE_PROMPT_GUARDS", "ENABLE_PROMPT_GUARD"),
        ("ENABLE_PROMPT_FILTER", "ENABLE_PROMPT_GUARD"),
        ("ENABLE_PROMPT_SHIELD", "ENABLE_PROMPT_GUARD"),
        ("ENABLE_CONTENT_FILTER", "ENABLE_PROMPT_GUARD"),
        ("ENABLE_GUARDRAILS", "ENABLE_PROMPT_GUARD"),
        ("PROMPT_GUARD_ENABLED", "ENABLE_PROMPT_GUARD"),
        ("PROMPT_DENYLIST", "PROMPT_DENY_PATTERNS"),
        ("PROMPT_BLOCK_PATTERNS", "PROMPT_DENY_PATTERNS"),
        ("PROMPT_ALLOWLIST", "PROMPT_ALLOW_PATTERNS"),
        ("ENABLE_ENTRA", "ENABLE_ENTRA_AUTH"),
        ("ENABLE_ENTRA_ID", "ENABLE_ENTRA_AUTH"),
        ("ENABLE_AAD_AUTH", "ENABLE_ENTRA_AUTH"),
        ("ENABLE_AZURE_AD_AUTH", "ENABLE_ENTRA_AUTH"),
        ("ENABLE_JWT_AUTH", "ENABLE_ENTRA_AUTH"),
        ("ENABLE_OIDC", "ENABLE_ENTRA_AUTH"),
        ("ENABLE_AUTH", "GATEWAY_REQUIRE_AUTH"),
        ("REQUIRE_AUTH", "GATEWAY_REQUIRE_AUTH"),
        ("AUTH_ENABLED", "GATEWAY_REQUIRE_AUTH"),
        ("ENABLE_AUTHENTICATION", "GATEWAY_REQUIRE_AUTH"),
        ("MAX_BODY_SIZE", "MAX_REQUEST_BODY_MB"),
        ("MAX_REQUEST_BODY_SIZE", "MAX_REQUEST_BODY_MB"),
        ("MAX_REQUEST_BODY", "MAX_REQUEST_BODY_MB"),
        ("TRUSTED_PROXIES", "GATEWAY_TRUSTED_PROXIES"),
        ("REDIS_URL", "REDIS_HOST"),
        ("REDIS_URI", "REDIS_HOST"),
        ("REDIS_CONNECTION_STRING", "REDIS_HOST"),
        ("REDIS_HOSTNAME", "REDIS_HOST"),
        ("REDIS_ENDPOINT", "REDIS_HOST"),
        ("REDIS_KEY", "REDIS_PASSWORD"),
        ("REDIS_ACCESS_KEY", "REDIS_PASSWORD"),
        ("REDIS_SSL", "REDIS_TLS"),
        ("REDIS_USE_TLS", "REDIS_TLS"),
        ("REDIS_TLS_ENABLED", "REDIS_TLS"),
    ],
)
def test_a_variable_that_reads_like_a_guardrail_is_wrong_and_its_name_is_told(name: str, meant: str) -> None:
    assert problem(name, **{name: "true"}).remedy == f"Did you mean {meant}?"


@pytest.mark.parametrize(
    "name",
    [
        "PROMPT_GUARD_DENY_PATTERNS",
        "PROMPT_GUARD_MODE",
        "IP_RESTRICTION_CIDRS",
        "STORED_RESOURCES_POLICY",
        "ENABLE_LOW_LANE_RESERVE",
    ],
)
def test_a_variable_of_a_guardrails_family_that_nobody_knows_is_wrong(name: str) -> None:
    assert "is not a setting of the gateway" in str(problem(name, **{name: "true"}))


@pytest.mark.parametrize("name", ["TIMEZONE", "AZURE_OPENAI_DEPLOYMENT", "AZURE_CLIENT_SECRET", "REDIS_DB"])
@pytest.mark.parametrize("text", ["something", ""])
def test_every_unknown_name_in_an_env_file_is_wrong(name: str, text: str) -> None:
    (found,) = problems_of_file({**env(), name: text})
    assert (found.setting, found.message) == (name, "is not a setting of the gateway")


def test_an_unknown_name_in_an_env_file_is_answered_with_the_one_that_was_meant() -> None:
    (found,) = problems_of_file({**env(), "ENABLE_IP_ALLOWLIST": "true"})
    assert found.remedy == "Did you mean ENABLE_IP_RESTRICTION?"


def test_the_known_names_in_an_env_file_are_fine() -> None:
    assert not problems_of_file(env())


def test_the_link_of_a_kubernetes_service_is_left_alone() -> None:
    assert not problems(GATEWAY_PORT="tcp://10.0.0.1:9080")


def test_an_unknown_variable_with_an_empty_value_is_unset() -> None:
    assert not problems(AZURE_OPENAI_WIEGHT_0=" ")


def test_a_misspelt_variable_never_shows_its_value() -> None:
    assert "s3cr3t-value" not in str(problem("AZURE_OPENAI_KYE_0", AZURE_OPENAI_KYE_0="s3cr3t-value"))
