"""Large request bodies of every shape, to find out what reading them costs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

MIB = 1024 * 1024
CHAT = "/openai/v1/chat/completions"
EMBEDDINGS = "/openai/v1/embeddings"
TRANSCRIPTIONS = "/openai/v1/audio/transcriptions"
CONVERSATIONS = "/openai/v1/conversations"
_IMAGE = b"iVBORw0KGgoAAAANSUhEUgAA"
_LETTERS = b"abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class LargeBody:
    """A request body, and the answer that the gateway must give when it has 14 MiB or more."""

    target: str
    content: bytes
    status: int
    """400 when it is too complex."""
    content_type: str = "application/json"


def _filled(size: int, unit: bytes) -> bytes:
    return unit * (size // len(unit))


def _json(size: int, head: bytes, unit: bytes, tail: bytes) -> bytes:
    """`head`, the unit with a comma behind it again and again, and once more without the comma."""
    return b'{"model":"gpt-4o",' + head + _filled(size, unit + b",") + unit + tail + b"}"


def _chat(size: int, unit: bytes) -> bytes:
    return _json(size, b'"messages":[', unit, b"]")


def _said(text: bytes) -> bytes:
    return b'{"role":"user","content":' + text + b"}"


def _pictures(size: int, each: int) -> bytes:
    url = b'"data:image/png;base64,' + _filled(each, _IMAGE) + b'"'
    picture = b'{"type":"image_url","image_url":{"url":' + url + b"}}"
    return _chat(0, _said(b"[" + b",".join([picture] * max(size // each, 1)) + b"]"))


def _members(size: int) -> bytes:
    members = (b'"member-%08d-%s":"%s"' % (number, _LETTERS, _LETTERS * 2) for number in range(size // 104))
    return b'{"model":"gpt-4o","messages":[],"metadata":{' + b",".join(members) + b"}}"


def _form_of_heads(size: int) -> bytes:
    """300 parts whose heads hold thousands of parameters."""
    parameters = b"".join(b";p%d=v" % number for number in range(size // 300 // 8))
    head = b'Content-Disposition: form-data; name="x"' + parameters
    return b"".join([b"--R\r\n" + head + b"\r\n\r\nx\r\n"] * 300) + b"--R--\r\n"


def _form_of_parts(size: int) -> bytes:
    part = b'--R\r\nContent-Disposition: form-data; name="%d"\r\n\r\n' + b"x" * (size // 900) + b"\r\n"
    parts = b"".join(part % number for number in range(900))
    return parts + b'--R\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-4o\r\n--R--\r\n'


_FORM = "multipart/form-data; boundary=R"
_SHAPES: dict[str, Callable[[int], LargeBody]] = {
    "one picture": lambda size: LargeBody(CHAT, _pictures(size, size), 200),
    "many pictures": lambda size: LargeBody(CHAT, _pictures(size, MIB), 200),
    "one text": lambda size: LargeBody(CHAT, _chat(0, _said(b'"' + _filled(size, b"word ") + b'"')), 200),
    "escapes": lambda size: LargeBody(CHAT, _chat(0, _said(b'"' + _filled(size, b"\\u00e9\\n") + b'"')), 200),
    "texts of 100 bytes": lambda size: LargeBody(CHAT, _chat(size, _said(b'"' + b"word " * 20 + b'"')), 200),
    "texts of 10 KB": lambda size: LargeBody(CHAT, _chat(size, _said(b'"' + b"word " * 2000 + b'"')), 200),
    "whole numbers": lambda size: LargeBody(EMBEDDINGS, _json(size, b'"input":[', b"12345", b"]"), 200),
    "broken numbers": lambda size: LargeBody(
        EMBEDDINGS, _json(size, b'"input":[', b"-0.12345e-9", b"]"), 200
    ),
    "members": lambda size: LargeBody(CHAT, _members(size), 200),
    "a long name": lambda size: LargeBody(CHAT, _json(0, b'"messages":[],"', b"n" * size, b'":1'), 200),
    "blanks": lambda size: LargeBody(CHAT, _chat(0, _filled(size, b" \n\t\r") + _said(b'"Hi"')), 200),
    "empty lists": lambda size: LargeBody(CHAT, _json(size, b'"messages":[],"x":[', b"[]", b"]"), 400),
    "empty objects": lambda size: LargeBody(CHAT, _json(size, b'"messages":[],"x":[', b"{}", b"]"), 400),
    "empty texts": lambda size: LargeBody(CHAT, _json(size, b'"messages":[],"x":[', b'""', b"]"), 400),
    "words": lambda size: LargeBody(CHAT, _json(size, b'"messages":[],"x":[', b"true", b"]"), 400),
    "lists in lists": lambda size: LargeBody(
        CHAT, _json(size, b'"messages":[],"x":[', b"[" * 100 + b"]" * 100, b"]"), 400
    ),
    "deep lists": lambda size: LargeBody(CHAT, _json(0, b'"x":', b"[" * (size // 2), b""), 400),
    "short members": lambda size: LargeBody(CHAT, _json(size, b'"messages":[],"x":{', b'"a":1', b"}"), 400),
    "one number": lambda size: LargeBody(CHAT, _json(0, b'"x":', b"1" * size, b""), 400),
    "references": lambda size: LargeBody(
        CONVERSATIONS, _json(size, b'"items":[', b'{"type":"item_reference","id":"msg_12345678"}', b"]"), 400
    ),
    "a form of heads": lambda size: LargeBody(TRANSCRIPTIONS, _form_of_heads(size), 200, _FORM),
    "a form of parts": lambda size: LargeBody(TRANSCRIPTIONS, _form_of_parts(size), 200, _FORM),
}
CLASSES = tuple(_SHAPES)


def large_body(shape: str, size: int) -> LargeBody:
    """The body of one of the `CLASSES` in about so many bytes."""
    return _SHAPES[shape](size)


def random_document(source: random.Random, size: int) -> bytes:
    """A JSON object of about so many bytes that mixes all kinds of values."""
    parts, length = [b'{"model":"gpt-4o","messages":[]'], 0
    for number in itertools.count():
        if length >= size:
            break
        unit = source.choice(
            [b"1.5", b'"a"', b"[]", b"{}", b"null", b'"\\u00e9"', b'{"a":[1,"b"]}', b"[[1],2]"]
        )
        run = min(int(source.paretovariate(0.7) * 10), size - length)
        part = b',"m%d":[' % number + b",".join([unit] * max(run // len(unit), 1)) + b"]"
        parts.append(part)
        length += len(part)
    return b"".join(parts) + b"}"
