"""Shows what a client gets for every fault on every surface, streamed or not, with one to three backends.

The fault is in the preferred backend; the others are healthy. Run it with ``python -m e2e.fault_matrix``. It
prints a Markdown table, and exits with 1 when a client got something else than expected.
"""

from __future__ import annotations

import argparse
import json
import re
import ssl
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from e2e.local_settings import backend_key, backend_settings, client_settings
from e2e.simulator import Region, Simulator
from scripts.engines import Gateway, start_gateway

REGIONS = ("eastus", "westus", "swedencentral")
CLIENT_KEY = "client-key-of-the-matrix"
# Each client would read the system's certificates again, which takes 60 ms.
TLS = ssl.create_default_context()
READ_TIMEOUT_MS = 400
OUTPUT_EVENTS = 8  # past the preamble on every surface


@dataclass(frozen=True)
class Case:
    """A fault, and what a client should get."""

    name: str
    fault: dict[str, Any]
    alone: str
    """What the client gets from one backend: a status, ``broken`` or ``complete``."""
    streamed: str | None = None
    """The same for streams, if it differs."""
    moves_on: bool = True
    """Whether another backend can serve instead."""
    streams_only: bool = False
    surface: str | None = None
    """The only surface that has it, by its path; all have the others."""


ANTHROPIC = "/anthropic/"
NOT_VERIFIED = "The encrypted content gAAA could not be verified."
CASES = [
    Case("healthy", {}, "200", moves_on=False),
    Case("429 with a hint", {"status": 429, "retry_after": 5}, "429"),
    Case("429 with a nonsense hint", {"garbage_hint": "negative"}, "429"),
    Case("500", {"status": 500}, "500"),
    Case("503", {"status": 503}, "503"),
    Case("408", {"status": 408}, "408"),
    Case("401 for the gateway's key", {"status": 401}, "503"),
    Case("403 for the request", {"status": 403}, "403"),
    Case("deployment not found", {"status": 404, "code": "DeploymentNotFound"}, "404"),
    Case(
        "unknown model",
        {"status": 400, "code": "unknown_model", "message": "Unknown model: gpt-4o"},
        "400",
    ),
    Case(
        "item of another backend",
        {"status": 404, "body": {"error": {"message": "Item with id 'rs_1' not found.", "code": None}}},
        "404",
    ),
    Case(
        "encrypted content of another backend",
        {"status": 400, "body": {"error": {"message": NOT_VERIFIED, "code": None}}},
        "400",
    ),
    Case("content filter", {"status": 400, "code": "content_filter"}, "400", moves_on=False),
    Case("connection refused", {"refuse": True}, "503"),
    Case("connection reset", {"reset": True}, "503"),
    Case("no answer", {"hang": True}, "504"),
    Case("slow first byte", {"slow_first_byte": 0.1}, "200", moves_on=False),
    Case("cut before any output", {"cut": 1}, "503"),
    Case("cut in the middle", {"cut": OUTPUT_EVENTS}, "503", streamed="broken"),
    Case(
        "429 inside the stream",
        {"stream_error": "auto", "code": "rate_limit_exceeded"},
        "429",
        streams_only=True,
    ),
    Case("500 inside the stream", {"stream_error": "auto", "code": "server_error"}, "500", streams_only=True),
    Case(
        "500 inside the stream, explained later",
        {"stream_error": "unexplained", "code": "server_error"},
        "500",
        streams_only=True,
    ),
    Case(
        "encrypted content of another backend, inside the stream",
        {"stream_error": "auto", "code": "invalid_encrypted_content"},
        "400",
        streams_only=True,
    ),
    Case(
        "429 after output",
        {"stream_error": "auto", "code": "rate_limit_exceeded", "after": 2},
        "error passed on",
        moves_on=False,
        streams_only=True,
    ),
    Case(
        "stream of another type",
        {"content_type": "text/plain", "stream_error": "auto", "code": "rate_limit_exceeded"},
        "429",
        streams_only=True,
    ),
    Case("stream without a type", {"content_type": ""}, "200", moves_on=False),
    Case("lines that end in CR", {"cr": True}, "200", moves_on=False, streams_only=True),
    Case("body with a length", {"framing": "length"}, "200", moves_on=False),
    Case("body in one chunk", {"framing": "one_chunk"}, "200", moves_on=False),
    Case("chunk extensions", {"framing": "extensions"}, "200", moves_on=False),
    Case("late trailer", {"framing": "late_trailer"}, "200", moves_on=False),
    Case("body to the connection's end", {"framing": "close"}, "200", moves_on=False),
    Case(
        "cut body to the connection's end",
        {"framing": "close", "cut": OUTPUT_EVENTS},
        "503",
        streamed="broken",
    ),
    Case("gzip that nobody asked for", {"packed": True}, "200", moves_on=False),
    Case("redirect", {"status": 307, "headers": {"location": "http://127.0.0.1:1/"}}, "503"),
    Case(
        "200 with an error",
        {"status": 200, "body": {"error": {"code": "rate_limit_exceeded", "message": "x"}}},
        "429",
    ),
    Case(
        "stream options refused",
        {"contains": "stream_options", "status": 422, "message": "stream_options: not permitted"},
        "200",
        moves_on=False,
        streams_only=True,
    ),
    Case("stream in single bytes", {"split": 1}, "200", moves_on=False, streams_only=True),
    Case("overloaded", {"status": 529}, "429", surface=ANTHROPIC),
    Case(
        "unknown model, in Azure's own words",
        {"status": 404, "code": "DeploymentNotFound", "azure_errors": True},
        "404",
        surface=ANTHROPIC,
    ),
    Case(
        "overloaded inside the stream", {"stream_error": "auto"}, "429", streams_only=True, surface=ANTHROPIC
    ),
    Case(
        "usage of older models",
        {"older_usage": True},
        "200",
        moves_on=False,
        streams_only=True,
        surface=ANTHROPIC,
    ),
]


