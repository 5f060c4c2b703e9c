"""Single members of JSON objects are read and changed without touching any other byte."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua

GENERATED = settings(max_examples=200)
KEYS = st.one_of(st.sampled_from(["model", "stream_options", 'a"b', "a\\", "é", ""]), st.text(max_size=8))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)
LAYOUTS = st.sampled_from(
    [
        {},
        {"separators": (",", ":")},
        {"indent": 2},
        {"indent": "\t", "ensure_ascii": False},
        {"separators": (" , ", "  :\r\n ")},
    ]
)

MODULE = 'local json_edit = require("apisix.plugins.azure-openai.base.json_edit")\n'


@given(
    document=OBJECTS, layout=LAYOUTS, value=st.one_of(st.text(max_size=8), st.booleans(), st.integers(0, 9))
)
@GENERATED
def test_set_changes_that_member_only(
    lua: Lua, document: dict[str, Any], layout: dict[str, Any], value: Any
) -> None:
    text = json.dumps(document, **layout)
    [changed] = lua(MODULE + 'return json_edit.set(text, "model", value)', text=text, value=value)
    assert json.loads(changed) == document | {"model": value}


@given(document=OBJECTS, layout=LAYOUTS)
@GENERATED
def test_set_keeps_every_other_byte(lua: Lua, document: dict[str, Any], layout: dict[str, Any]) -> None:
    text = json.dumps(document, **layout)
    [changed] = lua(MODULE + 'return json_edit.set(text, "model", "new")', text=text)
    if "model" in document:
        [old] = lua(MODULE + 'return json_edit.get(text, "model")', text=text)
        places = [start for start in range(len(text)) if text.startswith(old, start)]
        candidates = [text[:start] + '"new"' + text[start + len(old) :] for start in places]
    else:
        first = text.index("{") + 1
        candidates = [text[:first] + member + text[first:] for member in ('"model":"new"', '"model":"new",')]
    assert changed in candidates


@given(document=OBJECTS, layout=LAYOUTS, key=KEYS)
@GENERATED
def test_get_gives_the_member_as_it_is_written(
    lua: Lua, document: dict[str, Any], layout: dict[str, Any], key: str
) -> None:
    text = json.dumps(document, **layout)
    [raw] = lua(MODULE + "return json_edit.get(text, key) or false", text=text, key=key)
    assert (json.loads(raw) == document[key]) if key in document else raw is False


@given(document=OBJECTS, layout=LAYOUTS)
@GENERATED
def test_setting_what_is_there_already_changes_nothing_more(
    lua: Lua, document: dict[str, Any], layout: dict[str, Any]
) -> None:
    text = json.dumps(document, **layout)
    chunk = """
    local once = json_edit.set(text, "model", "new")
    return once == json_edit.set(once, "model", "new")
    """
    assert lua(MODULE + chunk, text=text) == [True]


def test_of_duplicate_keys_the_last_one_counts_as_for_every_decoder(lua: Lua) -> None:
    text = '{"model":"a","x":1,"model":"b"}'
    changed = lua(
        MODULE + 'return json_edit.get(text, "model"), json_edit.set(text, "model", "c")', text=text
    )
    assert changed == ['"b"', '{"model":"a","x":1,"model":"c"}']


def test_an_escaped_key_is_the_key(lua: Lua) -> None:
    text = '{"mod\\u0065l":"a"}'
    assert lua(MODULE + 'return json_edit.set(text, "model", "b")', text=text) == ['{"mod\\u0065l":"b"}']


@given(text=st.text('{}[]":,\\ modelusage0123456789\n', max_size=60))
@GENERATED
def test_answers_that_are_no_json_are_no_error(lua: Lua, text: str) -> None:
    chunk = """
    local usage = require("apisix.plugins.azure-openai.account.usage")
    local body = '{"usage":{},"model":"m"' .. text
    return type(usage.of_body(body)), type(select(2, usage.of_body(body)))
    """
    kinds = lua(chunk, text=text)
    assert set(kinds) <= {"nil", "table", "string"}
