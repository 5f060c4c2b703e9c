"""Messages of a WebSocket are read alike, however their bytes are split and their frames are mixed."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from tests.engines.support import Lua
from tests.support.inputs import many

# Reads pieces (in base64) and returns each message that was read: what was kept of it, and its size.
READ = """
local frame_reader = require("apisix.plugins.azure-openai.answer.frame_reader")

local function read(pieces, wanted)
    local messages = {}
    local reader = frame_reader.new({
        wanted_bytes = function(head) return wanted or math.huge end,
        message = function(text, size)
            messages[#messages + 1] = { ngx.encode_base64(text), size }
        end,
    })
    for _, piece in ipairs(pieces) do
        reader:push(piece)
    end
    return messages
end
"""


def frame(opcode: Opcode, data: bytes, fin: bool = True, **options: Any) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=options.pop("mask", False), **options)


def fragments(message: bytes, sizes: list[int]) -> list[bytes]:
    """The frames of one text message, cut after so many bytes each."""
    pieces = []
    for size in sizes:
        pieces.append(message[:size])
        message = message[size:]
    pieces.append(message)
    last = len(pieces) - 1
    return [
        frame(Opcode.TEXT if index == 0 else Opcode.CONT, piece, index == last)
        for index, piece in enumerate(pieces)
    ]


def encoded(pieces: list[bytes]) -> list[str]:
    return [base64.b64encode(piece).decode() for piece in pieces]


def messages(lua: Lua, pieces: list[bytes], wanted: int | None = None) -> list[tuple[bytes, int]]:
    chunk = "for index, piece in ipairs(pieces) do pieces[index] = ngx.decode_base64(piece) end\n"
    call = "return read(pieces, wanted ~= 0 and wanted or nil)"
    [found] = lua(READ + chunk + call, pieces=encoded(pieces), wanted=wanted or 0)
    return [(base64.b64decode(text), size) for text, size in found or []]


TEXTS = [b"", b"a", b"x" * 125, b"y" * 126, b"z" * 300, "Grüße €".encode() * 30]
STREAM = b"".join(
    [
        frame(Opcode.TEXT, TEXTS[1]),
        frame(Opcode.PING, b"p" * 125),
        *fragments(TEXTS[4], [10, 0, 100]),
        frame(Opcode.BINARY, b"\x81\x05fooled"),
        frame(Opcode.TEXT, TEXTS[0]),
        fragments(TEXTS[5], [7])[0],
        frame(Opcode.PONG, b""),
        fragments(TEXTS[5], [7])[1],
        frame(Opcode.TEXT, TEXTS[3]),
        frame(Opcode.CLOSE, b"\x03\xe8"),
    ]
)
READ_OF_STREAM = [(text, len(text)) for text in (TEXTS[1], TEXTS[4], TEXTS[0], TEXTS[5], TEXTS[3])]


def test_s3_text_messages_are_read_and_other_frames_are_passed_over(lua: Lua) -> None:
    assert messages(lua, [STREAM]) == READ_OF_STREAM


def test_s3_every_byte_boundary_gives_the_same_messages(lua: Lua) -> None:
    chunk = """
    stream = ngx.decode_base64(stream)
    local core = require("apisix.core")
    local expected, different = core.json.encode(read({ stream })), {}
    for cut = 1, #stream - 1 do
        if core.json.encode(read({ stream:sub(1, cut), stream:sub(cut + 1) })) ~= expected then
            different[#different + 1] = cut
        end
    end
    return #different, different[1] or false
    """
    assert lua(READ + chunk, stream=base64.b64encode(STREAM).decode()) == [0, False]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_s3_small_pieces_give_the_same_messages(lua: Lua, size: int) -> None:
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert messages(lua, pieces) == READ_OF_STREAM


@pytest.mark.parametrize("size", [65_535, 65_536, 3_000_000])
def test_s3_a_long_message_is_read_whole_when_it_is_wanted(lua: Lua, size: int) -> None:
    chunk = """
    local length = size < 65536
        and string.char(126, math.floor(size / 256), size % 256)
        or string.char(127, 0, 0, 0, 0, 0, math.floor(size / 65536), math.floor(size / 256) % 256, size % 256)
    local found = read({ "\\129" .. length, ("m"):rep(size) })
    return #found, #ngx.decode_base64(found[1][1]), found[1][2]
    """
    assert lua(READ + chunk, size=size) == [1, size, size]


@pytest.mark.parametrize("wanted", [256, 300, 70_000])
def test_s3_of_a_long_message_only_the_beginning_is_kept(lua: Lua, wanted: int) -> None:
    long = bytes(range(32, 127)) * 2000
    assert messages(lua, fragments(long, [100, 1000]), wanted) == [(long[:wanted], len(long))]


def test_s3_the_next_message_is_read_after_one_that_was_not_wanted(lua: Lua) -> None:
    pieces = [frame(Opcode.TEXT, b"a" * 9000), frame(Opcode.TEXT, b"next")]
    assert messages(lua, pieces, 256) == [(b"a" * 256, 9000), (b"next", 4)]


def test_s3_compressed_messages_are_passed_over(lua: Lua) -> None:
    deflate = PerMessageDeflate(False, False, 15, 15)
    compressed = Frame(Opcode.TEXT, b'{"type":"response.done"}').serialize(mask=False, extensions=[deflate])
    assert messages(lua, [compressed, frame(Opcode.TEXT, b"plain")]) == [(b"plain", 5)]


def test_s3_masked_messages_are_passed_over(lua: Lua) -> None:
    pieces = [frame(Opcode.TEXT, b"masked" * 60, mask=True), frame(Opcode.TEXT, b"plain")]
    assert messages(lua, pieces) == [(b"plain", 5)]


FRAMES = st.one_of(
    st.builds(lambda data: ("control", [frame(Opcode.PING, data)]), st.binary(max_size=125)),
    st.builds(lambda data: ("other", [frame(Opcode.BINARY, data)]), st.binary(max_size=600)),
    st.builds(
        lambda data, sizes: (data, fragments(data, sizes)),
        st.binary(max_size=600),
        st.lists(st.integers(0, 200), max_size=4),
    ),
)


@given(
    parts=st.lists(FRAMES, max_size=6),
    between=st.lists(st.binary(max_size=125), max_size=4),
    cuts=st.lists(st.integers(0, 3000), max_size=8),
)
@settings(max_examples=many(200))
def test_s3_generated_frames_in_generated_pieces(
    lua: Lua, parts: list[tuple[Any, list[bytes]]], between: list[bytes], cuts: list[int]
) -> None:
    pings = iter(between)
    stream = b""
    for _, frames in parts:
        for one in frames:
            # A control frame may stand between the fragments of a message.
            stream += one + b"".join(
                frame(Opcode.PING, ping) for ping in [next(pings, None)] if ping is not None
            )
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:stop] for start, stop in pairwise(places)]
    expected = [(text, len(text)) for text, _ in parts if isinstance(text, bytes)]
    assert messages(lua, pieces) == expected


@given(pieces=st.lists(st.binary(max_size=40), max_size=12))
@settings(max_examples=many(200))
def test_s3_whatever_bytes_come_they_break_nothing(lua: Lua, pieces: list[bytes]) -> None:
    joined = b"".join(pieces)
    assert messages(lua, pieces) == messages(lua, [joined])
