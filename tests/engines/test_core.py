"""The parts of the embedded engine's `apisix.core` that have logic of their own, called inside nginx."""

from typing import Any

import pytest

from tests.engines.support import Lua


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        ('return core.json.encode({ url = "/a/b" })', '{"url":"/a/b"}'),
        ('return core.json.encode({ text = "a\\\\/b" })', '{"text":"a\\\\/b"}'),
        ("return core.json.encode({ list = setmetatable({}, core.json.array_mt) })", '{"list":[]}'),
        ("return core.json.stably_encode({ b = { 2, 1 }, a = ngx.null })", '{"a":null,"b":[2,1]}'),
    ],
)
def test_json_is_written_as_apisix_writes_it(lua: Lua, chunk: str, text: str) -> None:
    assert lua(f'local core = require("apisix.core")\n{chunk}') == [text]


def test_json_that_is_wrong_is_an_error_value(lua: Lua) -> None:
    value, err = lua('local v, e = require("apisix.core").json.decode("{") return v or false, e')
    assert (value, "T_" in err or "end" in err) == (False, True)


def test_digests_of_the_usual_library_name(lua: Lua) -> None:
    chunk = """
    local sha256 = require("resty.sha256"):new()
    sha256:update("abc")
    return require("nginx.string").to_hex(sha256:final())
    """
    assert lua(chunk) == ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]


@pytest.mark.parametrize(
    ("rules", "holds"),
    [
        ([["uri", "~~", "^/[a-z]$"]], True),
        ([["uri", "~~", "^/[A-Z]$"]], False),
        ([["uri", "~*", "^/A$"]], True),
        ([["missing", "~~", "x"]], False),
        ([["uri", "~~", "^/a"], ["n", "~~", "^10$"]], True),
        ([["uri", "~~", "^/a"], ["n", "~~", "^11$"]], False),
    ],
)
def test_conditions_of_routes(lua: Lua, rules: Any, holds: bool) -> None:
    chunk = 'return assert(require("embedded.conditions").compile(rules))(vars)'
    assert lua(chunk, rules=rules, vars={"uri": "/a", "n": "10"}) == [holds]


def test_an_unknown_operator_is_refused_by_name(lua: Lua) -> None:
    chunk = 'local _, err = require("embedded.conditions").compile({ { "uri", "ipmatch", {} } }) return err'
    assert lua(chunk) == ["operator ipmatch is not offered"]
