"""Backends: AZURE_OPENAI_<FIELD>_<N>."""

from __future__ import annotations

import pytest

from renderer.parsers.urls import ENDPOINT_REMEDY
from tests.renderer.support import load, problem, problems


def test_a_backend_needs_only_endpoint_and_key() -> None:
    (backend,) = load().backends
    assert (backend.name, backend.weight, backend.priority, backend.auth) == ("my-eastus", 1, 0, "key")
    assert backend.region is None
    assert backend.deployments is None


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("https://my-eastus.openai.azure.com", "my-eastus"),
        ("https://hub.services.ai.azure.com/", "hub"),
        ("https://my-usgov.openai.azure.us", "my-usgov"),
        ("https://my-china.openai.azure.cn", "my-china"),
        ("https://gateway.example.com", "gateway.example.com"),
        ("http://127.0.0.1:8001", "127.0.0.1-8001"),
        ("http://[::1]:8001", "1-8001"),
    ],
)
def test_the_name_defaults_to_the_host(endpoint: str, name: str) -> None:
    assert load(AZURE_OPENAI_ENDPOINT_0=endpoint).backends[0].name == name


def test_a_trailing_slash_of_the_endpoint_is_dropped() -> None:
    (backend,) = load(AZURE_OPENAI_ENDPOINT_0="https://my-eastus.openai.azure.com/").backends
    assert backend.endpoint == "https://my-eastus.openai.azure.com"


def test_host_and_port_of_an_endpoint_have_one_spelling() -> None:
    (backend,) = load(AZURE_OPENAI_ENDPOINT_0="HTTPS://My-EastUS.OpenAI.Azure.com:0443").backends
    assert backend.endpoint == "https://my-eastus.openai.azure.com"


def test_an_international_host_name_is_wrong_and_its_other_form_is_told() -> None:
    assert (
        "xn--" in problem("AZURE_OPENAI_ENDPOINT_0", AZURE_OPENAI_ENDPOINT_0="https://bücher.example").remedy
    )


@pytest.mark.parametrize("extra", ["/openai", "/openai/deployments/gpt-4o?api-version=1", "?a=b", "#x"])
def test_an_endpoint_with_path_or_query_is_wrong_and_the_remedy_is_the_resource(extra: str) -> None:
    found = problem("AZURE_OPENAI_ENDPOINT_0", AZURE_OPENAI_ENDPOINT_0=f"https://a.openai.azure.com{extra}")
    assert found.remedy == "Write only https://a.openai.azure.com"


@pytest.mark.parametrize(
    ("endpoint", "whose"),
    [("https://api.openai.com/v1", "of OpenAI"), ("https://ai.azure.com/resource/overview", "a website")],
)
def test_an_address_copied_from_elsewhere_is_not_told_to_lose_its_path(endpoint: str, whose: str) -> None:
    found = problem("AZURE_OPENAI_ENDPOINT_0", AZURE_OPENAI_ENDPOINT_0=endpoint)
    assert (whose in found.message, found.remedy) == (True, ENDPOINT_REMEDY)


@pytest.mark.parametrize(
    "endpoint",
    [
        "my-eastus.openai.azure.com",
        "ftp://a.openai.azure.com",
        "https://",
        "https://user:password@a.openai.azure.com",
        "https://a b.openai.azure.com",
        "https://a.openai.azure.com:port",
        "https://a.openai.azure.com:0",
        "https://[::1",
        "https://a_{}.com",
        "https://a..com",
        f"https://{'a' * 64}.com",
        "https://[v1.x]",
        "https://[fe80::1%eth0]",
    ],
)
def test_an_endpoint_that_is_no_url_of_a_host_is_wrong(endpoint: str) -> None:
    assert problem("AZURE_OPENAI_ENDPOINT_0", AZURE_OPENAI_ENDPOINT_0=endpoint)


@pytest.mark.parametrize("host", ["127.0.0.1:8001", "localhost:8001", "[::1]:8001", "east.localhost"])
def test_plain_http_is_fine_for_loopback(host: str) -> None:
    assert not problems(AZURE_OPENAI_ENDPOINT_0=f"http://{host}")


