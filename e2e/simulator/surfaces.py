"""The surfaces of a resource: how paths are formed, and what differs between them.

A surface is a description: the same server, faults and quotas serve all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from e2e.simulator.anthropic_forms import ANTHROPIC_API, public_id
from e2e.simulator.error_bodies import (
    AzureError,
    api_not_supported,
    invalid_request,
    missing_api_version,
    unknown_path,
)
from e2e.simulator.error_forms import AZURE, INFERENCE_API, ErrorForms
from e2e.simulator.quotas import Verdict
from e2e.simulator.regions import Family
from e2e.simulator.wire.http import Headers, Request

FIRST_VERSION_WITH_STREAM_USAGE = "2024-09-01-preview"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")


def _needs_api_version(request: Request) -> None:
    if not _API_VERSION.fullmatch(request.query.get("api-version", "")):
        raise unknown_path()


def _needs_inference_version(request: Request) -> None:
    if not _API_VERSION.fullmatch(request.query.get("api-version", "")):
        raise missing_api_version()


def _needs_anthropic_version(request: Request) -> None:
    version = request.header("anthropic-version")
    if version is None:
        raise invalid_request("anthropic-version: header is required")
    if not _DATE.fullmatch(version):
        raise invalid_request(f'anthropic-version: "{version}" is not a valid version')


def _needs_no_version(_: Request) -> None:
    pass


def _takes_stream_options(_: Request) -> bool:
    return True


def _takes_stream_options_by_version(request: Request) -> bool:
    if request.query.get("api-version", "") < FIRST_VERSION_WITH_STREAM_USAGE:
        raise invalid_request("Unrecognized request argument supplied: stream_options", "stream_options")
    return True


def _takes_extra_stream_options(request: Request) -> bool:
    """They are no part of this API; the header ``extra-parameters`` says what becomes of such parameters."""
    extra = request.header("extra-parameters") or "error"
    if extra not in ("pass-through", "drop"):
        raise invalid_request(
            "Validation error at #/stream_options: Extra inputs are not permitted", "stream_options"
        )
    return extra == "pass-through"


def _azure_ids(request_id: str) -> Headers:
    return [("apim-request-id", request_id), ("x-request-id", request_id)]


def _anthropic_ids(request_id: str) -> Headers:
    return [("apim-request-id", request_id), ("request-id", public_id(request_id))]


def _azure_limits(deployment: str, verdict: Verdict) -> Headers:
    return [("x-ms-deployment-name", deployment), ("x-ms-rai-invoked", "true"), *verdict.headers()]


def _only_the_hint(_: str, verdict: Verdict) -> Headers:
    """Foundry sends no ``anthropic-ratelimit-*`` headers."""
    return verdict.hint()


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """One way in which paths are formed.

    ``path`` has the groups ``operation`` and, where the path names it, ``deployment``. ``check_version``
    raises the service's error for a request without the version that the surface needs.
    ``takes_stream_options`` is false where they are ignored, and raises where they are refused.
    ``key_headers`` may carry a key; the first that is sent counts. ``id_headers`` and ``limit_headers`` are
    what answers say of the request and of the deployment's quota.
    """

    name: str
    family: Family | None
    path: re.Pattern[str]
    check_version: Callable[[Request], None]
    takes_stream_options: Callable[[Request], bool] = _takes_stream_options
    forms: ErrorForms = AZURE
    unknown_path: Callable[[], AzureError] = unknown_path
    key_headers: tuple[str, ...] = ("api-key",)
    id_headers: Callable[[str], Headers] = _azure_ids
    limit_headers: Callable[[str, Verdict], Headers] = _azure_limits


DEPLOYMENTS = Surface(
    "deployments",
    "openai",
    re.compile(r"/openai/deployments/(?P<deployment>[^/]+)/(?P<operation>.+?)/?"),
    _needs_api_version,
    _takes_stream_options_by_version,
)
"""``/openai/deployments/{d}/…?api-version=``"""
V1 = Surface("v1", "openai", re.compile(r"/openai/v1/(?P<operation>.+?)/?"), _needs_no_version)
"""``/openai/v1/…``, deployment in ``model``"""
PREVIEW = Surface(
    "preview",
    "openai",
    re.compile(r"/openai/(?P<operation>.+?)/?"),
    _needs_api_version,
    _takes_stream_options_by_version,
)
"""``/openai/…?api-version=``, deployment in ``model``"""

INFERENCE = Surface(
    "inference",
    "inference",
    re.compile(r"/models/(?P<operation>.+?)/?"),
    _needs_inference_version,
    _takes_extra_stream_options,
    INFERENCE_API,
    api_not_supported,
)
"""``/models/…?api-version=``, the Azure AI model inference API, deployment in ``model``"""

ANTHROPIC = Surface(
    "anthropic",
    "anthropic",
    re.compile(r"/anthropic/v1/(?P<operation>.+?)/?"),
    _needs_anthropic_version,
    forms=ANTHROPIC_API,
    unknown_path=api_not_supported,
    key_headers=("api-key", "x-api-key"),
    id_headers=_anthropic_ids,
    limit_headers=_only_the_hint,
)
"""``/anthropic/v1/…``, deployment in ``model``"""

SURFACES = (DEPLOYMENTS, V1, PREVIEW, INFERENCE, ANTHROPIC)
"""All surfaces; the first whose path matches serves a request."""


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a path.

    ``operation`` is what follows the surface's prefix, for example ``chat/completions``.
    """

    surface: Surface
    operation: str
    deployment: str | None


NOWHERE = Target(Surface("nowhere", None, re.compile(r"(?!)"), _needs_no_version), "", None)
"""What lies outside every surface; no region offers it."""


def parse_target(path: str) -> Target:
    """The parts of a decoded path.

    >>> target = parse_target("/openai/deployments/gpt-4o/chat/completions")
    >>> (target.surface.name, target.operation, target.deployment)
    ('deployments', 'chat/completions', 'gpt-4o')
    """
    for surface in SURFACES:
        match = surface.path.fullmatch(path)
        if match:
            parts = match.groupdict()
            return Target(surface, parts["operation"], parts.get("deployment"))
    return NOWHERE
