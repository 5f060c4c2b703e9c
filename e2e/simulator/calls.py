"""A request as a call of the service's API: its surface, operation, deployment and parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar
from uuid import uuid4

from e2e.simulator import tool_calls
from e2e.simulator.answers import Answer, Json, dump, json_answer
from e2e.simulator.error_bodies import AzureError, invalid_request, not_found
from e2e.simulator.error_forms import AZURE, ErrorForms
from e2e.simulator.faults import NO_FAULT, Fault
from e2e.simulator.quotas import Verdict
from e2e.simulator.regions import Deployment
from e2e.simulator.state import RegionState
from e2e.simulator.surfaces import Surface, Target
from e2e.simulator.tokens import Generated, generate
from e2e.simulator.wire.http import Request

T = TypeVar("T")


class Call:
    """A request to one operation. Raises :class:`AzureError` when it cannot be served."""

    def __init__(self, request: Request, target: Target, state: RegionState) -> None:
        self.request = request
        self.target = target
        self.state = state
        self.fault: Fault = NO_FAULT
        self.id = str(uuid4())
        self.verdict: Verdict | None = None
        self.bound_deployment: str | None = None
        """The deployment that an ephemeral key was made for."""

    @property
    def surface(self) -> Surface:
        """The surface of the path."""
        return self.target.surface

    @property
    def forms(self) -> ErrorForms:
        """How errors are worded."""
        return AZURE if self.fault.azure_errors else self.surface.forms

    def refusal(self, error: AzureError) -> Answer:
        """The answer for an error of the service."""
        answer = json_answer(self.forms.body(error, self.id), error.status)
        answer.headers += error.headers
        return answer

    @property
    def api_version(self) -> str:
        """The query's api-version, or an empty string."""
        return self.request.query.get("api-version", "")

    @cached_property
    def json(self) -> Json:
        """The JSON object in the body. Raises 400 for anything else."""
        try:
            document = json.loads(self.request.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise invalid_request(
                "We could not parse the JSON body of your request. The API expects a JSON object."
            )
        return document

    @cached_property
    def form(self) -> dict[str, Part]:
        """The parts of a multipart body by name. Raises 400 for anything else."""
        return parse_form(self.request.header("content-type") or "", self.request.body)

    @property
    def deployment_name(self) -> str | None:
        """The name of the wanted deployment, from the path or from ``model``; ``None`` when there is none."""
        if self.bound_deployment is not None:
            return self.bound_deployment
        if self.target.deployment is not None:
            return self.target.deployment
        content_type = self.request.header("content-type") or ""
        try:
            if content_type.startswith("multipart/"):
                return self.form["model"].text if "model" in self.form else None
            query = self.request.query
            name = (
                self.json.get("model") if self.request.body else query.get("deployment", query.get("model"))
            )
        except AzureError:
            return None
        return name if isinstance(name, str) else None

    @cached_property
    def deployment(self) -> Deployment:
        """The wanted deployment. Raises the surface's error without a name and for an unknown name."""
        name = self.deployment_name
        if name is None:
            raise self.forms.no_deployment()
        found = self.state.find_deployment(name)
        if found is None:
            raise self.forms.unknown_deployment(name)
        return found

    def require_deployment(self) -> None:
        """Raise the surface's error when the wanted deployment has no name or is not served."""
        _ = self.deployment

    @property
    def model(self) -> str:
        """The model name that answers carry."""
        return self.deployment.model or self.deployment.name

    def charge(self, operation_id: str, estimate: int) -> None:
        """Charge the deployment's quota. Raises 429 when it is used up."""
        self.verdict = self.state.meter(self.deployment.name).charge(estimate)
        if self.verdict.refused_by is not None:
            seconds = -(-self.verdict.retry_after_ms // 1000)
            raise self.forms.throttled(self.verdict.refused_by, operation_id, self.api_version, seconds)

    def cached(self, lay_out: Callable[[], bytes], beside: Any = None, life_s: float | None = None) -> int:
        """The tokens at the beginning of the prompt that the region's cache knows; it knows all afterwards.

        ``lay_out`` makes the prompt as :mod:`prompts` does. ``beside`` is what else has to be equal.
        """
        if self.state.prompt_cache is None:
            return 0
        namespace = f"{self.deployment.name}\0{dump(beside)}"
        return self.state.prompt_cache.use(namespace, lay_out(), life_s)

    def generate(self, prompt: str, limit: int | None) -> Generated:
        """The text that answers a prompt; see :func:`generate`."""
        state = self.state
        number = state.next_number()
        return generate(state.region.name, self.deployment.name, number, prompt, state.answer_tokens, limit)

    def wanted_tool(self, offered: Sequence[str], items: Sequence[Any]) -> str | None:
        """The tool that the model calls of its own accord; see :func:`tool_calls.wanted`."""
        return tool_calls.wanted(self.state.tool_calls, offered, items)

    def stored(self, kind: str, key: str, form: type[T], missing_text: str) -> T:
        """The stored object of a kind with this id. Raises 404 with ``missing_text`` when there is none."""
        found = self.state.store.get(kind, key)
        if not isinstance(found, form):
            raise not_found(missing_text)
        return found

    def typed(self, name: str, kind: type[T]) -> T | None:
        """A parameter of the body, or ``None``. Raises 400 for a value of another type."""
        value = self.json.get(name)
        if value is None or isinstance(value, kind):
            return value
        raise invalid_request(f"Invalid type for '{name}'.", name, "invalid_type")

    def objects(self, name: str) -> list[Json]:
        """A list of JSON objects in the body; empty when it is missing. Raises 400 for anything else."""
        items = self.typed(name, list) or []
        if not all(isinstance(item, dict) for item in items):
            raise invalid_request(
                f"Invalid type for '{name}': expected an array of objects.", name, "invalid_type"
            )
        return items

    def integer(self, *names: str, maximum: int | None = None) -> int | None:
        """The first of these parameters that the body sets, as a positive integer up to ``maximum``.

        Raises 400 for anything else.
        """
        for name in names:
            value = self.json.get(name)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= (maximum or value):
                bound = f" up to {maximum}" if maximum else ""
                raise invalid_request(
                    f"Invalid '{name}': expected a positive integer{bound}.", name, "invalid_type"
                )
            return value
        return None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body; ``filename`` is ``None`` for a plain field."""

    filename: str | None
    content: bytes

    @property
    def text(self) -> str:
        """The content as text."""
        return self.content.decode("utf-8", "replace")


_PARAMETER = re.compile(r';\s*(\w+)\*?=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))')


def parse_form(content_type: str, body: bytes) -> dict[str, Part]:
    """The parts of a ``multipart/form-data`` body (RFC 7578) by name; the last part of a name wins.

    Raises 400 for anything else. A field ``purpose`` with the value ``batch`` is
    ``{"purpose": Part(filename=None, content=b"batch")}``.
    """
    parameters = _parameters(content_type)
    if not content_type.lower().startswith("multipart/form-data") or "boundary" not in parameters:
        raise invalid_request("The request must be multipart/form-data with a boundary.")
    delimiter = b"\r\n--" + parameters["boundary"].encode("latin-1")
    sections = (b"\r\n" + body).split(delimiter)
    if len(sections) < 2 or not sections[-1].startswith(b"--"):
        raise invalid_request("The multipart body is not complete.")
    parts = {}
    for section in sections[1:-1]:
        head, _, content = section.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        for line in head.decode("utf-8", "replace").split("\r\n"):
            if line.lower().startswith("content-disposition:"):
                fields = _parameters(line)
                parts[fields.get("name", "")] = Part(fields.get("filename"), content)
    return parts


def _parameters(header: str) -> dict[str, str]:
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(header)}
