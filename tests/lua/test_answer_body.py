"""T1, T3: bodies are read the same whatever their framing and their reads, and never end too early."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode, b64encode
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua
from tests.support.inputs import many

READ = """
local answer_body = require("apisix.plugins.azure-openai.attempt.answer_body")

-- A connection that hands out the pieces one by one, then says how it ended.
local function connection_of(pieces, ending)
    local position, rest = 0, ""
    return { timeout_ms = 1000, settimeout = function() end, receiveany = function(_, most)
        if rest == "" then
            position = position + 1
            rest = pieces[position] and ngx.decode_base64(pieces[position])
        end
        if not rest then
            rest = ""
            return nil, ending
        end
        local taken = rest:sub(1, most)
        rest = rest:sub(most + 1)
        return taken
    end }
end

local function read(headers, pieces, ending)
    local body = assert(answer_body.new(connection_of(pieces, ending), headers))
    local parts = {}
    local piece, err = body:next()
    while piece do
        parts[#parts + 1] = piece
        piece, err = body:next()
    end
    return table.concat(parts), err or false, body:leaves_clean()
end

local results = {}
for index, pieces in ipairs(lists) do
    local text, err, is_clean = read(setmetatable({}, { __index = headers }), pieces, ending)
    results[index] = { ngx.encode_base64(text), err, is_clean }
end
return results
"""
TEXT = b'{"a":["\xc3\xa9]}\\"\\\\",{"b":"' + b"x" * 40 + b'"}]}'
CHUNKED = b"1\r\n" + TEXT[:1] + b"\r\n05 ;name=value\r\n" + TEXT[1:6] + b"\r\n"
CHUNKED += b'%X;a="b"\r\n' % (len(TEXT) - 6) + TEXT[6:] + b"\r\n0;last\r\nX-Trailer: 1\r\nX-Other: 2\r\n\r\n"
PACKED = gzip.compress(TEXT, mtime=0)
FRAMINGS: dict[str, tuple[dict[str, str], bytes]] = {
    "length": ({"content-length": str(len(TEXT))}, TEXT),
    "chunks": ({"transfer-encoding": "chunked"}, CHUNKED),
    "end": ({"content-type": "application/json"}, TEXT),
    "packed": ({"content-length": str(len(PACKED)), "content-encoding": "gzip"}, PACKED),
    "packed to the end": ({"content-encoding": "gzip"}, PACKED),
}


def read(
    lua: Lua, headers: dict[str, str], lists: list[list[bytes]], ending: str = "closed"
) -> list[tuple[bytes, str | None, bool]]:
    """What each list of pieces is read as: body, error, and whether the connection can be used again."""
    encoded = [[b64encode(piece).decode() for piece in pieces] for pieces in lists]
    [results] = lua(READ, headers=headers, lists=encoded, ending=ending)
    return [(b64decode(text), err or None, clean) for text, err, clean in results]


@pytest.mark.parametrize("name", FRAMINGS)
def test_t1_a_body_is_the_same_at_every_boundary_of_two_reads(lua: Lua, name: str) -> None:
    headers, raw = FRAMINGS[name]
    lists = [[raw[:cut], raw[cut:]] for cut in range(1, len(raw))]
    is_clean = name in {"length", "chunks", "packed"}
    assert read(lua, headers, lists) == [(TEXT, None, is_clean)] * len(lists)


@pytest.mark.parametrize("name", FRAMINGS)
def test_t1_and_byte_by_byte(lua: Lua, name: str) -> None:
    headers, raw = FRAMINGS[name]
    assert read(lua, headers, [[bytes([byte]) for byte in raw]])[0][:2] == (TEXT, None)


@pytest.mark.parametrize("ending", ["closed", "connection reset by peer"])
@pytest.mark.parametrize("name", FRAMINGS)
def test_t3_a_body_that_is_cut_anywhere_ends_with_an_error(lua: Lua, name: str, ending: str) -> None:
    headers, raw = FRAMINGS[name]
    results = read(lua, headers, [[raw[:cut]] for cut in range(len(raw))], ending)
    assert [cut for cut, (_, err, is_clean) in enumerate(results) if not err or is_clean] == []
    assert all(TEXT.startswith(text) for text, _, _ in results)


def test_t1_what_the_connection_has_is_passed_on_together(lua: Lua) -> None:
    chunk = READ.replace("parts[#parts + 1] = piece", 'parts[#parts + 1] = piece .. "|"')
    raw = b"".join(b"3\r\nabc\r\n" for _ in range(3))

    pieces = [[b64encode(raw).decode(), b64encode(b"3\r\nabc\r\n0\r\n\r\n").decode()]]
    [[result]] = lua(chunk, headers={"transfer-encoding": "chunked"}, lists=pieces, ending="closed")
    assert b64decode(result[0]) == b"abcabcabc|abc|"


@pytest.mark.parametrize(
    "raw",
    [
        b"-5\r\nhello",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"g\r\n",
        b";ab\r\nhello",
        b"\r\nhello",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"f" * 13 + b"\r\nx",
        b"0" * 5000,
        b"5;" + b"x" * 5000 + b"\r\nhello",
        b"0\r\n" + b"x: y\r\n" * 20_000,
    ],
)
def test_f1_broken_chunks_are_an_error(lua: Lua, raw: bytes) -> None:
    [(_, err, _)] = read(lua, {"transfer-encoding": "chunked"}, [[raw]])
    assert err not in {None, "closed"}


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "5x"},
        {"content-length": "-5"},
        {"content-length": ["5", "6"]},
        {"content-length": "9" * 30},
        {"transfer-encoding": "gzip, chunked"},
        {"transfer-encoding": "identity"},
    ],
)
def test_f1_a_head_that_does_not_say_where_its_body_ends_is_an_error(
    lua: Lua, headers: dict[str, object]
) -> None:
    chunk = """
    local answer_body = require("apisix.plugins.azure-openai.attempt.answer_body")
    return (answer_body.new({}, headers)) == nil
    """
    assert lua(chunk, headers=headers) == [True]


def test_f6_what_comes_behind_an_answer_is_not_read_as_the_next_one(lua: Lua) -> None:
    [(text, err, is_clean)] = read(lua, {"transfer-encoding": "chunked"}, [[CHUNKED + b"HTTP/1.1 200 OK"]])
    assert (text, err, is_clean) == (TEXT, None, False)


@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=20),
    cuts=st.lists(st.integers(1, 2000), max_size=20),
    extension=st.sampled_from([b"", b";a", b' ; a="0"', b"\t"]),
)
@settings(max_examples=many(100))
def test_t1_generated_chunks_in_generated_reads(
    lua: Lua, sizes: list[int], cuts: list[int], extension: bytes
) -> None:
    text = b"".join(b"\r\n%d\n" % size * size for size in sizes)
    raw, position = b"", 0
    for size in sizes:
        part = text[position : position + size]
        position += size
        raw += b"%x" % len(part) + extension + b"\r\n" + part + b"\r\n"
    raw += b"0\r\n\r\n"
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    pieces = [raw[start:stop] for start, stop in pairwise(places)]
    assert read(lua, {"transfer-encoding": "chunked"}, [pieces]) == [(text[:position], None, True)]


@given(
    value=st.recursive(
        st.text('ab"\\[]{}é') | st.integers() | st.booleans() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text('a"]}'), inner),
    )
)
@settings(max_examples=many(100))
def test_t3_json_is_whole_at_its_end_and_nowhere_before(lua: Lua, value: object) -> None:
    text = json.dumps([value])
    chunk = """
    local json_end = require("apisix.plugins.azure-openai.base.json_end")
    local whole = {}
    local scanner = json_end.scanner()
    for position = 1, #text do
        scanner:add(text:sub(position, position))
        if json_end.is_whole(text:sub(1, position)) or scanner:is_whole() then
            whole[#whole + 1] = position
        end
    end
    return whole, #text
    """
    positions, length = lua(chunk, text=text)
    assert positions == [length]
