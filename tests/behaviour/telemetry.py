"""Helpers for tests of what the gateway sends to a collector."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, Stage
from tests.behaviour.support import V1_CHAT
from tests.support.otlp import CLIENT, SERVER, Log, OtlpReceiver, Span

ARRIVAL_SECONDS = 20
STREAM: dict[str, Any] = CHAT | {"stream": True}
NOT_SAMPLED: dict[str, Any] = {"OTEL_SAMPLE_RATE": 0}


def observed(stage: Stage, receiver: OtlpReceiver, **settings: Any) -> Gateway:
    """A gateway that sends its telemetry to a receiver and asks eastus first."""
    telemetry: dict[str, Any] = {
        "OTEL_COLLECTOR_ENDPOINT": receiver.endpoint,
        "OTEL_SAMPLE_RATE": 1,
        "GATEWAY_LOG_MODE": "test",
        "AZURE_OPENAI_PRIORITY_0": 10,
    }
    return stage.gateway(**(telemetry | settings))


def leave(client: httpx.Client) -> None:
    """Starts a stream and leaves in the middle of it."""
    with client.stream("POST", V1_CHAT, json=STREAM) as stream:
        next(stream.iter_text())


def read_broken(client: httpx.Client) -> None:
    """Reads a stream that breaks off."""
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(V1_CHAT, json=STREAM)


def fail_in_mid_stream(sim: Simulator, **error: str) -> None:
    """Lets eastus report an error after the first output of a stream."""
    events = ['{"choices":[{"index":0,"delta":{"content":"Hi"}}]}', f'{{"error":{_json(error)}}}', "[DONE]"]
    body = "".join(f"data: {event}\n\n" for event in events)
    sim.fail("eastus", status=200, body=body, headers={"content-type": "text/event-stream"})


def _json(members: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":"{text}"' for name, text in members.items()) + "}"


def spans_of(receiver: OtlpReceiver, kind: int, count: int = 1) -> list[Span]:
    """The spans of a kind in the order in which they began, as soon as there are so many."""

    def look() -> list[Span] | None:
        spans = [span for span in receiver.spans if span.kind == kind]
        return sorted(spans, key=lambda span: span.start) if len(spans) >= count else None

    found = eventually(look, seconds=ARRIVAL_SECONDS)
    assert found is not None
    return found


def server_span(receiver: OtlpReceiver) -> Span:
    """The span of the only request."""
    [span] = spans_of(receiver, SERVER)
    return span


def attempt_spans(receiver: OtlpReceiver) -> list[Span]:
    """The spans of the attempts of the only request, in their order."""
    server = server_span(receiver)
    return [span for span in spans_of(receiver, CLIENT) if span.parent_id == server.span_id]


def logs_of(receiver: OtlpReceiver, count: int = 1) -> list[Log]:
    """The first log records in the order of their requests, as soon as there are so many."""
    eventually(lambda: len(receiver.logs) >= count, seconds=ARRIVAL_SECONDS)
    return sorted(receiver.logs, key=lambda log: log.time)


def log_of(receiver: OtlpReceiver) -> Log:
    """The log record of the only request."""
    [log] = logs_of(receiver)
    return log
