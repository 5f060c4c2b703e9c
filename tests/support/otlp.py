"""A receiver of OTLP traces over HTTP, such as an OpenTelemetry collector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.loopback_server import LoopbackServer, Reply, Request
from tests.support.protobuf import as_bytes, as_integer, fields_of, members

SERVER, CLIENT = 2, 3
"""Kinds of spans."""


@dataclass(frozen=True)
class Span:
    """One span. Times are nanoseconds since the epoch; ``status`` 2 is an error."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start: int
    end: int
    attributes: dict[str, str | int]
    status: int


class OtlpReceiver(LoopbackServer):
    """Keeps every span that arrives; a context manager."""

    def __init__(self) -> None:
        super().__init__(self._take)
        self._spans: list[Span] = []

    def _take(self, request: Request) -> Reply:
        if request.path == "/v1/traces":
            # All at once: a test that sees one span of a request sees the others too.
            self._spans.extend(list(spans_in(request.content)))
        return 200, b"", {}

    @property
    def endpoint(self) -> str:
        """Its base URL."""
        return self.url

    @property
    def spans(self) -> list[Span]:
        """The spans that have arrived so far."""
        return list(self._spans)


def spans_in(export: bytes) -> Iterator[Span]:
    """The spans of an ``ExportTraceServiceRequest`` (opentelemetry-proto, trace/v1)."""
    for resource_spans in members(export, 1):
        for scope_spans in members(resource_spans, 2):
            for span in members(scope_spans, 2):
                yield _span(span)


def _span(message: bytes) -> Span:
    fields = dict(fields_of(message))
    status = dict(fields_of(as_bytes(fields.get(15))))
    return Span(
        trace_id=as_bytes(fields.get(1)).hex(),
        span_id=as_bytes(fields.get(2)).hex(),
        parent_id=as_bytes(fields.get(4)).hex(),
        name=as_bytes(fields.get(5)).decode(),
        kind=as_integer(fields.get(6)),
        start=as_integer(fields.get(7)),
        end=as_integer(fields.get(8)),
        attributes=dict(_attribute(pair) for pair in members(message, 9)),
        status=as_integer(status.get(3)),
    )


def _attribute(message: bytes) -> tuple[str, str | int]:
    fields = dict(fields_of(message))
    value = dict(fields_of(as_bytes(fields.get(2))))
    if 3 in value:
        return as_bytes(fields[1]).decode(), as_integer(value[3])
    return as_bytes(fields[1]).decode(), as_bytes(value.get(1)).decode()
