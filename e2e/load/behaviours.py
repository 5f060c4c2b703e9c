"""What users do: each behaviour sends one request, or a few that belong together.

Only `e2e.load.driver` imports this module: locust changes Python's sockets.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from e2e.load.behaviour_words import POISON
from e2e.load.samples import BROKEN, ERROR_EVENT, KEPT_HEADERS, SILENT_END, WHOLE, Sample

API_VERSION = "2023-05-15"
_ANSWER = re.compile(r"[a-z0-9-]+/[\w.-]+#\d+:")


class Response(Protocol):
    """The part of a response of `requests` that is used here."""

    status_code: int

    @property
    def headers(self) -> Any:
        """A mapping whose names have no case."""

    def iter_content(self, chunk_size: int | None) -> Any:
        """The body as it arrives."""


class Person(Protocol):
    """One user of the load."""

    dice: random.Random
    options: Mapping[str, Any]

    def exchange(
        self, step: str, method: str, path: str, body: Any = None, *, place: str = "", client: str = ""
    ) -> tuple[Sample, Any]:
        """Sends one request below the user's route; returns its sample and the JSON of the answer."""


def completion(user: Person) -> None:
    """A legacy text completion, as the toolkit's scenarios send it."""
    body = {
        "model": "gpt-5-turbo-1",
        "prompt": "Once upon a time",
        "max_tokens": _number(user, "max_tokens", 10),
    }
    user.exchange("completion", "POST", _deployment_path(user, "completions"), body)


def chat(user: Person) -> None:
    """A chat completion; `stream`, `words` (length of the prompt) and `max_tokens` are options."""
    content = f"Hello {user.dice.random()} " + "lorem " * int(user.options.get("words", 0))
    body: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
    if "max_tokens" in user.options:
        body["max_tokens"] = _number(user, "max_tokens", 10)
    if user.options.get("stream"):
        body["stream"] = True
    user.exchange("chat", "POST", _deployment_path(user, "chat/completions"), body)


def embedding(user: Person) -> None:
    """Embeddings of a text of `words` words."""
    body = {"input": "lorem " * int(user.options.get("words", 100)), "model": "embedding"}
    user.exchange("embedding", "POST", _deployment_path(user, "embeddings"), body)


def conversation(user: Person) -> None:
    """A stored response, `turns` continuations of it, and a look at the last one by its id."""
    model = user.options["deployment"]
    first, made = user.exchange("create", "POST", "/openai/v1/responses", {"model": model, "input": "Hello"})
    place = first.backend
    for turn in range(int(user.options.get("turns", 3))):
        if not made:
            return
        body = {"model": model, "input": f"And {turn}?", "previous_response_id": made["id"]}
        _, made = user.exchange("continue", "POST", "/openai/v1/responses", body, place=place)
    if made:
        user.exchange("read", "GET", f"/openai/v1/responses/{made['id']}", place=place)
        stranger = user.options.get("stranger")
        if stranger:
            path = f"/openai/v1/responses/{made['id']}"
            user.exchange("foreign read", "GET", path, place=place, client=stranger)


def nuisance(user: Person) -> None:
    """Requests that fail for a reason of their own; the poison makes backends fail."""
    path = _deployment_path(user, "chat/completions")
    message = {"role": "user", "content": "Hello"}
    kinds: list[tuple[str, str, Any]] = [
        ("malformed", path, "{"),
        ("no messages", path, {"messages": []}),
        ("wrong type", path, {"messages": [message], "max_tokens": "many"}),
        (
            "unknown deployment",
            _path(f"invented-{user.dice.randrange(10**6)}", "chat/completions"),
            {"messages": [message]},
        ),
        ("wrong path", "/openai/deployments/x/nothing", {}),
        ("poison", path, {"messages": [{"role": "user", "content": f"{POISON} {user.dice.random()}"}]}),
    ]
    user.exchange(*_posted(user.dice.choice(kinds)))


BEHAVIOURS: dict[str, Callable[[Person], None]] = {
    function.__name__: function for function in (completion, chat, embedding, conversation, nuisance)
}


def _posted(kind: tuple[str, str, Any]) -> tuple[str, str, str, Any]:
    step, path, body = kind
    return step, "POST", path, body


def _deployment_path(user: Person, operation: str) -> str:
    return _path(user.options["deployment"], operation)


def _path(deployment: str, operation: str) -> str:
    return f"/openai/deployments/{deployment}/{operation}?api-version={API_VERSION}"


def _number(user: Person, name: str, usual: int) -> int:
    """An option that is a number, or the two ends of a range to draw from."""
    value = user.options.get(name, usual)
    return user.dice.randint(*value) if isinstance(value, list | tuple) else int(value)


def read_answer(response: Response, sample: Sample, began: float) -> Any:
    """Reads the body of an answer into its sample; returns the JSON of a good one, else `None`."""
    sample.status = response.status_code
    sample.headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    sample.backend = response.headers.get("x-gateway-backend", "")
    sample.attempts = response.headers.get("x-gateway-attempts", "")
    body, sample.end = b"", WHOLE
    try:
        for piece in response.iter_content(chunk_size=None):
            sample.first_byte_ms = sample.first_byte_ms or (time.perf_counter() - began) * 1000
            body += piece
    except OSError:
        sample.end = BROKEN
    sample.total_ms = (time.perf_counter() - began) * 1000
    text = body.decode("utf-8", "replace")
    names = _ANSWER.findall(text)
    sample.answers, sample.answer = len(names), names[0].rstrip(":") if names else ""
    if "event-stream" in response.headers.get("content-type", ""):
        sample.end = end_of_stream(text, broken=sample.end == BROKEN)
        return None
    return _read_document(text, sample)


def end_of_stream(text: str, *, broken: bool) -> str:
    """How the text of a stream ends.

    >>> end_of_stream('data: {"choices": []}\\n\\ndata: [DONE]\\n\\n', broken=False)
    'whole'
    >>> end_of_stream('data: {"error": {"code": "x"}}\\n\\n', broken=True)
    'error event'
    """
    events = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
    last = events[-1] if events else ""
    if last == "[DONE]" or '"response.completed"' in last:
        return BROKEN if broken else WHOLE
    if '"error"' in last:
        return ERROR_EVENT
    return BROKEN if broken else SILENT_END


def _read_document(text: str, sample: Sample) -> Any:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    if isinstance(error, dict):
        sample.code = str(error.get("code") or error.get("type") or "")
    sample.prompt_tokens = _used(document, "prompt_tokens", "input_tokens")
    sample.completion_tokens = _used(document, "completion_tokens", "output_tokens")
    return document if sample.good else None


def _used(document: dict[str, Any], *names: str) -> int:
    """The first of these counts that an answer has, else 0: `_used({"usage": {"a": 3}}, "a", "b")` is 3."""
    usage = document.get("usage")
    counts = (usage.get(name) for name in names) if isinstance(usage, dict) else ()
    return next((count for count in counts if isinstance(count, int)), 0)
