"""Requests of the official `openai` client, each checked for a whole and correct answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import openai

API_VERSION = "2025-04-01-preview"
EMBEDDING_DIMENSIONS = 1536
_TIMEOUT_SECONDS = 60
NAMES = {"openai": "OpenAI", "azure": "AzureOpenAI"}


class WrongAnswerError(Exception):
    """The client got an answer that does not fit its question."""


@dataclass(frozen=True)
class Outcome:
    """The result of one request. Times are milliseconds since it was sent.

    `winner` and `attempts` are the values of `x-gateway-backend` and `x-gateway-attempts`. `problem` says why
    the answer was not correct; it is None for a correct one.
    """

    request: str
    status: int | None
    winner: str
    attempts: list[str]
    first_token_ms: float | None
    total_ms: float
    problem: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the client got no correct answer."""
        return self.problem is not None


class _Raw(Protocol):
    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


class Watch:
    """Records what is seen of one request while it runs."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.first_token_ms: float | None = None

    def elapsed_ms(self) -> float:
        """Milliseconds since the request was sent."""
        return (time.perf_counter() - self._started) * 1000

    def answered(self, response: _Raw) -> None:
        """The answer's head has arrived."""
        self.status, self.headers = response.status_code, response.headers

    def token(self) -> None:
        """A piece of the answer's text has arrived."""
        if self.first_token_ms is None:
            self.first_token_ms = self.elapsed_ms()

    @property
    def winner(self) -> str:
        """The backend that answered."""
        return self.headers.get("x-gateway-backend", "")

    def outcome(self, request: str, problem: str | None) -> Outcome:
        """The result of the request, now that it is over."""
        return Outcome(
            request=request,
            status=self.status,
            winner=self.winner,
            attempts=[
                attempt for attempt in self.headers.get("x-gateway-attempts", "").split(",") if attempt
            ],
            first_token_ms=self.first_token_ms,
            total_ms=self.elapsed_ms(),
            problem=problem,
        )


@dataclass
class Exchange:
    """One request under way: the client, its question, and what is seen of the answer."""

    client: openai.OpenAI
    model: str
    question: str
    watch: Watch
    previous_response: str | None = None


def warm_up(endpoint: str, key: str, model: str) -> None:
    """Makes each kind of call once, directly to a region, and ignores the results."""
    with Caller(endpoint, key) as caller:
        for call in CALLS:
            caller.send(Request("openai", "warm-up", call, model))


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise WrongAnswerError(otherwise)


def _check_text(exchange: Exchange, text: str) -> None:
    # A simulated region begins its answer with its own name and repeats the question. So this checks that the
    # answer belongs to this request and came from the backend that the gateway names.
    _require(exchange.question in text, f"the answer does not repeat the question: {text!r}")
    winner = exchange.watch.winner
    _require(
        text.startswith(f"{winner}/"),
        f"not an answer from {winner or 'a named backend'}: {text!r}",
    )


def _messages(question: str) -> Any:
    return [{"role": "user", "content": question}]


def chat(exchange: Exchange) -> None:
    """A chat completion."""
    raw = exchange.client.chat.completions.with_raw_response.create(
        model=exchange.model, messages=_messages(exchange.question)
    )
    exchange.watch.answered(raw)
    choice = raw.parse().choices[0]
    _require(choice.finish_reason == "stop", f"the answer ended with {choice.finish_reason}")
    _check_text(exchange, choice.message.content or "")


def chat_streamed(exchange: Exchange) -> None:
    """A chat completion, streamed."""
    raw = exchange.client.chat.completions.with_raw_response.create(
        model=exchange.model, messages=_messages(exchange.question), stream=True
    )
    exchange.watch.answered(raw)
    text, finish = "", None
    for chunk in raw.parse():
        for choice in chunk.choices:
            if choice.delta.content:
                exchange.watch.token()
                text += choice.delta.content
            finish = choice.finish_reason or finish
    _require(finish == "stop", f"the stream ended with {finish}")
    _check_text(exchange, text)