def test_plain_http_to_another_machine_is_wrong() -> None:
    found = problem("AZURE_OPENAI_ENDPOINT_0", AZURE_OPENAI_ENDPOINT_0="http://simulator:8080")
    assert "GATEWAY_E2E_TEST_MODE" in found.remedy


def test_plain_http_is_told_beside_another_mistake_of_its_backend() -> None:
    found = problems(AZURE_OPENAI_ENDPOINT_0="HTTP://simulator:8080", AZURE_OPENAI_WEIGHT_0="ten")
    assert [each.setting for each in found] == ["AZURE_OPENAI_ENDPOINT_0", "AZURE_OPENAI_WEIGHT_0"]


def test_plain_http_to_another_machine_is_fine_in_end_to_end_test_mode() -> None:
    assert not problems(AZURE_OPENAI_ENDPOINT_0="http://simulator:8080", GATEWAY_E2E_TEST_MODE="true")


def test_a_gap_names_the_missing_number_and_the_variables_behind_it() -> None:
    found = problem(
        "AZURE_OPENAI_*_1",
        AZURE_OPENAI_ENDPOINT_2="https://b.openai.azure.com",
        AZURE_OPENAI_KEY_2="another-backend-key",
    )
    assert "no backend 1," in found.message
    assert "AZURE_OPENAI_ENDPOINT_2, AZURE_OPENAI_KEY_2" in found.message


def test_the_remedies_of_several_gaps_fit_together() -> None:
    backends = {f"AZURE_OPENAI_ENDPOINT_{n}": f"https://b{n}.openai.azure.com" for n in (2, 5)}
    found = problems(**backends, AZURE_OPENAI_KEY_2="key-2", AZURE_OPENAI_KEY_5="key-5")
    assert ["rename _2 to _1" in found[0].remedy, "rename _5 to _2" in found[1].remedy] == [True, True]


def test_a_wide_gap_is_one_problem() -> None:
    found = problem(
        "AZURE_OPENAI_*_1",
        AZURE_OPENAI_ENDPOINT_900000000="https://b.openai.azure.com",
        AZURE_OPENAI_KEY_900000000="another-backend-key",
    )
    assert "1 to 899999999" in found.message


def test_a_variable_with_an_empty_value_does_not_make_a_backend() -> None:
    assert len(load(AZURE_OPENAI_ENDPOINT_1="", AZURE_OPENAI_KEY_1="  ").backends) == 1


def test_no_backend_at_all_is_wrong() -> None:
    assert problem("AZURE_OPENAI_ENDPOINT_0", AZURE_OPENAI_ENDPOINT_0=None, AZURE_OPENAI_KEY_0=None)


def test_the_endpoint_of_the_sdk_is_no_backend_and_the_problem_says_so() -> None:
    found = problem(
        "AZURE_OPENAI_ENDPOINT_0",
        AZURE_OPENAI_ENDPOINT_0=None,
        AZURE_OPENAI_KEY_0=None,
        AZURE_OPENAI_ENDPOINT="https://a.openai.azure.com",
    )
    assert "without a number" in found.message


def test_a_backend_without_a_key_is_wrong() -> None:
    found = problem("AZURE_OPENAI_KEY_0", AZURE_OPENAI_KEY_0=None)
    assert "AZURE_OPENAI_AUTH_0=managed-identity" in found.remedy


def test_a_backend_with_managed_identity_needs_no_key() -> None:
    (backend,) = load(AZURE_OPENAI_KEY_0=None, AZURE_OPENAI_AUTH_0="managed-identity").backends
    assert backend.token_scopes == {"openai": "https://cognitiveservices.azure.com/.default"}


