"""Values that are valid and cannot work: each warning names its setting, and never shows a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from renderer import ConfigurationError, Problem, load, read_env_file
from renderer.warning_rules.addresses import REDIS_DOMAINS, RESOURCE_DOMAINS, meant_domain
from renderer.warning_rules.keys import LONGEST_KEY, PUBLISHED_KEYS
from renderer.warning_rules.placeholders import EXAMPLE_RESOURCES
from tests.renderer.support import BACKEND_KEY, CLIENT_KEY, env

REPOSITORY = Path(__file__).resolve().parents[2]
REAL = "https://contoso-east.openai.azure.com"
LOCAL = "http://127.0.0.1:8001"
PUBLISHED = "demo-client-key-of-the-app"


def warnings(**changes: str | None) -> list[Problem]:
    """The warnings about a small environment with a real endpoint, changed."""
    return list(load(env(**{"AZURE_OPENAI_ENDPOINT_0": REAL, **changes})).warnings)


def warning(setting: str, **changes: str | None) -> Problem:
    """The one warning about that environment, which must be about `setting`."""
    found = warnings(**changes)
    assert [each.setting for each in found] == [setting], found
    return found[0]


def test_usual_settings_have_no_warning() -> None:
    assert not warnings()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("${AZURE_KEY}", "${…}"),
        ("prefix-${AZURE_KEY}-suffix", "${…}"),
        ("${{secrets.KEY}}", "${{…}}"),
        ("{{key}}", "{{…}}"),
        ("$AZURE_KEY", "$…"),
        ("$env:AZURE_KEY", "$…"),
        ("%AZURE_KEY%", "%…%"),
        ("$(cat_key)", "$(…)"),
        ("@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/k)", "@Microsoft.KeyVault(…)"),
    ],
)
def test_what_nothing_expands_is_told(text: str, shown: str) -> None:
    assert warning("AZURE_OPENAI_KEY_0", AZURE_OPENAI_KEY_0=text).message.startswith(f"has {shown} in it")


@pytest.mark.parametrize(
    "text",
    ["change-me", "CHANGEME", "replace_me", "<your-key>", "xxxxx", "...", "your-api-key", "my-backend-key"],
)
def test_a_placeholder_is_told(text: str) -> None:
    assert warning("AZURE_OPENAI_KEY_0", AZURE_OPENAI_KEY_0=text).message == "is a placeholder"


def test_a_placeholder_that_its_setting_does_not_take_is_an_error_that_says_so() -> None:
    with pytest.raises(ConfigurationError) as caught:
        warnings(AZURE_OPENAI_ENDPOINT_0="${ENDPOINT}")
    assert [(each.setting, "nothing replaces" in each.message) for each in caught.value.problems] == [
        ("AZURE_OPENAI_ENDPOINT_0", True)
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PROMPT_DENY_PATTERNS", "${a}"),
        ("AI_RATE_LIMIT_REJECT_MESSAGE", "{{later}}"),
        ("MODEL_PRICING", '{"change-me":{"prompt":1}}'),
    ],
)
def test_a_text_in_which_such_signs_have_a_meaning_is_left_alone(name: str, text: str) -> None:
    switches = {"ENABLE_PROMPT_GUARD": "true", "PROMPT_DENY_PATTERNS": "a", "ENABLE_AI_RATE_LIMIT": "true"}
    assert not warnings(**{**switches, name: text})


@pytest.mark.parametrize("resource", EXAMPLE_RESOURCES)
def test_a_resource_of_our_examples_is_told(resource: str) -> None:
    found = warning("AZURE_OPENAI_ENDPOINT_0", AZURE_OPENAI_ENDPOINT_0=f"https://{resource}.openai.azure.com")
    assert found.message == "is the address of an example"


@pytest.mark.parametrize("host", ["models.example.com", "your-resource.openai.azure.com", "a.invalid"])
def test_an_address_that_nobody_has_is_told(host: str) -> None:
    assert warning("AZURE_OPENAI_ENDPOINT_0", AZURE_OPENAI_ENDPOINT_0=f"https://{host}")


@pytest.mark.parametrize("example", ["gateway.env", "demo.env"])
def test_every_value_of_our_examples_that_cannot_work_is_known(example: str) -> None:
    for name, text in read_env_file(REPOSITORY / "examples" / example).items():
        if "ENDPOINT" in name and "127.0.0.1" not in text:
            assert text.removeprefix("https://").split(".")[0] in EXAMPLE_RESOURCES
        elif "_KEY_" in name and text:
            assert text in PUBLISHED_KEYS


def test_the_demo_has_no_warning() -> None:
    assert not load({}, env_file=read_env_file(REPOSITORY / "examples/demo.env")).warnings


@pytest.mark.parametrize("field", ["KEY", "KEY_SECONDARY"])
def test_a_clients_key_that_is_a_backends_is_told(field: str) -> None:
    name = f"GATEWAY_CLIENT_{field}_0"
    assert "same key as AZURE_OPENAI_KEY_0" in warning(name, **{name: BACKEND_KEY}).message


def test_the_key_of_the_demo_in_front_of_a_real_resource_is_told() -> None:
    assert "everybody can read" in warning("GATEWAY_CLIENT_KEY_0", GATEWAY_CLIENT_KEY_0=PUBLISHED).message


def test_a_backends_key_of_the_demo_for_a_real_resource_is_told() -> None:
    found = warning("AZURE_OPENAI_KEY_0", AZURE_OPENAI_KEY_0="demo-backend-key-eastus")
    assert "no real resource has" in found.message


@pytest.mark.parametrize(
    "changes",
    [{"AZURE_OPENAI_ENDPOINT_0": LOCAL}, {"GATEWAY_E2E_TEST_MODE": "true"}],
    ids=["loopback", "end-to-end tests"],
)
def test_the_key_of_the_demo_in_front_of_simulators_is_fine(changes: dict[str, str]) -> None:
    assert not warnings(GATEWAY_CLIENT_KEY_0=PUBLISHED, **changes)


def test_a_key_beside_managed_identity_is_told() -> None:
    assert "is not used" in warning("AZURE_OPENAI_KEY_0", AZURE_OPENAI_AUTH_0="managed-identity").message


@pytest.mark.parametrize("name", ["AZURE_OPENAI_KEY_0", "GATEWAY_CLIENT_KEY_0"])
def test_a_key_that_no_header_can_carry_is_told(name: str) -> None:
    assert "header lines" in warning(name, **{name: "k" * (LONGEST_KEY + 1)}).message


def test_the_longest_key_that_a_header_can_carry_is_fine() -> None:
    assert not warnings(GATEWAY_CLIENT_KEY_0="k" * LONGEST_KEY)


def test_a_key_of_openai_is_told() -> None:
    found = warning("AZURE_OPENAI_KEY_0", AZURE_OPENAI_KEY_0="sk-proj-0123456789abcdefghij")
    assert "OpenAI's own API" in found.message


@pytest.mark.parametrize("host", ["api.openai.com", "my.azure.openai.com"])
def test_an_address_of_openai_is_told(host: str) -> None:
    found = warning("AZURE_OPENAI_ENDPOINT_0", AZURE_OPENAI_ENDPOINT_0=f"https://{host}")
    assert "address of OpenAI" in found.message


@pytest.mark.parametrize("host", ["ai.azure.com", "portal.azure.com", "openai.azure.com"])
def test_an_address_of_azure_that_is_no_resource_is_told(host: str) -> None:
    assert warning("AZURE_OPENAI_ENDPOINT_0", AZURE_OPENAI_ENDPOINT_0=f"https://{host}")


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("a.opnai.azure.com", "openai.azure.com"),
        ("a.opneai.azure.com", "openai.azure.com"),
        ("a.openai.azure.co", "openai.azure.com"),
        ("a.openai.azur.com", "openai.azure.com"),
        ("a.openaiazure.com", "openai.azure.com"),
        ("a.open.ai.azure.com", "openai.azure.com"),
        ("a.openai.azure.usa", "openai.azure.us"),
        ("a.cognitiveservice.azure.com", "cognitiveservices.azure.com"),
        ("a.service.ai.azure.com", "services.ai.azure.com"),
        ("a.azure-api.nett", "azure-api.net"),
    ],
)
def test_a_slip_in_a_domain_of_azure_is_told_with_what_was_meant(host: str, meant: str) -> None:
    found = warning("AZURE_OPENAI_ENDPOINT_0", AZURE_OPENAI_ENDPOINT_0=f"https://{host}")
    assert found.remedy == f"Did you mean {meant}?"


@pytest.mark.parametrize("domain", RESOURCE_DOMAINS)
def test_every_domain_of_a_resource_is_fine(domain: str) -> None:
    assert not warnings(AZURE_OPENAI_ENDPOINT_0=f"https://contoso.{domain}")


@pytest.mark.parametrize("host", ["models.contoso.org", "gateway", "10.0.0.7", "a.openai.azure.internal"])
def test_an_address_outside_azure_is_fine(host: str) -> None:
    assert not warnings(AZURE_OPENAI_ENDPOINT_0=f"https://{host}")


def test_a_slip_in_the_domain_of_a_redis_is_told() -> None:
    found = warning("REDIS_HOST", REDIS_HOST="contoso.redis.cache.window.net")
    assert found.remedy == "Did you mean redis.cache.windows.net?"
    assert meant_domain("contoso.eastus.redis.azure.net", REDIS_DOMAINS) is None


def test_an_open_gateway_is_told() -> None:
    found = warning("GATEWAY_REQUIRE_AUTH", GATEWAY_REQUIRE_AUTH="false")
    assert "without the keys of the clients" in found.message


@pytest.mark.parametrize("clients", [{}, {"GATEWAY_CLIENT_NAME_0": None, "GATEWAY_CLIENT_KEY_0": None}])
def test_an_open_gateway_in_front_of_simulators_is_fine(clients: dict[str, str | None]) -> None:
    assert not warnings(GATEWAY_REQUIRE_AUTH="false", AZURE_OPENAI_ENDPOINT_0=LOCAL, **clients)


def test_an_allow_list_of_what_no_backend_has_is_told() -> None:
    found = warning(
        "GATEWAY_CLIENT_DEPLOYMENTS_0",
        GATEWAY_CLIENT_DEPLOYMENTS_0="gpt-4o,gtp-4o",
        AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o",
    )
    assert "'gtp-4o', which no backend lists" in found.message


@pytest.mark.parametrize(
    "changes",
    [{}, {"AZURE_OPENAI_DEPLOYMENTS_0": "a", "DEPLOYMENT_FALLBACKS": "b=a"}],
    ids=["a backend serves any", "a fallback serves"],
)
def test_an_allow_list_that_somebody_may_serve_is_fine(changes: dict[str, str]) -> None:
    assert not warnings(GATEWAY_CLIENT_DEPLOYMENTS_0="b", **changes)


def test_a_setting_with_an_error_has_no_warning_beside_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        warnings(GATEWAY_CLIENT_KEY_0="change-me", GATEWAY_REQUIRE_AUTH="false")
    assert [each.setting for each in caught.value.problems] == ["GATEWAY_CLIENT_KEY_0"]
    assert [each.setting for each in caught.value.warnings] == ["GATEWAY_REQUIRE_AUTH"]


@pytest.mark.parametrize("text", ["${s3cr3t}", "my-s3cr3t-key", "sk-s3cr3t" + "x" * 20])
def test_no_warning_tells_a_secret(text: str) -> None:
    loaded = load(env(AZURE_OPENAI_ENDPOINT_0=REAL, AZURE_OPENAI_KEY_0=text, GATEWAY_CLIENT_KEY_0=CLIENT_KEY))
    assert loaded.warnings
    assert "s3cr3t" not in repr(loaded.warnings)
    assert "s3cr3t" not in repr(loaded)
