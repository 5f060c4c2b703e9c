"""Scripted faults: what goes wrong, for which requests, and how often."""

from __future__ import annotations

import time
from email.utils import formatdate
from random import Random
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

StreamError = Literal[
    "auto", "chat_chunk", "event", "nested", "response_failed", "message_only", "unexplained"
]
Framing = Literal["length", "one_chunk", "extensions", "late_trailer", "close"]
GarbageHint = Literal[
    "negative",
    "zero",
    "day",
    "text",
    "empty",
    "float",
    "date",
    "past_date",
    "reset_tokens_only",
    "message_only",
]

Duration = Annotated[
    Annotated[float, Field(gt=0)] | Literal["forever"],
    BeforeValidator(lambda value: "forever" if value is True else value),
]
"""Seconds, or ``"forever"``; ``True`` means the same."""


class Fault(BaseModel):
    """One scripted fault: at most one *outcome* and any *modifiers*.

    Only the first fault in the script that matches a request applies to it.
    Outcomes: ``status``, ``garbage_hint``, ``reset``, ``hang``, ``cut``, ``stream_error``, ``refuse``.
    Modifiers: ``slow_first_byte``, ``stall``, ``split``, ``crlf``, ``cr``, ``framing``, ``packed``,
    ``content_type``, ``azure_errors``, ``older_usage``.
    Times are seconds unless the name says ``_ms``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    deployment: str | None = Field(default=None, description="only requests for this deployment")
    path: str | None = Field(default=None, description="only requests whose path contains this text")
    method: str | None = Field(default=None, description="only requests with this method")
    contains: str | None = Field(default=None, description="only requests whose body contains this text")
    count: int | None = Field(default=None, ge=1, description="how many requests it hits; without it, all")
    probability: float = Field(
        1.0, gt=0, le=1, description="share of matching requests it hits, from the seed"
    )

    status: int | None = Field(default=None, ge=200, le=599, description="answer with this status")
    body: str | dict[str, Any] | None = Field(
        None, description="body of `status`; by default Azure's for that status"
    )
    headers: dict[str, str] = Field(default_factory=dict, description="further headers of `status`")
    retry_after: float | str | None = Field(default=None, description="`retry-after` of `status`, as given")
    retry_after_ms: float | str | None = Field(
        default=None, description="`retry-after-ms` of `status`, as given"
    )
    garbage_hint: GarbageHint | None = Field(
        None,
        description="a 429 with an odd hint: negative, zero, day, text, empty, float, date, past_date, "
        "reset_tokens_only, message_only",
    )
    reset: bool = Field(default=False, description="TCP reset before the head")
    hang: Duration | None = Field(
        default=None, description="no answer for so many seconds (alone: for ever), then close"
    )
    refuse: Duration | None = Field(
        default=None, description="refuse connections for so many seconds (alone: until cleared)"
    )
    cut: int | None = Field(
        None, ge=0, description="close after so many events; without a stream, bytes of the body"
    )
    cut_inside: bool = Field(default=False, description="`cut` sends half of the next event as well")
    cut_rst: bool = Field(default=False, description="`cut` ends with a TCP reset instead of a close")
    stream_error: StreamError | None = Field(
        default=None,
        description="an error inside a 200 stream: auto, chat_chunk, event, nested, response_failed, "
        "message_only or unexplained",
    )
    after: int = Field(default=0, ge=0, description="output events before `stream_error` or `stall`")
    code: str | None = Field(default=None, description="error code of `status` or `stream_error`")
    message: str | None = Field(default=None, description="error message of `status` or `stream_error`")

    slow_first_byte: float = Field(default=0.0, ge=0, description="seconds before the head")
    stall: float = Field(
        0.0, ge=0, description="seconds of silence inside a stream, after `after` output events"
    )
    split: int | None = Field(default=None, ge=1, description="write a stream in pieces of so many bytes")
    crlf: bool = Field(default=False, description="CRLF line ends in a stream")
    cr: bool = Field(default=False, description="lines of a stream end in CR alone")
    framing: Framing | None = Field(
        default=None,
        description="framing of the body: length, one_chunk, extensions (of chunks), late_trailer or close",
    )
    packed: bool = Field(default=False, description="gzip that nobody asked for")
    content_type: str | None = Field(
        default=None, description="content type of the answer; none when it is empty"
    )
    azure_errors: bool = Field(
        default=False, description="errors in the form of Azure's platform, whatever the surface"
    )
    older_usage: bool = Field(
        default=False, description="an Anthropic stream whose last usage is the output tokens alone"
    )

    @model_validator(mode="after")
    def _one_outcome(self) -> Fault:
        chosen = self.outcomes
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other: script one fault for each")
        if not chosen and not self.modifiers:
            raise ValueError(
                "nothing goes wrong: give status, reset, hang, cut, stream_error or another fault"
            )
        if self.refuse and (
            self.count or self.deployment or self.path or self.method or self.contains or self.probability < 1
        ):
            raise ValueError(
                "refuse closes the port: it takes no deployment, path, method, contains, count or probability"
            )
        return self

    @property
    def outcomes(self) -> list[str]:
        """Names of the outcomes that are set."""
        names = ("status", "garbage_hint", "reset", "hang", "refuse", "cut", "stream_error")
        # Zero is a value: cut=0 closes before the first event.
        return [
            name for name in names if getattr(self, name) is not None and getattr(self, name) is not False
        ]

    @property
    def modifiers(self) -> list[str]:
        """Names of the modifiers that are set."""
        names = (
            "slow_first_byte",
            "stall",
            "split",
            "crlf",
            "cr",
            "framing",
            "packed",
            "azure_errors",
            "older_usage",
        )
        return [name for name in names if getattr(self, name)] + (
            ["content_type"] if self.content_type is not None else []
        )

    def matches(self, method: str, path: str, deployment: str | None, body: bytes = b"") -> bool:
        """Whether the fault applies to such a request."""
        return (
            (self.deployment is None or self.deployment == deployment)
            and (self.path is None or self.path in path)
            and (self.method is None or self.method.upper() == method)
            and (self.contains is None or self.contains.encode() in body)
        )

    def retry_headers(self) -> list[tuple[str, str]]:
        """The retry hint of ``status`` or ``garbage_hint`` as headers."""
        if self.garbage_hint is not None:
            return _garbage_headers(self.garbage_hint)
        hints = (("retry-after-ms", self.retry_after_ms), ("retry-after", self.retry_after))
        return [(name, _plain(value)) for name, value in hints if value is not None]


def _plain(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return str(int(value)) if value.is_integer() else str(value)


def _garbage_headers(hint: GarbageHint) -> list[tuple[str, str]]:
    values: dict[GarbageHint, str] = {
        "negative": "-1",
        "zero": "0",
        "day": "86400",
        "text": "soon",
        "empty": "",
        "float": "1.5",
        "date": formatdate(time.time() + 5, usegmt=True),
        "past_date": formatdate(0, usegmt=True),
    }
    if hint in values:
        return [("retry-after", values[hint])]
    if hint == "reset_tokens_only":
        return [("x-rate-limit-reset-tokens", "5"), ("policy-id", "DeploymentRatelimit-Token")]
    return []


NO_FAULT = Fault.model_construct()
"""Nothing goes wrong."""


class FaultScript:
    """The faults of one region in the order in which they are tried, and how often each still applies."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._random = Random(seed)  # noqa: S311 - repeatable, not secret
        self._entries: list[_Entry] = []

    def add(self, fault: Fault) -> None:
        """Append a fault."""
        self._entries.append(_Entry(fault, fault.count))

    def clear(self) -> None:
        """Forget all faults and start drawing probabilities from the seed again."""
        self._entries.clear()
        self._random.seed(self._seed)

    def take(self, method: str, path: str, deployment: str | None, body: bytes = b"") -> Fault | None:
        """The first fault for such a request, whose count goes down; ``None`` when nothing goes wrong."""
        for entry in self._entries:
            fault = entry.fault
            if entry.left == 0 or fault.refuse or not fault.matches(method, path, deployment, body):
                continue
            if entry.fault.probability < 1 and self._random.random() >= entry.fault.probability:
                continue
            if entry.left is not None:
                entry.left -= 1
            entry.hits += 1
            return entry.fault
        return None

    def describe(self) -> list[dict[str, Any]]:
        """Each fault as JSON with ``left`` (``null``: no end) and ``hits``."""
        return [
            {**entry.fault.model_dump(exclude_defaults=True), "left": entry.left, "hits": entry.hits}
            for entry in self._entries
        ]


class _Entry:
    def __init__(self, fault: Fault, left: int | None) -> None:
        self.fault = fault
        self.left = left
        self.hits = 0