@pytest.mark.parametrize(
    ("endpoint", "scope"),
    [
        ("https://a.openai.azure.us", "https://cognitiveservices.azure.us/.default"),
        ("https://a.openai.azure.cn", "https://cognitiveservices.azure.cn/.default"),
        ("https://llm.example.com", "https://cognitiveservices.azure.com/.default"),
    ],
)
def test_h3_a_token_is_asked_for_in_the_cloud_of_the_endpoint(endpoint: str, scope: str) -> None:
    changes = {"AZURE_OPENAI_KEY_0": None, "AZURE_OPENAI_AUTH_0": "managed-identity"}
    assert load(**changes, AZURE_OPENAI_ENDPOINT_0=endpoint).backends[0].token_scopes["openai"] == scope


FOUNDRY = "https://a.services.ai.azure.com"


@pytest.mark.parametrize(
    ("endpoint", "surfaces"),
    [
        (FOUNDRY, ("openai", "anthropic", "inference")),
        ("https://a.services.ai.azure.us", ("openai", "anthropic", "inference")),
        ("https://a.openai.azure.com", ("openai",)),
        ("https://services.ai.azure.com.example.com", ("openai",)),
        ("http://127.0.0.1:8001", ("openai",)),
    ],
)
def test_s6_what_a_resource_offers_follows_from_its_host(endpoint: str, surfaces: tuple[str, ...]) -> None:
    assert load(AZURE_OPENAI_ENDPOINT_0=endpoint).backends[0].surfaces == surfaces


def test_s6_what_a_resource_offers_can_be_said() -> None:
    assert load(AZURE_OPENAI_SURFACES_0="anthropic, openai").backends[0].surfaces == ("anthropic", "openai")


def test_s6_a_surface_that_is_none_is_wrong() -> None:
    found = problem("AZURE_OPENAI_SURFACES_0", AZURE_OPENAI_SURFACES_0="openai,claude")
    assert "openai, anthropic and inference" in found.remedy


def test_s6_each_surface_takes_a_token_of_its_own_scope() -> None:
    changes = {"AZURE_OPENAI_KEY_0": None, "AZURE_OPENAI_AUTH_0": "managed-identity"}
    assert load(**changes, AZURE_OPENAI_ENDPOINT_0=FOUNDRY).backends[0].token_scopes == {
        "openai": "https://cognitiveservices.azure.com/.default",
        "anthropic": "https://ai.azure.com/.default",
        "inference": "https://cognitiveservices.azure.com/.default",
    }


def test_s6_a_scope_that_is_given_holds_for_every_surface() -> None:
    changes = {
        "AZURE_OPENAI_KEY_0": None,
        "AZURE_OPENAI_AUTH_0": "managed-identity",
        "AZURE_OPENAI_ENDPOINT_0": FOUNDRY,
        "AZURE_OPENAI_TOKEN_SCOPE_0": "https://mine.example.com/.default",
    }
    assert set(load(**changes).backends[0].token_scopes.values()) == {"https://mine.example.com/.default"}


def test_an_identity_beside_a_key_is_wrong() -> None:
    assert problem("AZURE_OPENAI_CLIENT_ID_0", AZURE_OPENAI_CLIENT_ID_0="some-identity")


def test_two_backends_of_one_name_are_wrong() -> None:
    assert problem(
        "AZURE_OPENAI_NAME_1",
        AZURE_OPENAI_ENDPOINT_1="https://my-eastus.services.ai.azure.com",
        AZURE_OPENAI_KEY_1="another-backend-key",
    )


def test_weights_that_are_all_zero_are_wrong() -> None:
    assert problem("AZURE_OPENAI_WEIGHT_*", AZURE_OPENAI_WEIGHT_0="0")


def test_one_drained_backend_of_two_is_fine() -> None:
    settings = load(
        AZURE_OPENAI_WEIGHT_0="0",
        AZURE_OPENAI_ENDPOINT_1="https://b.openai.azure.com",
        AZURE_OPENAI_KEY_1="another-backend-key",
    )
    assert [backend.weight for backend in settings.backends] == [0, 1]


def test_deployments_are_a_list_with_optional_renames() -> None:
    (backend,) = load(AZURE_OPENAI_DEPLOYMENTS_0=" gpt-4o , embeddings = emb-3-small,").backends
    assert backend.deployments == {"gpt-4o": "gpt-4o", "embeddings": "emb-3-small"}


