"""How a surface words the errors of the service.

Operations raise errors in the form of OpenAI's front end, whatever their surface. The forms of the surface
turn them into the body that the client sees.
"""

from __future__ import annotations

from e2e.simulator.answers import Json
from e2e.simulator.error_bodies import (
    AzureError,
    deployment_not_found,
    detailed_body,
    missing,
    status_body,
    throttled_body,
)


class ErrorForms:
    """The forms of Azure OpenAI."""

    def body(self, error: AzureError, request_id: str) -> Json:  # noqa: ARG002 - other forms name the request
        """The body that the client sees of an error."""
        return error.body

    def of_status(self, status: int, code: str | None, message: str | None) -> AzureError:
        """The usual error of a status; ``code`` and ``message`` replace the usual values."""
        return AzureError(status, status_body(status, code, message))

    def throttled(self, what: str, operation: str, api_version: str, retry_after_s: int | None) -> AzureError:
        """The 429 for a used-up quota; ``what`` is ``token`` or ``call``."""
        return AzureError(429, throttled_body(what, operation, api_version, retry_after_s))

    def no_deployment(self) -> AzureError:
        """The error for a request that names no deployment."""
        return missing("model")

    def unknown_deployment(self, name: str) -> AzureError:  # noqa: ARG002 - other forms name it
        """The error for a deployment that this region does not serve."""
        return deployment_not_found()


class _InferenceForms(ErrorForms):
    """The forms of the Azure AI model inference API: what is not deployed is an unknown model."""

    def no_deployment(self) -> AzureError:
        text = (
            "No model specified in request. Please provide a model name in the request body or as a "
            "x-ms-model-mesh-model-name header."
        )
        return AzureError(400, detailed_body("no_model_name", text))

    def unknown_deployment(self, name: str) -> AzureError:
        return AzureError(400, detailed_body("unknown_model", f"Unknown model: {name}"))


AZURE = ErrorForms()
INFERENCE_API = _InferenceForms()
