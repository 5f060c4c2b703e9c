"""How a surface words the errors of the service.

Operations raise errors in the form of OpenAI's front end, whatever their surface. The forms of the surface
turn them into the body that the client sees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from e2e.simulator.answers import Json
from e2e.simulator.error_bodies import (
    AzureError,
    deployment_not_found,
    detailed_body,
    missing,
    status_body,
    throttled_body,
)


@dataclass(frozen=True, slots=True)
class ErrorForms:
    """The forms of one surface."""

    body: Callable[[AzureError, str], Json]
    """The body that the client sees of an error; the second argument identifies the request."""
    of_status: Callable[[int, str | None, str | None], AzureError]
    """The usual error of a status; a code and a message replace the usual ones."""
    throttled: Callable[[str, str, str, int | None], AzureError]
    """The 429 for ``token`` or ``call`` quota, operation, api-version and the seconds of the hint."""
    no_deployment: Callable[[], AzureError]
    """The error for a request that names no deployment."""
    unknown_deployment: Callable[[str], AzureError]
    """The error for a deployment, by name, that the region does not serve."""


def _of_status(status: int, code: str | None, message: str | None) -> AzureError:
    return AzureError(status, status_body(status, code, message))


def _throttled(what: str, operation: str, api_version: str, retry_after_s: int | None) -> AzureError:
    return AzureError(429, throttled_body(what, operation, api_version, retry_after_s))


def _no_model_name() -> AzureError:
    text = (
        "No model specified in request. Please provide a model name in the request body or as a "
        "x-ms-model-mesh-model-name header."
    )
    return AzureError(400, detailed_body("no_model_name", text))


def _unknown_model(name: str) -> AzureError:
    return AzureError(400, detailed_body("unknown_model", f"Unknown model: {name}"))


AZURE = ErrorForms(
    body=lambda error, _: error.body,
    of_status=_of_status,
    throttled=_throttled,
    no_deployment=lambda: missing("model"),
    unknown_deployment=lambda _: deployment_not_found(),
)
"""Azure OpenAI."""

INFERENCE_API = replace(AZURE, no_deployment=_no_model_name, unknown_deployment=_unknown_model)
"""The Azure AI model inference API, where a name that is not deployed is an unknown model."""