@pytest.mark.parametrize("text", [",", "a b", "a=b=c", "=x", "x=", "a,a=b", "../x", "a/b"])
def test_deployments_that_are_no_names_are_wrong(text: str) -> None:
    assert problem("AZURE_OPENAI_DEPLOYMENTS_0", AZURE_OPENAI_DEPLOYMENTS_0=text)


@pytest.mark.parametrize("key", ["with blank", "tab\tinside", "line\nbreak", "ключ"])
def test_a_key_that_no_header_can_carry_is_wrong(key: str) -> None:
    assert problem("AZURE_OPENAI_KEY_0", AZURE_OPENAI_KEY_0=key)


def test_the_home_backend_must_exist() -> None:
    found = problem("GATEWAY_HOME_BACKEND", GATEWAY_HOME_BACKEND="westus")
    assert "Write one of my-eastus" in found.remedy


def test_values_are_trimmed() -> None:
    assert load(AZURE_OPENAI_KEY_0="  key-with-blanks-around \n").backends[0].key is not None
    secret = load(AZURE_OPENAI_KEY_0="  key-with-blanks-around \n").backends[0].key
    assert secret is not None
    assert secret.get_secret_value() == "key-with-blanks-around"


def test_limits_of_tokens_are_given_by_deployment() -> None:
    (backend,) = load(AZURE_OPENAI_TOKENS_PER_MINUTE_0="gpt-4o=100000, embeddings = 50000").backends
    assert backend.tokens_per_minute == {"gpt-4o": 100_000, "embeddings": 50_000}


@pytest.mark.parametrize(
    "text",
    [
        "gpt-4o",
        "gpt-4o=",
        "gpt-4o=0",
        "gpt-4o=-1",
        "gpt-4o=1.5",
        "gpt-4o=1e3",
        "=5",
        "a=1,a=2",
        "a=" + "9" * 5000,
    ],
)
def test_a_wrong_limit_of_tokens_is_an_error(text: str) -> None:
    assert problem("AZURE_OPENAI_TOKENS_PER_MINUTE_0", AZURE_OPENAI_TOKENS_PER_MINUTE_0=text)


def test_a_limit_of_a_deployment_that_is_not_served_is_an_error() -> None:
    told = problem(
        "AZURE_OPENAI_TOKENS_PER_MINUTE_0",
        AZURE_OPENAI_TOKENS_PER_MINUTE_0="gpt-4=5",
        AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o",
    )
    assert "gpt-4o" in told.remedy


def test_b6_fallbacks_are_read_in_their_order() -> None:
    settings = load(DEPLOYMENT_FALLBACKS="gpt-5=gpt-5-mini|gpt-4.1, o3 = o1")
    assert settings.gateway.deployment_fallbacks == {"gpt-5": ("gpt-5-mini", "gpt-4.1"), "o3": ("o1",)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gpt-5", "not a deployment name"),
        ("gpt-5=", "not a deployment name"),
        ("gpt-5=a|", "not a deployment name"),
        ("gpt-5=gpt-5", "names a deployment twice for 'gpt-5'"),
        ("gpt-5=a|a", "names a deployment twice for 'gpt-5'"),
        ("gpt-5=a,gpt-5=b", "lists the deployment 'gpt-5' twice"),
    ],
)
def test_b6_fallbacks_that_make_no_sense_are_wrong(value: str, message: str) -> None:
    assert message in problem("DEPLOYMENT_FALLBACKS", DEPLOYMENT_FALLBACKS=value).message


def test_b6_a_fallback_that_no_backend_lists_is_wrong() -> None:
    found = problem("DEPLOYMENT_FALLBACKS", DEPLOYMENT_FALLBACKS="a=b", AZURE_OPENAI_DEPLOYMENTS_0="a,c")
    assert "'b', which no backend lists" in found.message
    assert "Write one of a, c" in found.remedy


def test_b6_a_backend_that_lists_nothing_may_serve_a_fallback() -> None:
    assert load(DEPLOYMENT_FALLBACKS="a=b").gateway.deployment_fallbacks == {"a": ("b",)}
