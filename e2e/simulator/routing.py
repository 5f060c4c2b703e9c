"""Which operation serves which method and path."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from e2e.simulator.answers import Answer, EventStream
from e2e.simulator.calls import Call, Surface
from e2e.simulator.errors import AzureError, unknown_path
from e2e.simulator.surfaces import chat, completions, embeddings, models, responses

Operation = Callable[..., Answer | EventStream]

INFERENCE: dict[str, Operation] = {
    "chat/completions": chat.create,
    "completions": completions.create,
    "embeddings": embeddings.create,
}
"""``POST`` operations that exist on the deployments surface and on v1."""

_RESOURCES: list[tuple[str, str, Operation]] = [
    ("POST", "responses", responses.create),
    ("POST", "responses/compact", responses.compact),
    ("GET", "responses/{id}", responses.get),
    ("DELETE", "responses/{id}", responses.delete),
    ("GET", "responses/{id}/input_items", responses.input_items),
    ("POST", "responses/{id}/cancel", responses.cancel),
    ("GET", "models", models.list_all),
    ("GET", "models/{id}", models.get),
]
"""Operations outside deployments, on v1 and on the preview paths; ``{id}`` is one path segment."""


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace("{id}", "([^/]+)"))


_PATTERNS = [(method, _compiled(pattern), operation) for method, pattern, operation in _RESOURCES]


def serve(call: Call) -> Answer | EventStream:
    """Run the operation that was asked for; errors of the service come back as answers."""
    try:
        call.check_api_version()
        operation, arguments = _find(call)
        return operation(call, *arguments)
    except AzureError as error:
        return error.answer()


def _find(call: Call) -> tuple[Operation, tuple[Any, ...]]:
    method, target = call.request.method, call.target
    if target.surface is not Surface.PREVIEW and method == "POST" and target.operation in INFERENCE:
        return INFERENCE[target.operation], ()
    if target.surface is not Surface.DEPLOYMENTS:
        for wanted, pattern, operation in _PATTERNS:
            match = pattern.fullmatch(target.operation)
            if match and wanted == method:
                return operation, match.groups()
    raise unknown_path()
