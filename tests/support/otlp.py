"""A receiver of OTLP logs and traces over HTTP in JSON, such as an OpenTelemetry collector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
            self._spans.extend(list(spans_in(request.body)))
        if request.path == "/v1/logs":
            self._logs.extend(list(logs_in(request.body)))
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


def spans_in(export: dict[str, Any]) -> Iterator[Span]:
    """The spans of an ``ExportTraceServiceRequest`` (opentelemetry-proto, trace/v1)."""
    for resource in export["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield Span(
                    trace_id=span["traceId"],
                    span_id=span["spanId"],
                    parent_id=span.get("parentSpanId", ""),
                    name=span["name"],
                    kind=span["kind"],
                    start=int(span["startTimeUnixNano"]),
                    end=int(span["endTimeUnixNano"]),
                    attributes=_attributes(span["attributes"]),
                    status=span.get("status", {}).get("code", 0),
                )


def logs_in(export: dict[str, Any]) -> Iterator[Log]:
    """The log records of an ``ExportLogsServiceRequest`` (opentelemetry-proto, logs/v1)."""
    for resource in export["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for log in scope["logRecords"]:
                yield Log(
                    trace_id=log["traceId"],
                    span_id=log["spanId"],
                    flags=log["flags"],
                    time=int(log["timeUnixNano"]),
                    severity=log["severityText"],
                    body=log["body"]["stringValue"],
                    attributes=_attributes(log["attributes"]),
                    resource=_attributes(resource["resource"]["attributes"]),
                )


def _attributes(pairs: list[dict[str, Any]]) -> Attributes:
    """``[{"key": "a", "value": {"intValue": "1"}}]`` is ``{"a": 1}``."""
    named = {pair["key"]: _value(**pair["value"]) for pair in pairs}
    assert len(named) == len(pairs), pairs
    return named


def _value(
    stringValue: str | None = None,  # noqa: N803 - OTLP's names
    intValue: str | None = None,  # noqa: N803
    doubleValue: float | None = None,  # noqa: N803
    boolValue: bool | None = None,  # noqa: N803
) -> str | int | float | bool:
    values = (stringValue, None if intValue is None else int(intValue), doubleValue, boolValue)
    [value] = [each for each in values if each is not None]
    return value