@dataclass(frozen=True)
class Surface:
    """A way to ask."""

    name: str
    target: str
    body: dict[str, Any]

    @property
    def is_stream(self) -> bool:
        """Whether the answer is an event stream."""
        return bool(self.body.get("stream"))


CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
RESPONSES: dict[str, Any] = {"model": "gpt-4o", "input": "Hello"}
MESSAGE: dict[str, Any] = CHAT | {"max_tokens": 64}
INFERENCE_TARGET = "/models/chat/completions?api-version=2024-05-01-preview"
DEPLOYMENT_TARGET = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
SURFACES = [
    Surface("v1 chat", "/openai/v1/chat/completions", CHAT),
    Surface("v1 chat, streamed", "/openai/v1/chat/completions", CHAT | {"stream": True}),
    Surface("deployments chat", DEPLOYMENT_TARGET, CHAT),
    Surface("deployments chat, streamed", DEPLOYMENT_TARGET, CHAT | {"stream": True}),
    Surface("v1 responses", "/openai/v1/responses", RESPONSES),
    Surface("v1 responses, streamed", "/openai/v1/responses", RESPONSES | {"stream": True}),
    Surface("v1 embeddings", "/openai/v1/embeddings", {"model": "gpt-4o", "input": "Hello"}),
    Surface("messages", "/anthropic/v1/messages", MESSAGE),
    Surface("messages, streamed", "/anthropic/v1/messages", MESSAGE | {"stream": True}),
    Surface("inference chat", INFERENCE_TARGET, CHAT),
    Surface("inference chat, streamed", INFERENCE_TARGET, CHAT | {"stream": True}),
]
HEADERS = {"api-key": CLIENT_KEY, "anthropic-version": "2023-06-01", "extra-parameters": "pass-through"}


def environment(sim: Simulator, backends: int) -> dict[str, str]:
    """Settings with the first region preferred and short limits."""
    env = client_settings(0, "matrix", CLIENT_KEY) | {"AI_PROXY_READ_TIMEOUT_MS": str(READ_TIMEOUT_MS)}
    for index, region in enumerate(REGIONS[:backends]):
        env |= backend_settings(index, region, sim.endpoint(region), priority="1" if index == 0 else "0")
        env[f"AZURE_OPENAI_SURFACES_{index}"] = "openai,anthropic,inference"
    return env


