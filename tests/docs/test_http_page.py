"""The page of HTTP names what the Lua bundle and the templates take and answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from scripts.engines.base import REPOSITORY

PAGE = (REPOSITORY / "docs" / "http.md").read_text()
BUNDLE = REPOSITORY / "apisix" / "plugins"
TEMPLATES = REPOSITORY / "apisix" / "templates"

# Codes that are only read or compared, those of the routes of tests, and numbers that stand for any status.
NOT_ANSWERED = {"unknown_model", "server_error", "too_many_requests", "x", "500"}


def sources() -> Iterator[str]:
    # The plugins of end-to-end tests have headers of their own, which docs/gateway.md lists.
    for path in sorted(BUNDLE.rglob("*.lua")):
        if "azure-openai-test-" not in path.name and path.parent.name != "account":
            yield path.read_text()
    yield (BUNDLE / "azure-openai" / "account" / "budgets.lua").read_text()


def found(pattern: str) -> set[str]:
    return {name for source in sources() for name in re.findall(pattern, source)}


CODES = (
    found(r'\bcode = "(\w+)"')
    | found(r'"(prompt_not_\w+|outcome_unknown|not_ready|too_many_watchers)"')
    | {"ambiguous_request", "model_not_allowed", "not_countable", "cost_unknown", "rate_limited"}
    | set(re.findall(r'\["\d+", "\w+", "(\w+)"', (TEMPLATES / "config.yaml.j2").read_text()))
) - NOT_ANSWERED
HEADERS = found(r'(?:ngx\.header\["|response\.set_header\("|answer\.headers\[")(x-[a-z-]+)"')
KEY_HEADERS = found(r'key_header = "([a-z-]+)"') | {
    name for names in found(r"CLIENT_HEADERS = \{([^}]+)\}") for name in re.findall(r'"([a-z-]+)"', names)
}
PATHS = {
    path
    for template in TEMPLATES.rglob("*.j2")
    for path in re.findall(
        r'(?:uri: |, |\(")(/(?:openai|anthropic|models|health|live|helpers)[\w/-]*)', template.read_text()
    )
}


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_of_an_error_is_on_the_page(code: str) -> None:
    assert f"`{code}`" in PAGE


@pytest.mark.parametrize("header", sorted(HEADERS))
def test_every_header_that_the_gateway_sets_is_on_the_page(header: str) -> None:
    assert f"`{header}" in PAGE


@pytest.mark.parametrize("header", sorted(KEY_HEADERS))
def test_every_header_that_takes_a_key_is_on_the_page(header: str) -> None:
    assert f"`{header}:" in PAGE.lower()


@pytest.mark.parametrize("path", sorted(PATHS))
def test_every_path_that_the_gateway_serves_is_on_the_page(path: str) -> None:
    assert f"`{path}" in PAGE
