"""Single members of JSON objects are read, and changed without touching any other byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua
from tests.support.inputs import many

GENERATED = settings(max_examples=many(200))
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

EDIT = """
local json_facts = require("apisix.plugins.azure-openai.request.json_facts")
local request_body = require("apisix.plugins.azure-openai.request.body")
local stream_options = require("apisix.plugins.azure-openai.request.stream_options")

local function facts_of(text)
    return assert(json_facts.read(request_body.pieces(request_body.of_text(text)), function() end))
end

local function rename(text, name)
    local model = facts_of(text).members.model
    local edit = { offset = model.offset, length = model.length, text = '"' .. name .. '"' }
    return request_body.with_edits(request_body.of_text(text), { edit }).text
end

local function ask(text)
    local body = request_body.of_text(text)
    local request = { kind = "v1", operation = "chat/completions", body = body, facts = facts_of(text) }
    local edit = stream_options.edit({ var = {} }, request)
    return request_body.with_edits(body, { edit }).text
end
"""
FIND = 'local json_members = require("apisix.plugins.azure-openai.base.json_members")\n'


@given(document=OBJECTS, layout=LAYOUTS)
@GENERATED
def test_another_model_changes_that_member_only(
    lua: Lua, document: dict[str, Any], layout: dict[str, Any]
) -> None:
    document |= {"model": "old"}
    text = json.dumps(document, **layout)
    [changed] = lua(EDIT + 'return rename(text, "new")', text=text)
    assert json.loads(changed) == document | {"model": "new"}


@given(document=OBJECTS, layout=LAYOUTS)
@GENERATED
def test_another_model_keeps_every_other_byte(
    lua: Lua, document: dict[str, Any], layout: dict[str, Any]
) -> None:
    document |= {"model": "the old one"}
    text = json.dumps(document, **layout)
    [changed] = lua(EDIT + 'return rename(text, "new")', text=text)
    assert changed == text.replace('"the old one"', '"new"')


@given(document=OBJECTS, layout=LAYOUTS, options=st.one_of(st.none(), st.just({}), OBJECTS))
@GENERATED
def test_usage_is_asked_for_beside_the_clients_own_options(
    lua: Lua, document: dict[str, Any], layout: dict[str, Any], options: dict[str, Any] | None
) -> None:
    document |= {"stream": True, "stream_options": options}
    [changed] = lua(EDIT + "return ask(text)", text=json.dumps(document, **layout))
    asked = (options or {}) | {"include_usage": True}
    assert json.loads(changed) == document | {"stream_options": asked}


@given(document=OBJECTS, layout=LAYOUTS)
@GENERATED
def test_usage_is_asked_for_in_front_of_the_other_members(
    lua: Lua, document: dict[str, Any], layout: dict[str, Any]
) -> None:
    document.pop("stream_options", None)
    text = json.dumps(document | {"stream": True}, **layout)
    [changed] = lua(EDIT + "return ask(text)", text=text)
    assert changed == text.replace("{", '{"stream_options":{"include_usage":true},', 1)


def test_a_client_that_asks_for_usage_itself_keeps_its_bytes(lua: Lua) -> None:
    text = '{"stream":true,"stream_options":{"include_usage":true}}'
    assert lua(EDIT + "return ask(text)", text=text) == [text]


@pytest.mark.parametrize("unasked", ["false", "null"])
def test_a_client_that_wants_no_usage_chunk_is_asked_about_all_the_same(lua: Lua, unasked: str) -> None:
    text = '{"stream":true,"stream_options":{ "include_obfuscation":[] , "include_usage" : %s }}'
    assert lua(EDIT + "return ask(text)", text=text % unasked) == [text % "true"]


# What Lua can give back as it was: no large or broken numbers, no empty lists.
EXACT = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.text(max_size=12)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4), st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


# A small text is decoded whole.
@given(
    document=st.dictionaries(KEYS, EXACT, max_size=6),
    layout=LAYOUTS,
    key=KEYS,
    blanks=st.sampled_from([0, 20_000]),
)
@GENERATED
def test_a_member_is_decoded_without_the_others(
    lua: Lua, document: dict[str, Any], layout: dict[str, Any], key: str, blanks: int
) -> None:
    text = json.dumps(document, **layout) + " " * blanks
    [found] = lua(FIND + "return json_members.decode(text, { [key] = true })", text=text, key=key)
    assert found == ({key: document[key]} if key in document else {})


@given(document=OBJECTS, layout=LAYOUTS)
@GENERATED
def test_members_are_replaced_where_they_are(
    lua: Lua, document: dict[str, Any], layout: dict[str, Any]
) -> None:
    text = json.dumps(document, **layout)
    chunk = """
    local places = json_members.locate(text, { model = true, usage = true })
    return json_members.replace(text, places, { usage = "[1]", model = '"new"' })
    """
    [changed] = lua(FIND + chunk, text=text)
    expected = document | {key: new for key, new in (("model", "new"), ("usage", [1])) if key in document}
    assert list(json.loads(changed).items()) == list(expected.items())


@given(document=OBJECTS, layout=LAYOUTS)
@GENERATED
def test_replacing_keeps_every_other_byte(lua: Lua, document: dict[str, Any], layout: dict[str, Any]) -> None:
    text = json.dumps(document | {"data": "the old one"}, **layout)
    chunk = """
    return json_members.replace(text, json_members.locate(text, { data = true }), { data = "new" })
    """
    assert lua(FIND + chunk, text=text) == [text.replace('"the old one"', "new")]


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@given(
    elements=st.lists(st.one_of(OBJECTS, VALUES.filter(lambda v: not is_number(v))), max_size=6),
    layout=LAYOUTS,
)
@GENERATED
def test_the_elements_of_a_list_are_taken_as_they_are_written(
    lua: Lua, elements: list[Any], layout: dict[str, Any]
) -> None:
    [found] = lua(FIND + "return json_members.elements(text)", text=json.dumps(elements, **layout))
    assert [json.loads(text) for text in found or []] == elements


@pytest.mark.parametrize("blanks", [0, 20_000])
def test_of_duplicate_keys_the_last_one_counts_as_for_every_decoder(lua: Lua, blanks: int) -> None:
    text = '{"model":"a","x":1,"model":"b"}' + " " * blanks
    changed = lua(
        EDIT + FIND + 'return json_members.decode(text, { model = true }).model, rename(text, "c")', text=text
    )
    assert changed == ["b", '{"model":"a","x":1,"model":"c"}' + " " * blanks]


@pytest.mark.parametrize("blanks", [0, 20_000])
def test_half_a_surrogate_pair_anywhere_hides_no_member(lua: Lua, blanks: int) -> None:
    text = '{"content":"cut \\ud83d","usage":{"total":1}}' + " " * blanks
    assert lua(FIND + "return json_members.decode(text, { usage = true }).usage.total", text=text) == [1]


def test_an_escaped_key_is_the_key(lua: Lua) -> None:
    text = '{"mod\\u0065l":"a"}'
    assert lua(EDIT + 'return rename(text, "b")', text=text) == ['{"mod\\u0065l":"b"}']


@pytest.mark.parametrize("size", [10, 200_000])
def test_a_body_in_a_file_is_edited_as_one_in_memory(lua: Lua, tmp_path: Path, size: int) -> None:
    text = f'{{"a":"{"x" * size}","model":"old","b":"{"y" * size}"}}'
    path = tmp_path / "body"
    path.write_text(text)
    tmp_path.chmod(0o755)
    chunk = """
    local edits = {
        { offset = 1, length = 0, text = '"c":1,' },
        { offset = place, length = 5, text = '"new"' },
    }
    local body = request_body.with_edits({ size = size, path = path }, edits)
    local pieces = {}
    for piece in request_body.sendable(body) do
        pieces[#pieces + 1] = piece
    end
    return table.concat(pieces), body.size
    """
    place = text.index('"old"')
    edited, length = lua(EDIT + chunk, size=len(text), path=str(path), place=place)
    assert edited == '{"c":1,' + text[1:].replace('"old"', '"new"')
    assert length == len(edited)


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