def answers_in(text: str) -> set[str]:
    """The different answers inside a text; the simulator numbers every answer of a region."""
    return set(re.findall(r"(?:eastus|westus|swedencentral)/[\w.-]+#\d+:", text))


def is_complete(surface: Surface, text: str) -> bool:
    """Whether a text has its proper end and holds only one answer."""
    if len(answers_in(text)) > 1:
        return False
    if not surface.is_stream:
        return isinstance(json.loads(text), dict)
    return any(end in text for end in ("data: [DONE]", "event: response.completed", "event: message_stop"))


def ask(gateway: Gateway, surface: Surface) -> tuple[str, str]:
    """The result that a client gets, and the trail of attempts."""
    text, trail, status = "", "", 0
    try:
        with (
            httpx.Client(headers=HEADERS, timeout=10, verify=TLS) as client,
            client.stream("POST", gateway.url + surface.target, json=surface.body) as response,
        ):
            status, trail = response.status_code, response.headers.get("x-gateway-attempts", "")
            for piece in response.iter_text():
                text += piece
    except httpx.RemoteProtocolError:
        is_told = len(re.findall(r'"error"', text)) >= 1
        return ("broken" if is_told else "broken silently"), trail
    if status != httpx.codes.OK:
        return str(status), trail
    if '"error"' in text and "rate_limit" in text:
        return "error passed on", trail
    return ("200" if is_complete(surface, text) else "200 but incomplete"), trail


def expected(case: Case, surface: Surface, backends: int) -> str:
    """The result that the client should get."""
    alone = case.streamed if surface.is_stream and case.streamed else case.alone
    if alone == "broken" or not case.moves_on or backends == 1:
        return alone
    return "200"


@dataclass(frozen=True)
class Cell:
    """One measured combination."""

    case: Case
    surface: Surface
    backends: int
    result: str
    trail: str

    @property
    def is_right(self) -> bool:
        """Whether the client got the expected result."""
        return self.result == expected(self.case, self.surface, self.backends)


def measure(sim: Simulator, engine: str, cases: Sequence[Case], backends: int) -> Iterator[Cell]:
    """Runs all surfaces for each case, each with a gateway that has seen no earlier fault."""
    for case in cases:
        for surface in SURFACES:
            is_elsewhere = case.surface is not None and not surface.target.startswith(case.surface)
            if is_elsewhere or (case.streams_only and not surface.is_stream):
                continue
            sim.reset()
            with start_gateway(environment(sim, backends), engine=engine) as gateway:
                if case.fault:
                    sim.fail(REGIONS[0], **case.fault)
                yield Cell(case, surface, backends, *ask(gateway, surface))


def table(cells: Sequence[Cell]) -> str:
    """The cells as Markdown: a row for each fault and surface, a column for each number of backends."""
    lines = ["| Fault | Surface | One backend | Two | Three |", "|---|---|---|---|---|"]
    rows: dict[tuple[str, str], dict[int, Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.case.name, cell.surface.name), {})[cell.backends] = cell
    for (fault, surface), row in rows.items():
        texts = [
            f"{cell.result} `{cell.trail}`{'' if cell.is_right else ' **wrong**'}" for cell in row.values()
        ]
        lines.append(f"| {fault} | {surface} | {' | '.join(texts)} |")
    return "\n".join(lines)


def main() -> None:
    """Measures the whole matrix and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", default="embedded", choices=["embedded", "apisix", "docker"])
    engine = parser.parse_args().engine
    with Simulator([Region(name, key=backend_key(name)) for name in REGIONS]) as sim:
        cells = [cell for backends in (1, 2, 3) for cell in measure(sim, engine, CASES, backends)]
    wrong = sum(not cell.is_right for cell in cells)
    print(table(cells))
    print(f"\n{len(cells)} combinations on {engine}, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
