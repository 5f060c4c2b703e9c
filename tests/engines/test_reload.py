"""Configuration changes while the gateway runs."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.waiting import eventually
from scripts.engines import EngineError, Gateway
from tests.engines.support import apisix_yaml, start

SAY = """
local core = require("apisix.core")
local plugin = require("apisix.plugin")
local schema = { type = "object", properties = { body = { type = "string", maxLength = 20 } } }
local _M = { version = 0.1, priority = 0, name = "say", schema = schema }
function _M.check_schema(conf)
    return core.schema.check(schema, conf)
end
function _M.access(conf)
    local metadata = plugin.plugin_metadata("say")
    return 200, conf.body .. (metadata and metadata.value.body or "")
end
return _M
"""


def says(body: Any, **fields: Any) -> dict[str, Any]:
    return {"routes": [{"id": "say", "uri": "/say", "plugins": {"say": {"body": body}}, **fields}]}


@pytest.fixture
def gateway(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with start(
        tmp_path_factory.mktemp("bundle"), engine=engine, plugins={"say": SAY}, workers=2, **says("old")
    ) as started:
        yield started


def said(gateway: Gateway) -> set[str]:
    # A new connection each time, so that both workers answer.
    return {httpx.get(f"{gateway.url}/say").text for _ in range(4)}


def test_a_changed_file_is_served_by_every_worker(gateway: Gateway) -> None:
    gateway.replace_configuration(apisix_yaml(**says("new")))
    assert said(gateway) == {"new"}


def test_two_changes_within_a_second_are_both_taken_up(gateway: Gateway) -> None:
    gateway.replace_configuration(apisix_yaml(**says("newer")))
    gateway.replace_configuration(apisix_yaml(**says("newest")))
    assert said(gateway) == {"newest"}


def test_a_good_file_after_a_bad_one_is_served_by_every_worker(tmp_path: Path) -> None:
    with start(tmp_path, plugins={"say": SAY}, workers=2, **says("old")) as gateway:
        with pytest.raises(EngineError):
            gateway.replace_configuration(apisix_yaml(**says(SECRET)))
        gateway.replace_configuration(apisix_yaml(**says("new")))
        assert said(gateway) == {"new"}


def test_metadata_that_is_added_is_seen(gateway: Gateway) -> None:
    gateway.replace_configuration(apisix_yaml(**says("a"), plugin_metadata=[{"id": "say", "body": "b"}]))
    assert said(gateway) == {"ab"}


SECRET = "x" * 21
REFUSED = {
    "a value": (apisix_yaml(**says(SECRET)), 'route say: plugin say: property "body" validation failed'),
    "metadata": (
        apisix_yaml(**says("new"), plugin_metadata=[{"id": "say", "body": SECRET}]),
        'plugin_metadata say: plugin say: property "body" validation failed',
    ),
    "no end": ("routes: []\n", "apisix.yaml does not end with #END"),
    "no YAML": (f"routes: [{{a: {SECRET}\n#END\n", "apisix.yaml is not valid YAML"),
    "unknown plugin": (
        apisix_yaml(routes=[{"id": "r", "uri": "/", "plugins": {"other": {"k": SECRET}}}]),
        r"route r: unknown plugin \[other\]",
    ),
    "upstream": (
        apisix_yaml(**says("new", upstream={"nodes": {SECRET: 1}})),
        "route say: upstream is not offered",
    ),
    "section": (apisix_yaml(**says("new"), consumers=[{"username": SECRET}]), "consumers is not offered"),
    "uri": (apisix_yaml(routes=[{"id": "r", "uri": "/a/:b"}]), "route r: uri /a/:b is not offered"),
    "vars": (
        apisix_yaml(routes=[{"id": "r", "uri": "/", "vars": [["uri", "ipmatch", [SECRET]]]}]),
        "route r: vars: operator ipmatch is not offered",
    ),
    "meta": (
        apisix_yaml(routes=[{"id": "r", "uri": "/", "plugins": {"say": {"_meta": {"pre_function": ""}}}}]),
        "route r: plugin say: _meta.pre_function is not offered",
    ),
}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with start(tmp_path_factory.mktemp("bundle"), plugins={"say": SAY}, **says("good")) as started:
        yield started


@pytest.fixture(scope="module", params=REFUSED.values(), ids=list(REFUSED))
def refusal(request: pytest.FixtureRequest, embedded: Gateway) -> tuple[str, str]:
    """What a gateway says about an invalid file, and the expected reason."""
    text, reason = request.param
    with pytest.raises(EngineError) as caught:
        embedded.replace_configuration(text)
    return str(caught.value), reason


def test_an_invalid_file_is_refused_with_the_reason(refusal: tuple[str, str]) -> None:
    said_of_it, reason = refusal
    assert re.search(reason, said_of_it)


@pytest.mark.usefixtures("refusal")
def test_an_invalid_file_leaves_the_last_good_configuration_in_force(embedded: Gateway) -> None:
    assert said(embedded) == {"good"}


@pytest.mark.usefixtures("refusal")
def test_an_invalid_file_is_logged_without_its_values(embedded: Gateway) -> None:
    assert SECRET not in embedded.error_log.read_text()


def test_everything_that_is_wrong_is_said_at_once(embedded: Gateway) -> None:
    bad = {"id": "r", "uri": "/a", "plugins": {"say": {"body": 1}}, "upstream": {}, "service_id": 1}
    with pytest.raises(EngineError) as caught:
        embedded.replace_configuration(apisix_yaml(routes=[bad]))
    assert len(caught.value.problems) == 3


def test_a_file_that_is_read_while_it_is_written_is_taken_up_when_it_is_complete(tmp_path: Path) -> None:
    text = apisix_yaml(**says("whole"))
    with start(tmp_path, plugins={"say": SAY}, **says("old")) as gateway:
        with pytest.raises(EngineError, match="does not end with #END"):
            gateway.replace_configuration(text.removesuffix("#END\n"))
        file = gateway.directory / "apisix.yaml"
        modified = file.stat().st_mtime
        file.write_text(text)
        os.utime(file, (modified, modified))
        assert eventually(lambda: said(gateway) == {"whole"})
