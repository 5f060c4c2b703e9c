"""T1, F1: heads of answers are read the same whatever their reads; malformed or endless ones are errors."""

from __future__ import annotations

from base64 import b64encode
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua

READ = """
local response_head = require("apisix.plugins.azure-openai.attempt.response_head")

-- A connection that hands out the pieces one by one, then says that it has ended.
local function connection_of(pieces)
    local position, rest = 0, ""
    local connection = { timeout_ms = 60000 }
    function connection.receiveany(_, most)
        if rest == "" then
            position = position + 1
            rest = pieces[position] and ngx.decode_base64(pieces[position]) or ""
        end
        if rest == "" then
            return nil, "closed"
        end
        local taken = rest:sub(1, most)
        rest = rest:sub(most + 1)
        return taken
    end
    function connection.put_back(_, data)
        rest = data .. rest
    end
    function connection.rest()
        local text = rest
        for index = position + 1, #pieces do
            text = text .. ngx.decode_base64(pieces[index])
        end
        return text
    end
    return connection
end

local results = {}
for index, pieces in ipairs(lists) do
    local connection = connection_of(pieces)
    local head, err = response_head.read(connection)
    results[index] = {
        status = head and head.status or 0,
        headers = head and head.headers or false,
        is_kept = head and head.is_kept or false,
        err = err or "",
        rest = connection.rest(),
    }
end
return results
"""
OK = b"HTTP/1.1 200 OK\r\n"
HEAD = OK + b"Content-Type:application/json\r\nX-Empty:\r\nSet-Cookie: a=1 \r\nset-cookie:\tb=2\r\n\r\n"
HEADERS = {"content-type": "application/json", "x-empty": "", "set-cookie": ["a=1", "b=2"]}


def read(lua: Lua, *lists: list[bytes]) -> list[dict[str, Any]]:
    """What each list of pieces is read as."""
    encoded = [[b64encode(piece).decode() for piece in pieces] for pieces in lists]
    [results] = lua(READ, lists=encoded)
    return list(results)


def test_t1_names_are_lower_case_and_repeated_lines_a_list(lua: Lua) -> None:
    [head] = read(lua, [HEAD])
    assert (head["status"], head["headers"]) == (200, HEADERS)


def test_t1_a_head_is_the_same_at_every_boundary_of_two_reads(lua: Lua) -> None:
    raw = HEAD + b"body"
    [whole] = read(lua, [raw])
    assert whole["rest"] == "body"
    assert read(lua, *([raw[:cut], raw[cut:]] for cut in range(1, len(raw)))) == [whole] * (len(raw) - 1)


def test_t1_and_byte_by_byte(lua: Lua) -> None:
    [head] = read(lua, [bytes([byte]) for byte in HEAD])
    assert head["headers"] == HEADERS


def test_t1_lines_may_end_without_a_carriage_return(lua: Lua) -> None:
    [head] = read(lua, [HEAD.replace(b"\r\n", b"\n") + b"body"])
    assert (head["headers"], head["rest"]) == (HEADERS, "body")


def test_f1_a_head_that_is_cut_anywhere_is_an_error(lua: Lua) -> None:
    heads = read(lua, *([HEAD[:cut]] for cut in range(len(HEAD))))
    assert {(head["status"], head["err"]) for head in heads} == {(0, "closed")}


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"]
)
def test_t1_interim_responses_are_passed_over(lua: Lua, interim: bytes) -> None:
    [head] = read(lua, [interim * 3 + HEAD])
    assert (head["status"], head["headers"]) == (200, HEADERS)


def test_s5_a_switch_of_protocols_is_the_response(lua: Lua) -> None:
    [head] = read(lua, [b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nhi"])
    assert (head["status"], head["rest"]) == (101, "hi")


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 000 None\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b": no name\r\n\r\n",
        OK + b"a name: x\r\n\r\n",
        OK + b"name : x\r\n\r\n",
        OK + b"a: b\r\n folded\r\n\r\n",
        OK + b"a: b\r\n\0: x\r\n\r\n",
        OK + b"x: y\r\n" * 257 + b"\r\n",
        OK + b"x: " + b"y" * 65536 + b"\r\n\r\n",
        OK + b"x" * 100_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3000 + HEAD,
    ],
)
def test_f1_a_malformed_or_endless_head_is_an_error(lua: Lua, raw: bytes) -> None:
    [head] = read(lua, [raw])
    assert head["status"] == 0
    assert head["err"] not in {"", "closed"}


@pytest.mark.parametrize(
    ("version", "connection", "is_kept"),
    [
        ("1.1", "", True),
        ("1.1", "close", False),
        ("1.1", "X-Hop, Close", False),
        ("1.1", "keep-alive", True),
        ("1.0", "", False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_f6_a_connection_is_kept_when_its_server_keeps_it(
    lua: Lua, version: str, connection: str, *, is_kept: bool
) -> None:
    header = f"Connection: {connection}\r\n" if connection else ""
    [head] = read(lua, [f"HTTP/{version} 200 OK\r\n{header}\r\n".encode()])
    assert head["is_kept"] is is_kept


@given(
    headers=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True).filter(lambda name: name != "connection"),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
        min_size=1,
        max_size=12,
    ),
    cuts=st.lists(st.integers(1, 400), max_size=8),
)
@settings(max_examples=100)
def test_t1_generated_heads_in_generated_reads(lua: Lua, headers: dict[str, str], cuts: list[int]) -> None:
    raw = OK + b"".join(f"{name.title()}: {value}\r\n".encode() for name, value in headers.items()) + b"\r\n"
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    pieces = [raw[start:stop] for start, stop in pairwise(places)]
    [head] = read(lua, pieces)
    assert (head["status"], head["headers"]) == (200, headers)
