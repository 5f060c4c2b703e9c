"""Finds the operation that serves a method and path."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from e2e.simulator.answers import Reply
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import AzureError, invalid_request
from e2e.simulator.operations import (
    anthropic_models,
    audio,
    batches,
    chat,
    completions,
    conversations,
    embeddings,
    ephemeral_keys,
    files,
    images,
    message_batches,
    messages,
    models,
    objects,
    realtime,
    responses,
    vector_stores,
)
from e2e.simulator.surfaces import ANTHROPIC, DEPLOYMENTS, INFERENCE, PREVIEW, V1, Surface

Operation = Callable[..., Reply]

_INFERENCE: dict[str, Operation] = {
    "chat/completions": chat.create,
    "completions": completions.create,
    "embeddings": embeddings.create,
    "images/generations": images.generate,
    "images/edits": images.edit,
    "audio/speech": audio.speech,
    "audio/transcriptions": audio.transcribe,
    "audio/translations": audio.translate,
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
    ("GET", "realtime", realtime.connect),
    ("POST", "realtime/client_secrets", ephemeral_keys.make_secret),
    ("POST", "realtime/sessions", ephemeral_keys.make_session),
    ("POST", "realtimeapi/sessions", ephemeral_keys.make_session),
    ("POST", "realtime/calls", ephemeral_keys.begin_call),
    ("POST", "files", files.create),
    ("GET", "files", files.list_all),
    ("GET", "files/{id}", files.get),
    ("GET", "files/{id}/content", files.content),
    ("DELETE", "files/{id}", files.delete),
    ("POST", "conversations", conversations.create),
    ("GET", "conversations/{id}", conversations.get),
    ("POST", "conversations/{id}", conversations.update),
    ("DELETE", "conversations/{id}", conversations.delete),
    ("POST", "conversations/{id}/items", conversations.add_items),
    ("GET", "conversations/{id}/items", conversations.list_items),
    ("GET", "conversations/{id}/items/{id}", conversations.get_item),
    ("DELETE", "conversations/{id}/items/{id}", conversations.delete_item),
    ("POST", "vector_stores", vector_stores.create),
    ("GET", "vector_stores", vector_stores.list_all),
    ("GET", "vector_stores/{id}", vector_stores.get),
    ("POST", "vector_stores/{id}", vector_stores.update),
    ("DELETE", "vector_stores/{id}", vector_stores.delete),
    ("POST", "vector_stores/{id}/files", vector_stores.add_file),
    ("GET", "vector_stores/{id}/files", vector_stores.list_files),
    ("GET", "vector_stores/{id}/files/{id}", vector_stores.get_file),
    ("DELETE", "vector_stores/{id}/files/{id}", vector_stores.delete_file),
    ("POST", "batches", batches.create),
    ("GET", "batches", batches.list_all),
    ("GET", "batches/{id}", batches.get),
    ("POST", "batches/{id}/cancel", batches.cancel),
    ("GET", "chat/completions", chat.list_stored),
    ("GET", "chat/completions/{id}", chat.get_stored),
    ("POST", "threads/runs", objects.create_thread_and_run),
    ("POST", "threads/{id}/runs", objects.create_run),
    ("POST", "uploads/{id}/complete", objects.complete_upload),
    *(
        (method, kind + path, operation)
        for kind in objects.KINDS
        for method, path, operation in (
            ("POST", "", objects.create),
            ("GET", "", objects.list_all),
            ("GET", "/{id}", objects.get),
            ("POST", "/{id}", objects.update),
            ("DELETE", "/{id}", objects.delete),
        )
    ),
]
"""Operations outside deployments, on v1 and on the preview paths; ``{id}`` is one path segment."""


class _Table:
    """The operations of one surface."""

    def __init__(self, *rows: tuple[str, str, Operation]) -> None:
        self._exact = {(method, path): operation for method, path, operation in rows if "{" not in path}
        self._patterns = [
            (method, re.compile(path.replace("{id}", "([^/]+)")), operation)
            for method, path, operation in rows
            if "{" in path
        ]

    def find(self, method: str, path: str) -> tuple[Operation, tuple[Any, ...]] | None:
        """The operation of a method and path, and the segments that the path gives it."""
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact, ()
        for wanted, pattern, operation in self._patterns:
            match = pattern.fullmatch(path)
            if match and wanted == method:
                return operation, match.groups()
        return None


_POSTS = [("POST", path, operation) for path, operation in _INFERENCE.items()]
_TABLES: dict[Surface, _Table] = {
    DEPLOYMENTS: _Table(*_POSTS),
    V1: _Table(*_POSTS, *_RESOURCES),
    PREVIEW: _Table(*_RESOURCES),
    INFERENCE: _Table(
        ("POST", "chat/completions", chat.create),
        ("POST", "embeddings", embeddings.create),
    ),
    ANTHROPIC: _Table(
        ("POST", "messages", messages.create),
        ("POST", "messages/count_tokens", messages.count_tokens),
        ("POST", "messages/batches", message_batches.create),
        ("GET", "messages/batches", message_batches.list_all),
        ("GET", "messages/batches/{id}", message_batches.get),
        ("DELETE", "messages/batches/{id}", message_batches.delete),
        ("GET", "messages/batches/{id}/results", message_batches.results),
        ("POST", "messages/batches/{id}/cancel", message_batches.cancel),
        ("GET", "models", anthropic_models.list_all),
        ("GET", "models/{id}", anthropic_models.get),
    ),
}


def serve(call: Call) -> Reply:
    """Run the operation of a call; errors of the service become answers."""
    try:
        call.surface.check_version(call.request)
        found = _TABLES[call.surface].find(call.request.method, call.target.operation)
        if found is None:
            raise call.surface.unknown_path()
        operation, arguments = found
        return operation(call, *arguments)
    except AzureError as error:
        return call.refusal(error)
    except RecursionError:
        return call.refusal(invalid_request("The JSON body is nested too deeply."))
