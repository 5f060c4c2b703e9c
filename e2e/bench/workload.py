"""What clients send and backends answer: a deployment's name says which answer it gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ANSWER_BYTES = 222
PROMPT_BYTES = 64 * 1024
TRIAL_REST_MS = 500
TRIAL_ANSWER_MS = 20
REST_SECONDS, LONG_REST_SECONDS = 1, 100

_MODEL = "o3"
_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": _MODEL}
_WORD = "Paris "


@dataclass(frozen=True)
class Stream:
    """An event stream: how many events, and how many milliseconds between two of them."""

    events: int
    pause_ms: int = 0


STREAMS: Mapping[str, Stream] = {
    "stream50": Stream(50),
    "stream500": Stream(500),
    "paced": Stream(50, pause_ms=10),
    "first": Stream(3, pause_ms=15),
}
ANSWER = "answer"
DEPLOYMENTS = (ANSWER, *STREAMS)


@dataclass(frozen=True)
class Request:
    """One request, and the further values of `key_header` that its clients take in turns."""

    url: str
    headers: Mapping[str, str]
    body: str
    key_header: str = ""
    keys: tuple[str, ...] = field(default=(), repr=False)


def usage(tokens: int) -> dict[str, int]:
    """The usage of an answer of so many tokens."""
    return {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}


def answer() -> str:
    """A chat completion of `ANSWER_BYTES` bytes."""
    choice = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
    completion = {"id": "1", "object": "chat.completion", "created": 1, "model": _MODEL}
    whole: dict[str, Any] = {**completion, "choices": [choice], "usage": usage(2)}
    missing = ANSWER_BYTES - len(_compact(whole))
    choice["message"] = {"role": "assistant", "content": (_WORD * missing)[:missing]}
    return _compact(whole)


def events(stream: Stream) -> list[str]:
    """The events of a stream: the words, the usage, the end."""
    choices = [{"index": 0, "delta": {"content": _WORD}, "finish_reason": None}]
    words = [{**_CHUNK, "choices": choices}] * stream.events
    documents = [*words, {**_CHUNK, "choices": [], "usage": usage(stream.events)}]
    return [f"data: {_compact(document)}\n\n" for document in documents] + ["data: [DONE]\n\n"]


def prompt(deployment: str, model: str, size: int = 0) -> str:
    """The body of a request; its question is padded to `size` bytes when they are given."""
    text = "What is the capital of France?"
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text.ljust(size, ".")}]}
    if deployment in STREAMS:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return _compact(body)


def _compact(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
