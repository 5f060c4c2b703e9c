"""Whatever the environment holds, the answer is settings or a list of problems without secrets."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from renderer import ConfigurationError, Problem, Settings, load_settings, names, render_files
from renderer.masking import masked_diff
from renderer.model.group import is_secret
from tests.renderer.support import env
from tests.renderer.test_guardrails import EVERYTHING as GUARDRAILS
from tests.support.inputs import many

SECRET = "s3cr3t-"


def parsed(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


numbered = [
    (names.variable(group, field, n), is_secret(info))
    for group in names.NUMBERED_GROUPS
    for n in (0, 1)
    for field, info in group.model_fields.items()
]
known = st.sampled_from(
    sorted(names.scalar_names() - {"KEY_VAULT_URL"}) + [variable for variable, _ in numbered]
)
secret_names = [
    *(variable for variable, secret in numbered if secret),
    "REDIS_PASSWORD",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
]
likely = st.sampled_from(
    [
        "true",
        "false",
        "0",
        "1",
        "10",
        "-1",
        "1.5",
        "gpt-4o",
        "a=b",
        "https://a.openai.azure.com",
        "*",
        "high",
        "10.0.0.0/8",
        "chash",
        "req",
        "{}",
        "[]",
        "${{HOME}}",
        "key-0123456789abcdef",
        "*,x-session-id",
        "https://[2001:db8::1]:8443",
        "fe80::1%eth0",
        "a{1,3}",
        '"in quotes"',
        "a: b #c",
    ]
)
values = st.one_of(likely, st.text(max_size=40))
switches = {
    name: st.sampled_from(["true", "false"]) for name in names.scalar_names() if name.startswith("ENABLE_")
}


def loaded(changes: dict[str, str]) -> Settings | list[Problem]:
    try:
        return load_settings(env(**changes))
    except ConfigurationError as error:
        return error.problems


@settings(max_examples=many(60))
@given(st.fixed_dictionaries(switches), st.dictionaries(known, values, max_size=12))
def test_c1_any_values_give_settings_that_render_or_a_list_of_problems(
    switched: dict[str, str], changes: dict[str, str]
) -> None:
    result = loaded({**GUARDRAILS, **switched, **changes})
    if isinstance(result, Settings):
        files = render_files(result)
        assert all(isinstance(parsed(text), dict) for text in files.values())
    else:
        assert result
        assert all(each.setting and each.message and each.remedy for each in result)


@given(st.dictionaries(st.text(max_size=30), st.text(max_size=30), max_size=8))
def test_foreign_variables_never_break_the_loader(foreign: dict[str, str]) -> None:
    assert loaded(foreign)


@given(
    st.dictionaries(st.sampled_from(secret_names), st.text(max_size=20), min_size=1),
    st.dictionaries(known, values, max_size=6),
)
def test_no_problem_tells_a_secret(secrets: dict[str, str], others: dict[str, str]) -> None:
    marked = {name: f"{SECRET}{text}" for name, text in secrets.items()}
    result = loaded({**others, **marked})
    assert SECRET not in repr(result)


@settings(max_examples=many(40))
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=40))
def test_a_secret_arrives_in_the_file_as_it_is_and_in_the_diff_not_at_all(text: str) -> None:
    password = f"{SECRET}{text.strip()}x"
    rendered = render_files(load_settings(env(REDIS_HOST="redis", REDIS_PASSWORD=password)))["apisix.yaml"]
    assert parsed(rendered)["plugin_metadata"][0]["redis"]["password"] == password
    assert SECRET not in masked_diff("apisix.yaml", None, rendered)
