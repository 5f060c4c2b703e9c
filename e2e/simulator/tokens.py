"""An estimate of token counts: four bytes of UTF-8 are a token, rounded up, plus a frame for each message.

It is close to real tokenizers for English text and needs no vocabulary. A generated answer is counted
exactly: one word is one token, one streamed delta and one unit of per-token latency.
"""

from __future__ import annotations

from typing import Any

TOKENS_PER_MESSAGE = 4
TOKENS_PER_REPLY = 3


def of_text(text: str) -> int:
    """Tokens of a text."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


def of_content(content: Any) -> int:
    """Tokens of message content: a text, a list of parts, or anything else as its text."""
    return sum(of_text(text) for text in texts(content))


def of_messages(messages: list[Any]) -> int:
    """Tokens of a chat prompt."""
    total = sum(
        TOKENS_PER_MESSAGE + of_content(m.get("content") if isinstance(m, dict) else m) for m in messages
    )
    return total + TOKENS_PER_REPLY


def texts(content: Any) -> list[str]:
    """The texts inside message content, in order."""
    if isinstance(content, str):
        return [content]
    if isinstance(content, list):
        return [text for part in content for text in texts(part)]
    if isinstance(content, dict):
        return texts(content.get("text", content.get("content")))
    return []
