"""A receiver of OTLP traces over HTTP: what an OpenTelemetry collector would be sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

SERVER, CLIENT = 2, 3
"""Kinds of spans."""

Value = int | bytes


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
                    receiver._spans.extend(spans_in(body))
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
        """What has arrived so far."""
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
    for resource_spans in _members(export, 1):
        for scope_spans in _members(resource_spans, 2):
            for span in _members(scope_spans, 2):
                yield _span(span)


def _span(message: bytes) -> Span:
    fields = dict(_fields(message))
    status = dict(_fields(_bytes(fields.get(15))))
    return Span(
        trace_id=_bytes(fields.get(1)).hex(),
        span_id=_bytes(fields.get(2)).hex(),
        parent_id=_bytes(fields.get(4)).hex(),
        name=_bytes(fields.get(5)).decode(),
        kind=_integer(fields.get(6)),
        start=_integer(fields.get(7)),
        end=_integer(fields.get(8)),
        attributes=dict(_attribute(pair) for pair in _members(message, 9)),
        status=_integer(status.get(3)),
    )


def _attribute(message: bytes) -> tuple[str, str | int]:
    fields = dict(_fields(message))
    value = dict(_fields(_bytes(fields.get(2))))
    if 3 in value:
        return _bytes(fields[1]).decode(), _integer(value[3])
    return _bytes(fields[1]).decode(), _bytes(value.get(1)).decode()


def _bytes(value: Value | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _integer(value: Value | None) -> int:
    return int.from_bytes(value, "little") if isinstance(value, bytes) else value or 0


def _members(message: bytes, number: int) -> Iterator[bytes]:
    return (_bytes(value) for field, value in _fields(message) if field == number)


def _fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """The fields of a protobuf message by number: varints as numbers, everything else as bytes."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        wire_type = key & 7
        if wire_type == 0:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        length = {1: 8, 5: 4}.get(wire_type)
        if length is None:
            length, position = _varint(message, position)
        yield key >> 3, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = message[position]
        result |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return result, position