def embeddings(exchange: Exchange) -> None:
    """An embedding."""
    raw = exchange.client.embeddings.with_raw_response.create(
        model=exchange.model, input=exchange.question, encoding_format="float"
    )
    exchange.watch.answered(raw)
    vector = raw.parse().data[0].embedding
    _require(len(vector) == EMBEDDING_DIMENSIONS and any(vector), f"a vector of {len(vector)} dimensions")


def _continued(exchange: Exchange) -> dict[str, Any]:
    return {"previous_response_id": exchange.previous_response} if exchange.previous_response else {}


def _check_response(exchange: Exchange, response: Any) -> None:
    _require(response.status == "completed", f"the response is {response.status}")
    _require(
        response.previous_response_id == exchange.previous_response,
        "it continues another response",
    )
    _check_text(exchange, response.output_text)
    exchange.previous_response = response.id


def responses(exchange: Exchange) -> None:
    """A response; it continues `previous_response` when there is one, and becomes the next one."""
    raw = exchange.client.responses.with_raw_response.create(
        model=exchange.model, input=exchange.question, **_continued(exchange)
    )
    exchange.watch.answered(raw)
    _check_response(exchange, raw.parse())


def responses_streamed(exchange: Exchange) -> None:
    """A response, streamed; it continues `previous_response` like `responses`."""
    raw = exchange.client.responses.with_raw_response.create(
        model=exchange.model, input=exchange.question, stream=True, **_continued(exchange)
    )
    exchange.watch.answered(raw)
    whole = None
    for event in raw.parse():
        if event.type == "response.output_text.delta":
            exchange.watch.token()
        elif event.type == "response.completed":
            whole = event.response
    _require(whole is not None, "the stream ended before response.completed")
    _check_response(exchange, whole)


Call = Callable[[Exchange], None]
CALLS: tuple[Call, ...] = (chat, chat_streamed, embeddings, responses, responses_streamed)


@dataclass(frozen=True)
class Request:
    """A request of the story.

    `surface` is `openai` (base URL `…/openai/v1/`) or `azure` (`AzureOpenAI`). With `continues`, the request
    names the last response as its `previous_response_id`.
    """

    surface: str
    name: str
    call: Call
    model: str
    continues: bool = False

    @property
    def title(self) -> str:
        """The name of the request in the table."""
        return f"{NAMES[self.surface]} {self.name}"


class Caller:
    """Sends requests with both official clients; a context manager."""

    def __init__(self, gateway_url: str, key: str) -> None:
        # No retries in the client, because only the gateway may make up for a failing region. No proxy of the
        # machine either, because the gateway is on loopback.
        self._http = openai.DefaultHttpxClient(trust_env=False, timeout=_TIMEOUT_SECONDS)
        self._clients: dict[str, openai.OpenAI] = {
            "openai": openai.OpenAI(
                base_url=f"{gateway_url}/openai/v1/", api_key=key, max_retries=0, http_client=self._http
            ),
            "azure": openai.AzureOpenAI(
                azure_endpoint=gateway_url,
                api_key=key,
                api_version=API_VERSION,
                max_retries=0,
                http_client=self._http,
            ),
        }
        self._count = 0
        self._last_response: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def send(self, request: Request) -> Outcome:
        """Sends one request and waits for the end of its answer."""
        self._count += 1
        watch = Watch()
        exchange = Exchange(
            client=self._clients[request.surface],
            model=request.model,
            question=f"Question {self._count} of the demo",
            watch=watch,
            previous_response=self._last_response if request.continues else None,
        )
        problem = None
        try:
            request.call(exchange)
        except openai.APIStatusError as error:
            watch.answered(error.response)
            problem = str(error)
        except Exception as error:
            # A broken connection can reach the client as an error of any kind.
            problem = f"{type(error).__name__}: {error}"
        self._last_response = exchange.previous_response or self._last_response
        return watch.outcome(request.title, problem)
