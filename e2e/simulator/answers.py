"""What an operation returns: a whole answer, a stream of server-sent events, or a WebSocket session."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Json = dict[str, Any]

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Stage(Enum):
    """The part of a stream that an event belongs to; scripted stream faults count by it."""

    PREAMBLE = "preamble"
    """Before anything of the answer: ``prompt_filter_results``, ``response.created``, …"""
    FRAME = "frame"
    """Opens or closes the answer without any of its text: role chunk, ``output_item.added``, usage, …"""
    OUTPUT = "output"
    """Carries a piece of the answer; the per-token latency applies before each."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; ``data`` has no line breaks."""

    data: str
    name: str | None = None
    stage: Stage = Stage.FRAME

    def encode(self, newline: str = "\n") -> bytes:
        """The event's bytes with the empty line that ends it.

        >>> Event("{}", "error").encode()
        b'event: error\\ndata: {}\\n\\n'
        """
        head = f"event: {self.name}{newline}" if self.name else ""
        return f"{head}data: {self.data}{newline}{newline}".encode("utf-8", "replace")


@dataclass(slots=True)
class Answer:
    """A whole answer; per-token latency applies to each of its ``tokens``."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)
    content_type: str = "application/json"
    tokens: int = 0


@dataclass(slots=True)
class EventStream:
    """A 200 answer of type ``text/event-stream``.

    ``flavour`` (``chat``, ``responses`` or ``messages``) picks the form of scripted stream errors, and
    ``subject`` is the response object that a ``response.failed`` event carries.
    """

    events: Iterator[Event]
    flavour: str
    subject: Json = field(default_factory=dict)
    headers: list[tuple[str, str]] = field(default_factory=list)


Messages = list[tuple[str, bool]]
"""Messages to send over a WebSocket, each with whether it carries a piece of output."""


@dataclass(slots=True)
class WebSocketSession:
    """An answer that becomes a WebSocket; ``headers`` are those of the 101."""

    greet: Callable[[], Messages]
    answer: Callable[[str], Messages]
    headers: list[tuple[str, str]]


Reply = Answer | EventStream | WebSocketSession
"""Everything that an operation may return."""


def json_answer(document: Any, status: int = 200, tokens: int = 0) -> Answer:
    """An :class:`Answer` with a compact JSON body."""
    return Answer(status, dump(document).encode("utf-8", "replace"), tokens=tokens)


def dump(document: Any) -> str:
    """Compact JSON, as Azure sends it."""
    return _encode(document)
