"""The forms in which an error comes inside a 200 stream."""

from __future__ import annotations

from e2e.simulator.answers import Event, EventStream, Json, dump
from e2e.simulator.faults import Fault, StreamError

_CODE = "rate_limit_exceeded"
_MESSAGE = (
    "Your requests have exceeded the token rate limit of your pricing tier. Please retry after 5 seconds."
)


def error_event(fault: Fault, stream: EventStream, sequence_number: int) -> Event:
    """The error event that ``fault`` asks for, in the form of this stream when it says ``auto``."""
    code, message = fault.code or _CODE, fault.message or _MESSAGE
    form: StreamError | None = fault.stream_error
    if form == "auto":
        form = "response_failed" if stream.flavour == "responses" else "chat_chunk"
    if form == "chat_chunk":
        return Event(dump({"error": {"message": message, "type": code, "param": None, "code": code}}))
    if form == "response_failed":
        failed: Json = {**stream.subject, "status": "failed", "error": {"code": code, "message": message}}
        return _named("response.failed", sequence_number, {"response": failed})
    if form == "event":
        return _named("error", sequence_number, {"code": code, "message": message, "param": None})
    if form == "nested":
        nested = {"type": code, "code": code, "message": message, "param": None}
        return _named("error", sequence_number, {"error": nested})
    if stream.flavour == "responses":
        return _named("error", sequence_number, {"message": message})
    return Event(dump({"error": {"message": message}}))


def _named(name: str, sequence_number: int, fields: Json) -> Event:
    return Event(dump({"type": name, "sequence_number": sequence_number, **fields}), name)
