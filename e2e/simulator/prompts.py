"""Lays a prompt out in bytes: four for each of its tokens, so that equal beginnings are equal bytes.

The number of tokens is that of :mod:`tokens`: a text is padded to a whole token, and a message begins with a
mark that stands for its role.
"""

from __future__ import annotations

import hashlib
from typing import Any

from e2e.simulator import tokens

TOKEN_BYTES = 4


def of_text(text: str) -> bytes:
    """A text.

    >>> of_text("hello")
    b'hello\\x00\\x00\\x00'
    """
    data = text.encode("utf-8", "surrogatepass")
    return data + bytes(-len(data) % TOKEN_BYTES)


def of_content(content: Any) -> bytes:
    """Message content: a text, a list of parts, or an object that holds one of them."""
    return b"".join(map(of_text, tokens.texts(content)))


def of_messages(messages: list[Any]) -> bytes:
    """A chat prompt, with the tokens that open the reply."""
    parts = []
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        parts += [mark(str(role)), *map(of_text, tokens.said(message))]
    return b"".join(parts) + bytes(tokens.TOKENS_PER_REPLY * TOKEN_BYTES)


def mark(text: str) -> bytes:
    """What opens a message: as many tokens as each message costs."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[
        : tokens.TOKENS_PER_MESSAGE * TOKEN_BYTES
    ]


def count(layout: bytes) -> int:
    """The tokens of a layout."""
    return len(layout) // TOKEN_BYTES
