"""The embedded engine's validator, called inside nginx."""

from typing import Any

import pytest

from tests.engines.support import Lua

CHECK = """
local core = require("apisix.core")
local ok, err = core.schema.check(schema, value)
return ok, err or "", value
"""

NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
CLOSED = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "text"),
        ({"type": "integer"}, 3),
        ({"type": "number"}, 3.5),
        ({"type": "boolean"}, False),
        ({"type": "array", "items": {"type": "integer"}}, [1, 2]),
        ({"type": "array"}, []),
        ({"type": "object"}, {}),
        ({"enum": ["a", 1]}, 1),
        ({"minimum": 1, "maximum": 3}, 3),
        ({"exclusiveMinimum": 0}, 0.1),
        ({"minLength": 2, "maxLength": 2}, "äö"),
        ({"pattern": "^https?://"}, "https://x"),
        ({"type": "array", "minItems": 1, "maxItems": 2}, [1]),
        ({"type": "array", "uniqueItems": True}, [{"a": 1}, {"a": 2}]),
        (NAME, {"name": "x", "other": 1}),
        (CLOSED, {"a": 1}),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": "b"}),
        ({"type": "object", "minProperties": 1}, {"a": 1}),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 1),
        ({"type": "object", "dependencies": {"a": ["b"]}}, {"a": 1, "b": 2}),
        ({"type": "object", "dependencies": {"a": ["b"]}}, {"c": 1}),
        ({"not": {"type": "string"}}, 1),
    ],
)
def test_a_value_that_the_schema_allows_is_accepted(lua: Lua, schema: Any, value: Any) -> None:
    ok, err, _ = lua(CHECK, schema=schema, value=value)
    assert ok, err


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "string"}, 1, "expected string, got number"),
        ({"type": "integer"}, 1.5, "expected integer"),
        ({"type": "integer"}, "1", "expected integer"),
        ({"type": "object"}, [1], "expected object"),
        ({"type": "array"}, {"a": 1}, "expected array"),
        ({"enum": ["a", "b"]}, "c", "enum"),
        ({"minimum": 1}, 0, "at least 1"),
        ({"maximum": 1}, 2, "at most 1"),
        ({"exclusiveMinimum": 1}, 1, "greater than 1"),
        ({"minLength": 2}, "ä", "too short"),
        ({"maxLength": 1}, "ab", "too long"),
        ({"pattern": "^a$"}, "b", 'pattern "^a$"'),
        ({"type": "array", "minItems": 1}, [], "at least 1 items"),
        ({"type": "array", "maxItems": 1}, [1, 2], "at most 1 items"),
        ({"type": "array", "uniqueItems": True}, [1, 2, 1], "items 1 and 3 are equal"),
        ({"type": "array", "items": {"type": "integer"}}, [1, "a"], "item 2"),
        (NAME, {}, 'property "name" is required'),
        (NAME, {"name": 1}, 'property "name" validation failed'),
        (CLOSED, {"a": 1, "b": 2}, "additional properties forbidden, found b"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": 1}, '"a"'),
        ({"type": "object", "minProperties": 1}, {}, "at least 1 properties"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, True, "none"),
        (
            {"type": "object", "dependencies": {"a": ["b"]}},
            {"a": 1},
            'property "b" is required when "a" is set',
        ),
        ({"patternProperties": {}}, {}, "the schema keyword patternProperties is not offered"),
        ({"not": {"type": "string"}}, "a", "match"),
    ],
)
def test_a_value_that_the_schema_forbids_is_refused_with_the_reason(
    lua: Lua, schema: Any, value: Any, message: str
) -> None:
    ok, err, _ = lua(CHECK, schema=schema, value=value)
    assert (ok, message in err) == (False, True), err


def test_defaults_are_filled_in_at_every_level(lua: Lua) -> None:
    schema = {
        "type": "object",
        "properties": {
            "limit": {"type": "integer", "default": 5},
            "inner": {
                "type": "object",
                "default": {},
                "properties": {"on": {"type": "boolean", "default": True}},
            },
        },
    }
    _, _, filled = lua(CHECK, schema=schema, value={})
    assert filled == {"limit": 5, "inner": {"on": True}}


def test_a_default_is_not_shared_between_values(lua: Lua) -> None:
    chunk = """
    local core = require("apisix.core")
    local schema = { type = "object", properties = { list = { type = "array", default = { 1 } } } }
    local first, second = {}, {}
    core.schema.check(schema, first)
    core.schema.check(schema, second)
    first.list[1] = 2
    return second.list[1]
    """
    assert lua(chunk) == [1]


def test_messages_never_contain_the_value(lua: Lua) -> None:
    schema = {"type": "object", "properties": {"key": {"type": "string", "pattern": "^[a-f]+$"}}}
    _, err, _ = lua(CHECK, schema=schema, value={"key": "hunter2"})
    assert "hunter2" not in err
