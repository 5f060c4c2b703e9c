"""The surfaces of a resource: how paths are formed, and what differs between them.

A surface is a description: the same server, faults and quotas serve all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from e2e.simulator.error_bodies import (
    AzureError,
    api_not_supported,
    invalid_request,
    missing_api_version,
    unknown_path,
)
from e2e.simulator.error_forms import AZURE, INFERENCE_API, ErrorForms
from e2e.simulator.regions import Family
from e2e.simulator.wire.http import Request

FIRST_VERSION_WITH_STREAM_USAGE = "2024-09-01-preview"
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")


def _needs_api_version(request: Request) -> None:
    if not _API_VERSION.fullmatch(request.query.get("api-version", "")):
        raise unknown_path()


def _needs_inference_version(request: Request) -> None:
    if not _API_VERSION.fullmatch(request.query.get("api-version", "")):
        raise missing_api_version()


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


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """One way in which paths are formed.

    ``path`` has the groups ``operation`` and, where the path names it, ``deployment``. ``check_version``
    raises the service's error for a request without the version that the surface needs.
    ``takes_stream_options`` is false where they are ignored, and raises where they are refused.
    """

    name: str
    family: Family
    path: re.Pattern[str]
    check_version: Callable[[Request], None]
    takes_stream_options: Callable[[Request], bool] = _takes_stream_options
    forms: ErrorForms = AZURE
    unknown_path: Callable[[], AzureError] = unknown_path


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

SURFACES = (DEPLOYMENTS, V1, PREVIEW, INFERENCE)
"""All surfaces; the first whose path matches serves a request."""


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a path.

    ``operation`` is what follows the surface's prefix, for example ``chat/completions``.
    """

    surface: Surface
    operation: str
    deployment: str | None


def parse_target(path: str) -> Target | None:
    """The parts of a decoded path, or ``None`` outside every surface.

    >>> target = parse_target("/openai/deployments/gpt-4o/chat/completions")
    >>> (target.surface.name, target.operation, target.deployment)
    ('deployments', 'chat/completions', 'gpt-4o')
    """
    for surface in SURFACES:
        match = surface.path.fullmatch(path)
        if match:
            parts = match.groupdict()
            return Target(surface, parts["operation"], parts.get("deployment"))
    return None
