"""Errors in the form of the Anthropic API: ``{"type": "error", "error": {"type": …, "message": …}}``."""

from __future__ import annotations

from e2e.simulator.answers import Event, Json, dump
from e2e.simulator.error_bodies import AzureError, PlatformError, model_body
from e2e.simulator.error_forms import ErrorForms
from e2e.simulator.faults import Fault

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

_MESSAGES = {
    400: "The request is invalid.",
    401: "The credential is missing or wrong.",
    403: "This credential may not use the resource.",
    404: "Not found.",
    413: "The request exceeds the maximum size.",
    500: "Internal server error.",
    504: "The request took too long.",
    529: "Overloaded",
}


class AnthropicError(AzureError):
    """An error whose type does not follow from its status."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(status, model_body(message, kind=kind))
        self.kind = kind


def _body(error: AzureError, request_id: str) -> Json:
    if isinstance(error, PlatformError):
        return error.body
    kind = error.kind if isinstance(error, AnthropicError) else type_of(error.status)
    described = {"type": kind, "message": error.body["error"]["message"]}
    return {"type": "error", "error": described, "request_id": public_id(request_id)}


def _of_status(status: int, code: str | None, message: str | None) -> AzureError:
    if code == "content_filter":
        code, message = type_of(status), message or "Output blocked by content filtering policy"
    usual = _MESSAGES.get(status, f"The service answered {status}.")
    return AnthropicError(status, code or type_of(status), message or usual)


def _throttled(what: str, _operation: str, _api_version: str, retry_after_s: int | None) -> AzureError:
    hint = f" Please retry after {retry_after_s} seconds." if retry_after_s is not None else ""
    unit = "tokens" if what == "token" else "requests"
    text = f"This request would exceed the rate limit of {unit} per minute of the deployment.{hint}"
    return AnthropicError(429, type_of(429), text)


def type_of(status: int) -> str:
    """The type of error that a status has.

    >>> type_of(529), type_of(422), type_of(503)
    ('overloaded_error', 'invalid_request_error', 'api_error')
    """
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


ANTHROPIC_API = ErrorForms(
    body=_body,
    of_status=_of_status,
    throttled=_throttled,
    no_deployment=lambda: AnthropicError(400, type_of(400), "model: Field required"),
    unknown_deployment=lambda name: AnthropicError(404, type_of(404), f"model: {name}"),
)


def public_id(request_id: str) -> str:
    """The id that the surface shows of a request: ``req_`` and letters."""
    return f"req_{request_id.replace('-', '')}"


def error_event(fault: Fault) -> Event:
    """The error that ``fault`` asks for inside a stream of this surface.

    ``event`` is a flat error, ``chat_chunk`` one of Azure OpenAI's, and ``message_only`` has no type. All
    other forms are the usual one here.
    """
    kind, message = fault.code or "overloaded_error", fault.message or "Overloaded"
    if fault.stream_error == "chat_chunk":
        return Event(dump(model_body(message, kind=kind, code=kind)))
    if fault.stream_error == "event":
        return Event(dump({"type": "error", "code": kind, "message": message}), "error")
    described = (
        {"message": message} if fault.stream_error == "message_only" else {"type": kind, "message": message}
    )
    return Event(dump({"type": "error", "error": described}), "error")
