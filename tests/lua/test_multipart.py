"""A form's field is found wherever it stands, in memory and in a file, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.support import Lua

BOUNDARY = "----a-boundary"
LOCATE = """
local multipart = require("apisix.plugins.azure-openai.request.multipart")
local request_body = require("apisix.plugins.azure-openai.request.body")
local values = {}
local body = type(path) == "string" and { size = size, path = path } or request_body.of_text(text)
for index, place in ipairs(multipart.locate(body, content_type, "model", function() end)) do
    values[index] = request_body.slice(body, place.offset, place.length)
end
return #values, unpack(values)
"""
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(head: str, value: str) -> str:
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n"


def field(name: str, value: str) -> str:
    return part(f'Content-Disposition: form-data; name="{name}"', value)


def upload(value: str) -> str:
    head = 'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav'
    return part(head, value)


def form(*parts: str) -> str:
    return "".join(parts) + f"--{BOUNDARY}--\r\n"


def models(lua: Lua, text: str, content_type: str = TYPE) -> list[Any]:
    return lua(LOCATE, text=text, content_type=content_type, path=None, size=None)[1:]


TEXT = st.text(st.sampled_from('ab\r\n-"=; model'), max_size=40)
PARTS = st.lists(st.one_of(st.builds(upload, TEXT), st.builds(field, st.sampled_from(["a", "models"]), TEXT)))


@given(before=PARTS, value=TEXT, after=PARTS)
def test_a_field_is_found_among_others(lua: Lua, before: list[str], value: str, after: list[str]) -> None:
    assert models(lua, form(*before, field("model", value), *after)) == [value]


@pytest.mark.parametrize(
    "head",
    [
        "content-disposition: form-data; name=model",
        'Content-Disposition: form-data; name="model" ',
        'Content-Type: text/plain\r\nContent-Disposition: form-data; name="model"',
        'CONTENT-DISPOSITION: form-data; NAME="model"',
        'Content-Disposition: form-data;name="model"',
    ],
)
def test_a_field_is_known_by_any_spelling_of_its_head(lua: Lua, head: str) -> None:
    assert models(lua, form(part(head, "gpt-4o"))) == ["gpt-4o"]


@pytest.mark.parametrize(
    "text",
    [
        form(upload(field("model", "no").replace(BOUNDARY, "other"))),
        form(part('Content-Disposition: form-data; name="model"; filename="m"', "no")),
        form(part('X-Other: form-data; name="model"', "no")),
        "",
    ],
)
def test_what_only_looks_like_the_field_is_not_it(lua: Lua, text: str) -> None:
    assert models(lua, text) == []


MODEL = field("model", "a")


@pytest.mark.parametrize(
    "text",
    [
        MODEL,
        "preamble\r\n" + form(MODEL),
        form(MODEL, upload("x") * 1000),
        form(part('Content-Disposition: form-data; name="model"; name="other"', "a")),
        form(part('Content-Disposition: form-data;\r\n name="model"', "a")),
        form(
            part(
                'Content-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"',
                "a",
            )
        ),
        form(part('Content-Disposition: form-data; name="mo\\del"', "a"), MODEL),
        form(part("X: " + "y" * 20_000 + '\r\nContent-Disposition: form-data; name="x"', "a"), MODEL),
        form(part('Content-Disposition: form-data; name="x"', f"a\r\n--{BOUNDARY}X\r\nb"), MODEL),
        form(part("X: y", "no disposition"), MODEL),
    ],
)
def test_a_form_that_can_be_read_in_two_ways_is_not_read(lua: Lua, text: str) -> None:
    assert models(lua, text) == []


MANY_PARAMETERS = "".join(f"; p{number}=v" for number in range(2000))


def test_a_head_with_very_many_parameters_is_not_read(lua: Lua) -> None:
    head = f'Content-Disposition: form-data; name="x"{MANY_PARAMETERS}'
    assert models(lua, form(part(head, "a"), MODEL)) == []


def test_a_form_of_such_heads_costs_no_more_than_reading_it(lua: Lua) -> None:
    chunk = """
    local multipart = require("apisix.plugins.azure-openai.request.multipart")
    local request_body = require("apisix.plugins.azure-openai.request.body")
    local parts, count = {}, 0
    local many = (";p=v"):rep(1800):gsub("p", function()
        count = count + 1
        return "p" .. count
    end)
    for index = 1, 300 do
        parts[index] = '--R\\r\\nContent-Disposition: form-data; name="x"' .. many .. "\\r\\n\\r\\nx\\r\\n"
    end
    local body = request_body.of_text(table.concat(parts) .. "--R--\\r\\n")
    return select(2, multipart.locate(body, "multipart/form-data; boundary=R", "model", function() end))
    """
    # If the work grew with the square of the parameters, this would take a minute. The client waits for 10 s.
    assert lua(chunk)[0] is False


@pytest.mark.parametrize(
    ("text", "has_file"),
    [
        (form(MODEL, part('Content-Disposition: form-data; name="Model"; filename="m"', "b")), True),
        (form(part("Content-Disposition: form-data; name=model; filename*=UTF-8''m", "b"), MODEL), True),
        (form(MODEL, upload("x")), False),
    ],
)
def test_a_file_with_the_name_of_the_field_is_told(lua: Lua, text: str, has_file: bool) -> None:
    chunk = """
    local multipart = require("apisix.plugins.azure-openai.request.multipart")
    local request_body = require("apisix.plugins.azure-openai.request.body")
    local body = request_body.of_text(text)
    return select(3, multipart.locate(body, content_type, "model", function() end))
    """
    assert lua(chunk, text=text, content_type=TYPE) == [has_file]


def test_what_stands_behind_the_end_is_no_field(lua: Lua) -> None:
    assert models(lua, form(MODEL) + form(field("model", "b"))) == ["a"]


@pytest.mark.parametrize(
    "content_type",
    [f"{TYPE}; boundary=other", f"{TYPE}; x=y z", "multipart/form-data; boundary=" + "b" * 71],
)
def test_a_boundary_that_can_be_read_in_two_ways_is_none(lua: Lua, content_type: str) -> None:
    assert models(lua, form(MODEL), content_type) == []


@pytest.mark.parametrize("other", ["xboundary=no", 'x="; boundary=no"'])
def test_a_boundary_is_told_from_what_looks_like_one(lua: Lua, other: str) -> None:
    assert models(lua, form(MODEL), f"multipart/form-data; {other}; boundary={BOUNDARY}") == ["a"]


def test_every_occurrence_is_found(lua: Lua) -> None:
    assert models(lua, form(field("model", "a"), upload("RIFF"), field("model", "b"))) == ["a", "b"]


def test_a_quoted_boundary_is_understood(lua: Lua) -> None:
    content_type = f'multipart/form-data; charset=utf-8; Boundary="{BOUNDARY}"'
    assert models(lua, form(field("model", "gpt-4o")), content_type) == ["gpt-4o"]


def test_without_a_boundary_there_is_no_field(lua: Lua) -> None:
    assert models(lua, form(field("model", "gpt-4o")), "multipart/form-data") == []


@pytest.mark.parametrize("shift", range(-70, 10, 7))
def test_a_field_is_found_at_any_place_of_a_large_file(lua: Lua, tmp_path: Path, shift: int) -> None:
    # The file is read in windows of 1 MiB; the field lies across the end of the first one.
    text = form(
        upload("x" * (1024 * 1024 - 200 + shift)), field("model", "gpt-4o"), upload("y" * 1024 * 1024)
    )
    path = tmp_path / "body"
    path.write_text(text, newline="")
    tmp_path.chmod(0o755)
    found = lua(LOCATE, text=None, content_type=TYPE, path=str(path), size=len(text))
    assert found == [1, "gpt-4o"]
