"""The embedded engine's `apisix.core`, where it has logic of its own; called inside nginx."""

from typing import Any

import pytest

from tests.engines.support import Lua


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        ('return core.json.encode({ url = "/a/b" })', '{"url":"/a/b"}'),
        ('return core.json.encode({ text = "a\\\\/b" })', '{"text":"a\\\\/b"}'),
        ("return core.json.encode({ list = setmetatable({}, core.json.array_mt) })", '{"list":[]}'),
        ("return core.json.stably_encode({ b = { 2, 1 }, a = core.json.null })", '{"a":null,"b":[2,1]}'),
        ("return core.json.encode({ f = print }, true):sub(1, 15)", '{"f":"function:'),
    ],
)
def test_json_is_written_as_apisix_writes_it(lua: Lua, chunk: str, text: str) -> None:
    assert lua(f'local core = require("apisix.core")\n{chunk}') == [text]


def test_json_that_is_wrong_is_an_error_value(lua: Lua) -> None:
    value, err = lua('local v, e = require("apisix.core").json.decode("{") return v or false, e')
    assert (value, "T_" in err or "end" in err) == (False, True)


def test_json_nulls_can_be_dropped(lua: Lua) -> None:
    chunk = """return require("apisix.core").json.decode('{"a":{"b":null,"c":1}}', { null_as_nil = true })"""
    assert lua(chunk) == [{"a": {"c": 1}}]


def test_a_deep_copy_shares_nothing_and_follows_cycles(lua: Lua) -> None:
    chunk = """
    local core = require("apisix.core")
    local original = { inner = { 1 } }
    original.self = original
    local copy = core.table.deepcopy(original)
    copy.inner[1] = 2
    return original.inner[1], copy.self == copy
    """
    assert lua(chunk) == [1, True]


@pytest.mark.parametrize(
    ("origin", "extend", "merged"),
    [
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
    ],
)
def test_merging_tables(lua: Lua, origin: Any, extend: Any, merged: Any) -> None:
    chunk = 'return require("apisix.core").table.merge(origin, extend)'
    assert lua(chunk, origin=origin, extend=extend) == [merged]


def test_a_cached_object_is_created_again_for_a_new_version_only(lua: Lua) -> None:
    chunk = """
    local cache = require("apisix.core").lrucache.new({ ttl = 60, count = 4 })
    local created = 0
    local function create()
        created = created + 1
        return { created }
    end
    return cache("k", 1, create)[1], cache("k", 1, create)[1], cache("k", 2, create)[1]
    """
    assert lua(chunk) == [1, 1, 2]


def test_a_failed_creation_is_not_cached(lua: Lua) -> None:
    chunk = """
    local cache = require("apisix.core").lrucache.new()
    local value, err = cache("k", 1, function() return nil, "no" end)
    return value or false, err, cache("k", 1, function() return 7 end)
    """
    assert lua(chunk) == [False, "no", 7]


def test_names_of_the_hosts_file_are_known_and_others_are_left_to_nginx(lua: Lua) -> None:
    chunk = """
    local resolver = require("apisix.core").resolver
    return resolver.parse_domain("LOCALHOST"), resolver.parse_domain("host.example")
    """
    assert lua(chunk) == ["127.0.0.1", "host.example"]


def test_digests_of_the_usual_library_name(lua: Lua) -> None:
    chunk = """
    local sha256 = require("resty.sha256"):new()
    sha256:update("abc")
    return require("resty.string").to_hex(sha256:final())
    """
    assert lua(chunk) == ["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]


def test_a_lock_is_held_by_one_at_a_time(lua: Lua) -> None:
    chunk = """
    local lock = require("resty.lock")
    local first = lock:new("lrucache-lock")
    local second = lock:new("lrucache-lock", { timeout = 0.01 })
    local waited = first:lock("k")
    local _, err = second:lock("k")
    first:unlock()
    return waited, err, second:lock("k") ~= nil
    """
    assert lua(chunk) == [0, "timeout", True]


@pytest.mark.parametrize(
    ("rules", "holds"),
    [
        ([["uri", "==", "/a"]], True),
        ([["uri", "~=", "/a"]], False),
        ([["uri", "~~", "^/[a-z]$"]], True),
        ([["uri", "~*", "^/A$"]], True),
        ([["uri", "!", "~~", "^/b"]], True),
        ([["n", ">", 2], ["n", "<", 11]], True),
        ([["n", ">=", "11"]], False),
        ([["n", "==", 10]], True),
        ([["uri", "in", ["/b", "/a"]]], True),
        ([["tags", "has", "x"]], True),
        ([["missing", "==", "x"]], False),
        (["OR", ["uri", "==", "/b"], ["n", "==", "10"]], True),
        ([["uri", "==", "/a"], ["n", "==", "11"]], False),
    ],
)
def test_conditions_of_routes(lua: Lua, rules: Any, holds: bool) -> None:
    chunk = 'return assert(require("resty.expr.v1").new(rules)):eval(vars)'
    assert lua(chunk, rules=rules, vars={"uri": "/a", "n": "10", "tags": ["x", "y"]}) == [holds]


def test_an_unknown_operator_is_refused_by_name(lua: Lua) -> None:
    chunk = 'local _, err = require("resty.expr.v1").new({ { "uri", "ipmatch", {} } }) return err'
    assert lua(chunk) == ["operator ipmatch is not offered"]
