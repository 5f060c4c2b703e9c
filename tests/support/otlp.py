"""A receiver of OTLP traces over HTTP, in place of an OpenTelemetry collector."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

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


class OtlpReceiver:
    """Listens on a free port of loopback and keeps every span; a context manager."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    # All at once, so that a test that sees one span of a request sees the others too.
                    receiver._spans.extend(list(spans_in(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def spans(self) -> list[Span]:
        """The spans that have arrived so far."""
        return list(self._spans)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


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
