"""Generated answers of a backend that wants to hurt the gateway: too long, too many, malformed, cut."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.support.floods import KIB, MIB, Flood, chunk

# Around the gateway's own limits, and far beyond them.
_LENGTHS = (0, 1, 100, 16 * KIB - 8, 16 * KIB, 16 * KIB + 8, 70 * KIB, 3 * MIB)
_COUNTS = (0, 1, 2, 200, 255, 256, 257, 5000)
# The gateway takes its time with chunks that are tiny.
_MOST_CHUNKS = 20_000
_TYPES = (b"application/json", b"text/event-stream", b"audio/mpeg", b"APPLICATION/JSON; x", b"", b"\xff")
_STATUSES = (b"200", b"201", b"206", b"204", b"304", b"302", b"400", b"404", b"413", b"500", b"503", b"599")
_LENGTH_FIELDS = (b"-5", b"5.5", b"0x10", b"1e3", b"+5", b"", b"5 5", b"9" * 30, b"nan", b"inf", b"5,5")
_CHUNK_SIZES = (
    b"-5",
    b"+5",
    b"0x5",
    b" 5",
    b"5 ",
    b"",
    b"g",
    b"f" * 16,
    b"f" * 40,
    b"5;" + b"x" * 100,
    b"00005",
)
_NASTY = (b"\0", b"\r", b"\n", b"\n\n", b"\xff\xfe", b":", b" ", b"\t", b"%s", b'"', b"\\", b"\r\n\r\n")
_EVENT_PARTS = (
    b"data: ",
    b"data:\n",
    b"data",
    b": x\n",
    b"event: error\n",
    b"event: response.completed\n",
    b"\n\n",
    b"\r\n\r\n",
    b"\r",
    b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n',
    b'data: {"type":"response.created","response":{"id":"resp_1"}}\n\n',
    b'{"usage":{"prompt_tokens":1}}',
    b'{"error":{"message":"x"}}',
    b"data: [DONE]\n\n",
)
_DOCUMENT_PARTS = (
    b"[],",
    b'{"a":',
    b'"x",',
    b"1,",
    b"\\",
    b'"',
    b'"usage":{',
    b"[",
    b" ",
    b'{"error":{"code":"',
)


def _size(dice: random.Random) -> int:
    return int(2 ** dice.uniform(0, 24))


def head(dice: random.Random) -> Flood:
    """A status line and headers, of which at least some are too much."""
    lines = [b"HTTP/1.1 100 Continue\r\n\r\n" * dice.choice(_COUNTS)]
    lines.append(dice.choice((b"HTTP/1.1 200 OK", b"HTTP/1.1 500", b"HTTP/9.9 20", b"", dice.randbytes(50))))
    lines.append(b"x" * dice.choice(_LENGTHS) + b"\r\n")
    for _ in range(dice.choice(_COUNTS)):
        name = dice.choice((b"x-%d" % dice.randrange(9999), b"x-same", dice.choice(_NASTY), b"x-ms-region"))
        value = dice.choice((b"1", dice.choice(_NASTY), dice.randbytes(20), b"y" * dice.choice(_LENGTHS[:4])))
        lines.append(name + b": " + value + dice.choice((b"\r\n", b"\n")))
    piece = dice.choice((b"x", b"x: y\r\n", b"\r", b"\0", b" folded\r\n"))
    return Flood(b"".join(lines), piece, _size(dice), dice.choice((b"", b"\r\n\r\n{}")))


def _plain_head(dice: random.Random, *fields: bytes) -> bytes:
    lines = [b"HTTP/1.1 %s Fine" % dice.choice(_STATUSES), b"content-type: " + dice.choice(_TYPES), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def framing(dice: random.Random) -> Flood:
    """A body whose length or chunks are not what they say."""
    if dice.random() < 0.4:
        fields = [b"content-length: " + dice.choice(_LENGTH_FIELDS) for _ in range(dice.choice((1, 1, 2)))]
        return Flood(_plain_head(dice, *fields), dice.choice((b"x", b"{}")), _size(dice))
    begin = _plain_head(dice, b"transfer-encoding: chunked")
    for _ in range(dice.randrange(4)):
        begin += chunk(dice.randbytes(dice.randrange(1, 300)))
    begin += dice.choice(_CHUNK_SIZES) + dice.choice((b"\r\n", b"\n", b""))
    piece = dice.choice((b"x", b"0", b"-5\r\nxx", b"1\r\nx\r\n", b"x: y\r\n", b"0\r\n", b";", b"\r\n"))
    return Flood(begin, piece, _size(dice), dice.choice((b"", b"0\r\n\r\n", b"0\r\nx: y\r\n\r\n")))


def _chunked(dice: random.Random, parts: tuple[bytes, ...]) -> Flood:
    pieces = [dice.choice(parts) * dice.choice((1, 1, 10, 1000)) for _ in range(dice.randrange(1, 6))]
    begin = _plain_head(dice, b"transfer-encoding: chunked") + b"".join(chunk(piece) for piece in pieces)
    repeated = b"".join(dice.choice(parts) for _ in range(dice.randrange(1, 4))) * dice.choice((1, 50, 3000))
    size = min(_size(dice), _MOST_CHUNKS * len(chunk(repeated)))
    return Flood(begin, chunk(repeated), size, dice.choice((b"", b"0\r\n\r\n", chunk(b"}") + b"0\r\n\r\n")))


def events(dice: random.Random) -> Flood:
    """A body of parts of events in no good order."""
    return _chunked(dice, _EVENT_PARTS)


def documents(dice: random.Random) -> Flood:
    """A body of parts of JSON in no good order."""
    return _chunked(dice, _DOCUMENT_PARTS)


KINDS: dict[str, Callable[[random.Random], Flood]] = {
    "head": head,
    "framing": framing,
    "events": events,
    "documents": documents,
}
