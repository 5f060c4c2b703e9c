"""The rendered files are checked with the schemas of APISIX 3.18.0 and of the gateway's own plugins."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from renderer import ConfigurationError, Problem, render_files
from renderer.schema_check import parse_document, plugin_schema, require_valid
from tests.renderer.support import BACKEND_KEY, documents, load
from tests.renderer.test_guardrails import EVERYTHING

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    return documents(**EVERYTHING)


def found(everything: dict[str, Any], change: Change) -> list[Problem]:
    """The problems after `change` was made to the parsed apisix.yaml."""
    items = copy.deepcopy(everything["apisix.yaml"])
    change(items)
    with pytest.raises(ConfigurationError) as caught:
        require_valid(items, everything["config.yaml"])
    return caught.value.problems


def plugins(items: dict[str, Any], route: int = 0) -> dict[str, Any]:
    conf: dict[str, Any] = items["routes"][route]["plugins"]
    return conf


def gateway(items: dict[str, Any]) -> dict[str, Any]:
    conf: dict[str, Any] = items["plugin_metadata"][0]
    return conf


def test_what_is_rendered_is_valid(everything: dict[str, Any]) -> None:
    require_valid(everything["apisix.yaml"], everything["config.yaml"])


def test_a_value_that_the_schema_refuses_is_traced_to_its_variable(everything: dict[str, Any]) -> None:
    problems = found(everything, lambda items: plugins(items)["limit-count"].update(time_window=-1))
    assert "QUOTA_TIME_WINDOW" in [problem.setting for problem in problems]


def test_a_backend_is_traced_to_the_variables_of_its_number(everything: dict[str, Any]) -> None:
    problems = found(everything, lambda items: gateway(items)["backends"][0].update(weight=-1))
    assert [problem.setting for problem in problems] == ["AZURE_OPENAI_WEIGHT_0"]


@pytest.mark.parametrize(
    ("section", "key", "variable"),
    [
        ("failover", "connect_timeout_ms", "AI_PROXY_CONNECT_TIMEOUT_MS"),
        ("limits", "high_limit", "AI_RATE_LIMIT_HIGH_LIMIT"),
        ("redis", "port", "REDIS_PORT"),
        ("balancer", "algorithm", "LB_ALG"),
    ],
)
def test_a_section_is_traced_to_its_variable(
    everything: dict[str, Any], section: str, key: str, variable: str
) -> None:
    problems = found(everything, lambda items: gateway(items)[section].update({key: -1}))
    assert {problem.setting for problem in problems} == {variable}


def test_an_unknown_key_of_a_stock_plugin_is_a_problem(everything: dict[str, Any]) -> None:
    problems = found(everything, lambda items: plugins(items)["cors"].update(allow_origin="*"))
    assert [problem.setting for problem in problems] == ["routes/inference/cors/allow_origin"]


def test_a_misplaced_key_of_a_stock_plugin_is_a_problem(everything: dict[str, Any]) -> None:
    def change(items: dict[str, Any]) -> None:
        plugins(items)["ai-proxy-multi"]["instances"][0]["timeout"] = 1

    assert "ai-proxy-multi/instances/0/timeout" in found(everything, change)[0].setting


def test_an_unknown_key_of_our_own_plugins_is_a_problem(everything: dict[str, Any]) -> None:
    assert found(everything, lambda items: gateway(items).update(home_bakcend="x"))


def test_a_plugin_that_does_not_exist_is_a_problem(everything: dict[str, Any]) -> None:
    problems = found(everything, lambda items: plugins(items).update({"no-such-plugin": {}}))
    assert "routes/inference/no-such-plugin" in [problem.setting for problem in problems]


def test_a_route_that_apisix_would_skip_is_a_problem(everything: dict[str, Any]) -> None:
    assert found(everything, lambda items: items["routes"][0].pop("uri"))
    assert found(everything, lambda items: items["routes"][0].update(metods=["GET"]))


def test_a_plugin_in_use_that_is_not_loaded_is_a_problem(everything: dict[str, Any]) -> None:
    config = {**everything["config.yaml"], "plugins": ["prometheus"]}
    with pytest.raises(ConfigurationError):
        require_valid(everything["apisix.yaml"], config)


def test_a_problem_never_shows_the_value_that_is_wrong(everything: dict[str, Any]) -> None:
    def change(items: dict[str, Any]) -> None:
        gateway(items)["backends"][0]["key"] = ["my-secret-value"]
        gateway(items)["redis"]["password"] = {"my-secret-value": 1}

    assert "my-secret-value" not in " ".join(map(str, found(everything, change)))


@pytest.mark.parametrize("text", ["a: [", "just text", "%", "a: b\n"])
def test_a_file_that_is_no_yaml_mapping_or_has_no_end_mark_is_a_problem(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_document("apisix.yaml", text)


def test_the_driver_is_the_only_addition_to_the_providers_of_apisix() -> None:
    schema = json.dumps(plugin_schema("ai-proxy-multi", "schema"))
    assert '"bedrock", "azure-openai-pool"]' in schema


def test_the_key_of_a_backend_is_in_apisix_yaml_only() -> None:
    files = render_files(load())
    assert [name for name, text in files.items() if BACKEND_KEY in text] == ["apisix.yaml"]
