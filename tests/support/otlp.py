"""A receiver of OTLP logs and traces over HTTP in Protobuf, such as an OpenTelemetry collector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tests.support.loopback_server import LoopbackServer, Reply, Request

SERVER, CLIENT = 2, 3
"""Kinds of spans."""

Attributes = dict[str, str | int | float | bool]


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
    attributes: Attributes
    status: int


@dataclass(frozen=True)
class Log:
    """One log record. ``time`` is nanoseconds since the epoch; ``resource`` the attributes of its sender."""

    trace_id: str
    span_id: str
    flags: int
    time: int
    severity: str
    body: str
    attributes: Attributes
    resource: Attributes


class OtlpReceiver(LoopbackServer):
    """Keeps every log record and span that arrives; a context manager."""

    def __init__(self) -> None:
        super().__init__(self._take)
        self.statuses: list[int] = []
        """What the next requests are answered with, before they are accepted again."""
        self.turned_away = 0
        self._logs: list[Log] = []
        self._spans: list[Span] = []

    def _take(self, request: Request) -> Reply:
        if self.statuses:
            self.turned_away += 1
            return self.statuses.pop(0), b"", {}
        # All at once: a test that sees one span of a request sees the others too.
        if request.path == "/v1/traces":
            self._spans.extend(list(spans_in(request.content)))
        if request.path == "/v1/logs":
            self._logs.extend(list(logs_in(request.content)))
        return 200, {}, {}

    @property
    def endpoint(self) -> str:
        """Its base URL."""
        return self.url

    @property
    def logs(self) -> list[Log]:
        """The log records that have arrived so far."""
        return list(self._logs)

    @property
    def spans(self) -> list[Span]:
        """The spans that have arrived so far."""
        return list(self._spans)


def spans_in(export: bytes) -> Iterator[Span]:
    """The spans of an ``ExportTraceServiceRequest`` (opentelemetry-proto, trace/v1)."""
    for resource in ExportTraceServiceRequest.FromString(export).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    name=span.name,
                    kind=span.kind,
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    attributes=attributes_in(span.attributes),
                    status=span.status.code,
                )


def logs_in(export: bytes) -> Iterator[Log]:
    """The log records of an ``ExportLogsServiceRequest`` (opentelemetry-proto, logs/v1)."""
    for resource in ExportLogsServiceRequest.FromString(export).resource_logs:
        for scope in resource.scope_logs:
            for log in scope.log_records:
                yield Log(
                    trace_id=log.trace_id.hex(),
                    span_id=log.span_id.hex(),
                    flags=log.flags,
                    time=log.time_unix_nano,
                    severity=log.severity_text,
                    body=log.body.string_value,
                    attributes=attributes_in(log.attributes),
                    resource=attributes_in(resource.resource.attributes),
                )


def attributes_in(pairs: Iterable[KeyValue]) -> Attributes:
    """``[KeyValue(key="a", value=AnyValue(int_value=1))]`` is ``{"a": 1}``."""
    every = list(pairs)
    named: Attributes = {}
    for pair in every:
        kind = pair.value.WhichOneof("value")
        assert kind is not None, pair
        named[pair.key] = getattr(pair.value, kind)
    assert len(named) == len(every), every
    return named
