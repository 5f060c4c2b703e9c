"""Which tool the simulated model calls, and with what.

It calls the tool that the client forces. Left to itself, it answers in text, except that a region may be told
to call some tools: it then calls the first of them that a request offers, once for each text of the user.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from e2e.simulator.answers import Json, dump
from e2e.simulator.tokens import Generated

_JSON_PIECE = 8
"""Characters of arguments that count as one token."""

_RESULT_ROLES = ("tool", "function")


def wanted(told: dict[str, Json], offered: Sequence[str], items: Sequence[Any]) -> str | None:
    """The tool to call of the model's own accord; ``None`` when it answers in text.

    ``told`` is what the region was told to call, ``items`` the messages or items of the prompt.

    >>> wanted({"get_weather": {}}, ["get_weather"], [{"role": "user", "content": "Hello"}])
    'get_weather'
    """
    names = [name for name in told if name in offered]
    return names[0] if names and not _has_result(items) else None


def arguments(told: dict[str, Json], name: str, generated: Generated) -> Json:
    """The arguments of a call: those that the region was told, else a text."""
    return told.get(name, {"text": generated.text})


def pieces(arguments: Json) -> list[str]:
    """Arguments as JSON, in pieces of one token each."""
    written = dump(arguments)
    return [written[start : start + _JSON_PIECE] for start in range(0, len(written), _JSON_PIECE)]


def _has_result(items: Sequence[Any]) -> bool:
    """Whether a result of a tool is what the model has to answer, and not a text of the user."""
    for item in reversed(items):
        if not isinstance(item, dict):
            continue
        if item.get("role") in _RESULT_ROLES or str(item.get("type")).endswith("_call_output"):
            return True
        if item.get("role") == "user":
            content = item.get("content")
            return isinstance(content, list) and any(
                isinstance(block, dict) and block.get("type") == "tool_result" for block in content
            )
    return False
