"""Errors in the forms of Azure OpenAI: the bodies of answers, and events inside a stream.

There are two families. The platform in front of the models answers
``{"error": {"code": "401", "message": …}}``. The models' own front end answers in OpenAI's form, with
``message``, ``type``, ``param`` and ``code``.
"""

from __future__ import annotations

from typing import Any

from e2e.simulator.answers import Answer, Event, EventStream, Json, dump, json_answer
from e2e.simulator.faults import Fault, StreamError


class AzureError(Exception):
    """Ends a call; the service answers it with this error body."""

    def __init__(self, status: int, body: Json, headers: list[tuple[str, str]] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or []

    def answer(self) -> Answer:
        """The error as an answer."""
        answer = json_answer(self.body, self.status)
        answer.headers += self.headers
        return answer


class PlatformError(AzureError):
    """An error of the platform in front of the models, in the same form on every surface."""


def platform_body(code: str, message: str) -> Json:
    """An error body of the platform in front of the models."""
    return {"error": {"code": code, "message": message}}


def detailed_body(code: str, message: str) -> Json:
    """An error body of the platform that says everything twice, as that of Foundry's routing does."""
    return {"error": {"code": code, "message": message, "details": message}}


def model_body(message: str, *, kind: str, param: str | None = None, code: str | None = None) -> Json:
    """An error body of the models' front end."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def invalid_request(message: str, param: str | None = None, code: str | None = None) -> AzureError:
    """400 for a body that the models' front end refuses."""
    return AzureError(400, model_body(message, kind="invalid_request_error", param=param, code=code))


def missing(param: str) -> AzureError:
    """400 for a missing required parameter."""
    return invalid_request(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def not_found(message: str, param: str | None = None, code: str | None = None) -> AzureError:
    """404 for a stored object that this region does not hold."""
    return AzureError(404, model_body(message, kind="invalid_request_error", param=param, code=code))


def unknown_path() -> AzureError:
    """404 for a path, method or api-version that the service does not know."""
    return AzureError(404, platform_body("404", "Resource not found"))


def api_not_supported() -> AzureError:
    """404 for a path that a Foundry resource does not know, on the surfaces beside Azure OpenAI's."""
    return PlatformError(404, detailed_body("api_not_supported", "Requested API is currently not supported"))


def missing_api_version() -> AzureError:
    """400 for a request to the inference surface without an api-version."""
    return AzureError(400, platform_body("BadRequest", "Missing required query parameter: api-version"))


def deployment_not_found() -> AzureError:
    """404 for a deployment that this region does not serve."""
    return AzureError(404, status_body(404))


def unauthorized(bearer: bool) -> AzureError:
    """401 for a missing or wrong credential; ``bearer`` when the client sent a token."""
    if bearer:
        text = (
            "Unauthorized. Access token is missing, invalid, audience is incorrect "
            "(https://cognitiveservices.azure.com), or have expired."
        )
        return AzureError(401, platform_body("401", text), [("www-authenticate", "Bearer")])
    return AzureError(401, status_body(401))


_MESSAGES: dict[int, tuple[str, str]] = {
    400: ("BadRequest", "The request is invalid."),
    401: (
        "401",
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid "
        "key for an active subscription and use a correct regional API endpoint for your resource.",
    ),
    403: ("403", "Access denied due to Virtual Network/Firewall rules."),
    404: (
        "DeploymentNotFound",
        "The API deployment for this resource does not exist. If you created the deployment within the last "
        "5 minutes, please wait a moment and try again.",
    ),
    408: ("Timeout", "The operation was timeout."),
    500: ("InternalServerError", "The server had an error while processing your request."),
    502: ("BadGateway", "The upstream service did not answer."),
    503: (
        "ServiceUnavailable",
        "The service is temporarily unable to process your request. Please try again later.",
    ),
    504: ("GatewayTimeout", "The upstream service did not answer in time."),
}


def status_body(status: int, code: str | None = None, message: str | None = None) -> Json:
    """The usual body of a status; ``code`` and ``message`` replace the usual values.

    >>> status_body(408)
    {'error': {'code': 'Timeout', 'message': 'The operation was timeout.'}}
    """
    if code == "content_filter":
        return content_filter_body()
    usual_code, usual_message = _MESSAGES.get(status, (str(status), f"The service answered {status}."))
    return platform_body(code or usual_code, message or usual_message)


def throttled_body(what: str, operation: str, api_version: str, retry_after_s: int | None) -> Json:
    """The body of a 429; ``what`` is ``token`` or ``call``."""
    hint = f" Please retry after {retry_after_s} seconds." if retry_after_s is not None else ""
    return platform_body(
        "429",
        f"Requests to the {operation} Operation under Azure OpenAI API version {api_version or 'v1'} have "
        f"exceeded {what} rate limit of your current OpenAI S0 pricing tier.{hint} Please go here: "
        "https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit.",
    )


def content_filter_body() -> Json:
    """The body of a 400 for a prompt that the content filter refused."""
    result: dict[str, Any] = {
        category: {"filtered": False, "severity": "safe"} for category in ("hate", "self_harm", "sexual")
    }
    result["violence"] = {"filtered": True, "severity": "high"}
    return {
        "error": {
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
            "management policy. Please modify your prompt and retry. To learn more about our content "
            "filtering policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result},
        }
    }


_STREAM_CODE = "rate_limit_exceeded"
_STREAM_MESSAGE = (
    "Your requests have exceeded the token rate limit of your pricing tier. Please retry after 5 seconds."
)


def error_events(fault: Fault, stream: EventStream, sequence_number: int) -> list[Event]:
    """The error that ``fault`` asks for: one event, or two when the second explains the first."""
    if fault.stream_error != "unexplained":
        return [_error_event(fault, stream, sequence_number)]
    failed: Json = {**stream.subject, "status": "failed", "error": None}
    explained = fault.model_copy(update={"stream_error": "nested"})
    return [
        _named_event("response.failed", sequence_number, {"response": failed}),
        _error_event(explained, stream, sequence_number + 1),
    ]


def _error_event(fault: Fault, stream: EventStream, sequence_number: int) -> Event:
    """The form ``auto`` takes the usual form of the stream."""
    code, message = fault.code or _STREAM_CODE, fault.message or _STREAM_MESSAGE
    form: StreamError | None = fault.stream_error
    if form == "auto":
        form = "response_failed" if stream.flavour == "responses" else "chat_chunk"
    if form == "chat_chunk":
        return Event(dump({"error": {"message": message, "type": code, "param": None, "code": code}}))
    if form == "response_failed":
        failed: Json = {**stream.subject, "status": "failed", "error": {"code": code, "message": message}}
        return _named_event("response.failed", sequence_number, {"response": failed})
    if form == "event":
        return _named_event("error", sequence_number, {"code": code, "message": message, "param": None})
    if form == "nested":
        nested = {"type": code, "code": code, "message": message, "param": None}
        return _named_event("error", sequence_number, {"error": nested})
    if stream.flavour == "responses":
        return _named_event("error", sequence_number, {"message": message})
    return Event(dump({"error": {"message": message}}))


def _named_event(name: str, sequence_number: int, fields: Json) -> Event:
    return Event(dump({"type": name, "sequence_number": sequence_number, **fields}), name)
