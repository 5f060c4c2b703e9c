"""``vector_stores`` and the files in them; nothing is indexed."""

from __future__ import annotations

from dataclasses import dataclass, field

from e2e.simulator.answers import Answer, Json, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import missing, not_found
from e2e.simulator.operations import files
from e2e.simulator.state import listing, new_id, now

_KIND = "vector_stores"


@dataclass(slots=True)
class _VectorStore:
    id: str
    created_at: int
    name: str | None
    metadata: Json
    files: dict[str, Json] = field(default_factory=dict)

    def document(self) -> Json:
        counts = {"in_progress": 0, "completed": len(self.files), "failed": 0, "cancelled": 0}
        return {
            "id": self.id,
            "object": "vector_store",
            "created_at": self.created_at,
            "name": self.name,
            "usage_bytes": sum(file["usage_bytes"] for file in self.files.values()),
            "file_counts": {**counts, "total": len(self.files)},
            "status": "completed",
            "expires_after": None,
            "expires_at": None,
            "last_active_at": self.created_at,
            "metadata": self.metadata,
        }


def create(call: Call) -> Answer:
    """``POST …/vector_stores``; the body, ``name`` and ``file_ids`` are optional."""
    stored = _VectorStore(new_id("vs_"), now(), None, {})
    if call.request.body:
        stored.name = call.typed("name", str)
        stored.metadata = call.typed("metadata", dict) or {}
        for file_id in call.typed("file_ids", list) or []:
            _attach(call, stored, str(file_id))
    call.state.store.put(_KIND, stored.id, stored)
    return json_answer(stored.document())


def list_all(call: Call) -> Answer:
    """``GET …/vector_stores``."""
    stores = [stored.document() for stored in call.state.store.all(_KIND)]
    return json_answer(listing(stores, call.request.query))


def get(call: Call, store_id: str) -> Answer:
    """``GET …/vector_stores/{id}``."""
    return json_answer(_find(call, store_id).document())


def update(call: Call, store_id: str) -> Answer:
    """``POST …/vector_stores/{id}``: another name or metadata."""
    stored = _find(call, store_id)
    stored.name = call.typed("name", str) or stored.name
    stored.metadata = call.typed("metadata", dict) or stored.metadata
    return json_answer(stored.document())


def delete(call: Call, store_id: str) -> Answer:
    """``DELETE …/vector_stores/{id}``."""
    _find(call, store_id)
    call.state.store.remove(_KIND, store_id)
    return json_answer({"id": store_id, "object": "vector_store.deleted", "deleted": True})


def add_file(call: Call, store_id: str) -> Answer:
    """``POST …/vector_stores/{id}/files``."""
    if "file_id" not in call.json:
        raise missing("file_id")
    return json_answer(_attach(call, _find(call, store_id), str(call.json["file_id"])))


def list_files(call: Call, store_id: str) -> Answer:
    """``GET …/vector_stores/{id}/files``."""
    return json_answer(listing(list(_find(call, store_id).files.values()), call.request.query))


def get_file(call: Call, store_id: str, file_id: str) -> Answer:
    """``GET …/vector_stores/{id}/files/{id}``."""
    return json_answer(_find_file(_find(call, store_id), file_id))


def delete_file(call: Call, store_id: str, file_id: str) -> Answer:
    """``DELETE …/vector_stores/{id}/files/{id}``; the file itself stays."""
    stored = _find(call, store_id)
    _find_file(stored, file_id)
    del stored.files[file_id]
    return json_answer({"id": file_id, "object": "vector_store.file.deleted", "deleted": True})


def _attach(call: Call, stored: _VectorStore, file_id: str) -> Json:
    size = len(files.find(call, file_id).content)
    document = {
        "id": file_id,
        "object": "vector_store.file",
        "created_at": now(),
        "vector_store_id": stored.id,
        "usage_bytes": size,
        "status": "completed",
        "last_error": None,
    }
    stored.files[file_id] = document
    return document


def _find(call: Call, store_id: str) -> _VectorStore:
    return call.stored(_KIND, store_id, _VectorStore, f"No vector store found with id '{store_id}'.")


def _find_file(stored: _VectorStore, file_id: str) -> Json:
    if file_id not in stored.files:
        raise not_found(f"No file found with id '{file_id}' in vector store '{stored.id}'.")
    return stored.files[file_id]
