"""The scanner of JSON accepts what a strict decoder accepts and finds the same in it, however it is cut."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua
from tests.support.inputs import many

GENERATED = settings(max_examples=many(150), deadline=None, print_blob=True)

# Cuts a text at the given places and notes what the scanner tells of it.
SCAN = """
local scanner = require("apisix.plugins.azure-openai.base.json_scanner")

local function pieces_of(text, cuts)
    local from, index = 1, 0
    return function()
        if from > #text then
            return nil
        end
        index = index + 1
        local to = cuts[index] or #text
        local piece = text:sub(from, to)
        from = to + 1
        return piece
    end
end

local function listener()
    local heard, pending = {}, {}
    local function note(...)
        heard[#heard + 1] = { ... }
    end
    return heard, {
        name = function(_, _, name)
            note("name", ngx.encode_base64(name or "long"))
        end,
        string = function(_, scanner, from, to)
            note("string", ngx.encode_base64(scanner:string_at(from, to)))
        end,
        long_string = function(_, _, head, offset, bytes)
            note("long", offset, bytes, #head)
        end,
        other = function(_, scanner, kind, from, to)
            note(kind, scanner.text:sub(from, to))
        end,
        open = function(_, _, is_object, offset)
            note(is_object and "object" or "list", offset)
        end,
        close = function(_, _, offset)
            note("end", offset)
        end,
    }
end

local function scan(text, cuts)
    local heard, ear = listener()
    local nodes, fault = scanner.scan(pieces_of(text, cuts), ear, function() end)
    return { nodes = nodes, fault = fault, heard = heard }
end
"""

KEYS = st.one_of(st.sampled_from(["model", 'a"b', "a\\", "é", "", "\ud83d"]), st.text(max_size=8))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**20, 10**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(), max_size=12),
    st.text(st.sampled_from('\\"\n\t/\ud83d\ude00\x00é a'), max_size=40),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(st.integers(-5, 500), max_size=30),
        st.dictionaries(KEYS, inner, max_size=4),
    ),
    max_leaves=15,
)
LAYOUTS = st.sampled_from(
    [{}, {"separators": (",", ":")}, {"indent": 2}, {"indent": "\t"}, {"separators": (" , ", "  :\r\n ")}]
)
TEXTS = st.builds(lambda value, layout: json.dumps(value, **layout).encode(), VALUES, LAYOUTS)
UNESCAPED = st.builds(
    lambda value, layout: json.dumps(value, ensure_ascii=False, **layout).encode("utf-8", "replace"),
    VALUES,
    LAYOUTS,
)


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def scan(lua: Lua, text: bytes, cuts: Sequence[int] = ()) -> dict[str, Any]:
    chunk = SCAN + "return scan(ngx.decode_base64(text), cuts)"
    found: dict[str, Any] = lua(chunk, text=encoded(text), cuts=list(cuts))[0]
    return found


def is_json(text: bytes) -> bool:
    def refuse(_: str) -> None:
        raise ValueError

    try:
        # Bytes are compared one by one: UTF-8 is not the scanner's business.
        json.loads(text.decode("latin-1"), parse_constant=refuse)
    except ValueError:
        return False
    return True


def accepted(lua: Lua, texts: Sequence[bytes]) -> list[bool]:
    """Whether each text is JSON for the scanner, in one piece and cut at every byte."""
    chunk = """
    local results = {}
    for index, text in ipairs(texts) do
        text = ngx.decode_base64(text)
        local every = {}
        for cut = 1, #text do
            every[cut] = cut
        end
        local whole, cut = scan(text, {}), scan(text, every)
        results[index] = (whole.fault == nil) == (cut.fault == nil) and whole.fault == nil
        if (whole.fault == nil) ~= (cut.fault == nil) then
            error("cut, the text is another: " .. text)
        end
    end
    return results
    """
    results: list[bool] = lua(SCAN + chunk, texts=[encoded(text) for text in texts])[0]
    return results


@given(texts=st.lists(st.one_of(TEXTS, UNESCAPED), min_size=1, max_size=10))
@GENERATED
def test_every_json_text_is_accepted(lua: Lua, texts: list[bytes]) -> None:
    assert accepted(lua, texts) == [True] * len(texts)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """JSON texts in which some bytes are missing, added or others."""
    text = bytearray(draw(st.one_of(TEXTS, UNESCAPED)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text)))
        new = draw(
            st.sampled_from(
                [b"", *(bytes([byte]) for byte in b'{}[]",:\\ \n\t\x00\x1f\x7f\xff0123.eE+-tfnu')]
            )
        )
        text[place : place + draw(st.integers(0, 1))] = new
    return bytes(text)


@given(texts=st.lists(mutations(), min_size=1, max_size=20))
@settings(GENERATED, max_examples=many(300))
def test_exactly_what_a_strict_decoder_accepts_is_accepted(lua: Lua, texts: list[bytes]) -> None:
    assert accepted(lua, texts) == [is_json(text) for text in texts]


@given(texts=st.lists(st.text('{}[]",:\\ \n0123.eE+-truefalsn', max_size=12), min_size=1, max_size=50))
@settings(GENERATED, max_examples=many(200))
def test_so_it_is_with_any_soup_of_json(lua: Lua, texts: list[str]) -> None:
    soup = [text.encode() for text in texts]
    assert accepted(lua, soup) == [is_json(text) for text in soup]


NUMBERS = ["0", "-0", "1", "-1.5", "1e5", "1E+5", "1.0e-5", "10", "0.1", "12345678901234567890"]
NO_NUMBERS = [
    "01",
    "-",
    "+1",
    ".5",
    "1.",
    "1.e5",
    "1e",
    "1e+",
    "--1",
    "0x10",
    "1_0",
    "NaN",
    "Infinity",
    "-Infinity",
]


@pytest.mark.parametrize("form", ["%s", "[%s]", "[%s,1]", "[1,%s,1]", '{"a":%s}', " %s "])
def test_numbers_have_the_grammar_of_json(lua: Lua, form: str) -> None:
    texts = [(form % number).encode() for number in [*NUMBERS, *NO_NUMBERS]]
    assert accepted(lua, texts) == [True] * len(NUMBERS) + [False] * len(NO_NUMBERS)


class Pairs(list[Any]):
    """The members of an object, in their order."""


class Number(str):
    """A number as it was written."""


def well(text: str) -> str:
    """A string as the scanner decodes it: half a surrogate pair is no character."""
    return encoded(re.sub("[\ud800-\udfff]", "\ufffd", text).encode())


def found(text: bytes) -> list[list[Any]]:
    """What the scanner should tell, from Python's own decoder."""
    heard: list[list[Any]] = []

    def hear(value: Any) -> None:
        match value:
            case Pairs():
                heard.append(["object"])
                for name, member in value:
                    heard.append(["name", well(name)])
                    hear(member)
                heard.append(["end"])
            case list():
                heard.append(["list"])
                for element in value:
                    hear(element)
                heard.append(["end"])
            case Number():
                heard.append(["number", str(value)])
            case str():
                heard.append(["string", well(value)])
            case _:
                heard.append([json.dumps(value)] * 2)

    hear(json.loads(text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number))
    return heard


def sure(heard: list[list[Any]]) -> list[list[Any]]:
    """Without the numbers that may be told or not: those of lists, apart from the first elements."""
    before = [["object"], *heard]
    return [
        event
        for event, previous in zip(heard, before, strict=False)
        if event[0] != "number" or previous[0] in ("object", "list", "name")
    ]


def without_places(heard: list[list[Any]]) -> list[list[Any]]:
    return [event[:1] if event[0] in ("object", "list", "end") else event for event in heard]


CUTS = st.lists(st.integers(1, 400), max_size=12, unique=True).map(sorted)


@given(text=TEXTS, cuts=CUTS)
@GENERATED
def test_what_is_told_is_what_a_decoder_finds(lua: Lua, text: bytes, cuts: list[int]) -> None:
    assert sure(without_places(scan(lua, text, cuts)["heard"])) == sure(found(text))


@given(text=st.one_of(TEXTS, UNESCAPED), cuts=CUTS)
@GENERATED
def test_cuts_change_no_place(lua: Lua, text: bytes, cuts: list[int]) -> None:
    assert sure(scan(lua, text, cuts)["heard"]) == sure(scan(lua, text)["heard"])


@pytest.mark.parametrize("length", [4095, 4096, 4097, 70_000])
@pytest.mark.parametrize("piece", [100_000, 4096, 1000, 7])
def test_a_long_string_is_told_by_its_place(lua: Lua, length: int, piece: int) -> None:
    text = b'["a", "' + b"x" * length + b'", 1]'
    heard = scan(lua, text, range(piece, len(text), piece))["heard"]
    assert [event[1:] for event in heard if event[0] == "long"] == [[6, length + 2, 4096]] * (length > 4096)


@pytest.mark.parametrize("end", ['"', '\\"', "\\u0022", "\\\\"])
@pytest.mark.parametrize("shift", range(6))
def test_escapes_in_a_long_string_may_be_cut_anywhere(lua: Lua, end: str, shift: int) -> None:
    text = b'["' + b"x" * 5000 + end.encode() + b'"]'
    assert scan(lua, text, [5002 + shift]) == scan(lua, text)
    assert accepted(lua, [text]) == [is_json(text)]


# Texts too large to be sent to the engine: Lua makes them.
LARGE = """
local ear = setmetatable({}, { __index = function() return function() end end })
local large = %s
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("('['):rep(129) .. (']'):rep(129)", "nested more than 128 deep at byte 129"),
        ("'[' .. ('[],'):rep(1000000) .. '[]]'", "more than 1000000 lists, objects, names and texts"),
        (
            "'{' .. ('\"a\":1,'):rep(1000000) .. '\"a\":1}'",
            "more than 1000000 lists, objects, names and texts",
        ),
        ("'[' .. ('1'):rep(1001) .. ']'", "a number of more than 1000 characters at byte 2"),
        ("'[1,' .. ('1'):rep(1001) .. ',1]'", "a number of more than 1000 characters at byte 4"),
    ],
    ids=["deep", "lists", "members", "number", "number in a row"],
)
def test_too_much_is_refused_in_words(lua: Lua, text: str, words: str) -> None:
    chunk = "return select(2, scanner.scan(large, ear, function() end))"
    fault = lua(SCAN + LARGE % text + chunk)[0]
    assert (words in fault["message"], fault["is_too_much"]) == (True, True)


@pytest.mark.parametrize(
    "text",
    ["('['):rep(128) .. (']'):rep(128)", "'[' .. ('1,'):rep(3000000) .. '1]'"],
    ids=["deep", "numbers"],
)
def test_what_is_not_too_much_is_accepted(lua: Lua, text: str) -> None:
    chunk = "return scanner.scan(large, ear, function() end) ~= nil"
    assert lua(SCAN + LARGE % text + chunk) == [True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "The JSON ends too early."),
        (b'{"a":1', "The JSON ends too early."),
        (b'{"a" 1}', "JSON has a colon at byte 6."),
        (b"[1 2]", "JSON has a comma or the end of the list or object at byte 4."),
        (b"{}x", "JSON has nothing more at byte 3."),
        (b'["a\nb"]', "There is a control character in a string at byte 4."),
        (b'["\\x"]', "There is an escape that JSON does not know at byte 3."),
        (b"[1}", "There is the end of something else than what is open at byte 3."),
        (b"[trux]", "There is a word that JSON does not know at byte 2."),
        (b"[01]", "JSON has a comma or the end of the list or object at byte 3."),
    ],
)
def test_a_fault_says_what_and_where(lua: Lua, text: bytes, message: str) -> None:
    assert scan(lua, text)["fault"] == {"message": message, "is_too_much": False}
    assert scan(lua, text, range(1, len(text)))["fault"]["message"] == message


@pytest.mark.parametrize(
    "text",
    [
        "'[\"' .. ('x'):rep(8000000) .. '\"]'",
        "'[' .. ('\"\",'):rep(900000) .. '1]'",
        "'[' .. ('12,'):rep(2000000) .. '1]'",
    ],
    ids=["one string", "strings", "numbers"],
)
def test_others_may_work_at_least_once_in_a_megabyte(lua: Lua, text: str) -> None:
    chunk = """
    local from, since, most = 1, 0, 0
    local function counted()
        local piece = large:sub(from, from + 65535)
        from, since = from + #piece, since + #piece
        most = math.max(most, since)
        return piece ~= "" and piece or nil
    end
    local nodes = scanner.scan(counted, ear, function()
        since = 65536
    end)
    return nodes ~= nil, most
    """
    whole, most = lua(SCAN + LARGE % text + chunk)
    assert (whole, most <= 1024 * 1024) == (True, True)
