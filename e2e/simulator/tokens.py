"""Estimates the tokens of prompts, and makes the text of answers.

Four bytes of UTF-8 count as one token, rounded up, plus a few tokens for each message. This needs no
vocabulary and is close to real tokenizers for English text. An answer is counted exactly: one word is one
token, one streamed delta and one unit of per-token latency.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

TOKENS_PER_MESSAGE = 4
TOKENS_PER_REPLY = 3


def of_text(text: str) -> int:
    """The tokens of a text.

    >>> of_text("hello")
    2
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


def of_content(content: Any) -> int:
    """The tokens of message content: a text, a list of parts, or an object that holds one of them."""
    return sum(of_text(text) for text in texts(content))


def of_messages(messages: list[Any]) -> int:
    """The tokens of a chat prompt."""
    total = sum(TOKENS_PER_MESSAGE + sum(map(of_text, said(message))) for message in messages)
    return total + TOKENS_PER_REPLY


def said(message: Any) -> list[str]:
    """The texts of a message, and what it says of calls of functions: their names, arguments and results.

    >>> said({"type": "function_call", "name": "ls", "arguments": "{}"})
    ['ls', '{}']
    """
    if not isinstance(message, dict):
        return texts(message)
    calls = message.get("tool_calls")
    named = (
        [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    )
    return texts(message.get("content")) + [text for part in (message, *named) for text in _called(part)]


def _called(part: Any) -> list[str]:
    """What an item, or the function of a chat message, says of a call."""
    if not isinstance(part, dict):
        return []
    values = [part.get(name) for name in ("name", "arguments", "output")]
    return [text for value in values for text in texts(value)]


def texts(content: Any) -> list[str]:
    """The texts inside message content, in order.

    >>> texts([{"type": "text", "text": "a"}, "b"])
    ['a', 'b']
    """
    if isinstance(content, str):
        return [content]
    if isinstance(content, list):
        return [text for part in content for text in texts(part)]
    if isinstance(content, dict):
        return texts(content.get("text", content.get("content")))
    return []


def last_user_text(messages: list[Any]) -> str:
    """The text of the user's last message; an empty string without one."""
    users = [m for m in messages if isinstance(m, dict) and m.get("role") == "user"]
    return " ".join(texts(users[-1].get("content"))) if users else ""


_FILLER = ("lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing", "elit", "sed", "do")

_ECHOED_WORDS = 8


@dataclass(frozen=True, slots=True)
class Generated:
    """A generated text in pieces of one token each; ``finish`` is ``stop`` or ``length``."""

    pieces: list[str]
    finish: str

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)


def generate(
    region: str, deployment: str, number: int, prompt: str, length: int, limit: int | None
) -> Generated:
    """A text of ``length`` tokens: region, deployment and request number, then the beginning of the prompt.

    ``limit`` is the client's ``max_tokens``. When it is below ``length``, it cuts the text, and the finish
    reason is ``length``.

    >>> generate("eastus", "gpt-4o", 1, "say hello", length=4, limit=None).text
    'eastus/gpt-4o#1: say hello lorem'
    """
    words = [f"{region}/{deployment}#{number}:", *prompt.split()[:_ECHOED_WORDS]]
    words = [*words, *islice(cycle(_FILLER), max(0, length - len(words)))][: max(1, length)]
    finish = "stop"
    if limit is not None and limit < len(words):
        words, finish = words[: max(1, limit)], "length"
    return Generated([words[0], *(f" {word}" for word in words[1:])], finish)
