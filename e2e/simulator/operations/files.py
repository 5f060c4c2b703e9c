"""``files``: uploads kept in memory, per region."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.simulator.answers import Answer, Json, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import missing, not_found
from e2e.simulator.state import listing, new_id, now

KIND = "files"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file object and its content."""

    document: Json
    content: bytes


def create(call: Call) -> Answer:
    """``POST …/files``, a multipart form with ``file`` and ``purpose``."""
    for name in ("file", "purpose"):
        if name not in call.form:
            raise missing(name)
    upload = call.form["file"]
    stored = keep(call, upload.filename or "file", call.form["purpose"].text, upload.content)
    return json_answer(stored.document, 201)


def keep(call: Call, filename: str, purpose: str, content: bytes) -> StoredFile:
    """Store a file."""
    document: Json = {
        "id": new_id("file-"),
        "object": "file",
        "bytes": len(content),
        "created_at": now(),
        "filename": filename,
        "purpose": purpose,
        "status": "processed",
    }
    stored = StoredFile(document, content)
    call.state.store.put(KIND, document["id"], stored)
    return stored


def list_all(call: Call) -> Answer:
    """``GET …/files``, of one ``purpose`` when the query names it."""
    purpose = call.request.query.get("purpose")
    documents = [file.document for file in call.state.store.all(KIND)]
    return json_answer(listing([d for d in documents if purpose in (None, d["purpose"])], call.request.query))


def get(call: Call, file_id: str) -> Answer:
    """``GET …/files/{id}``."""
    return json_answer(find(call, file_id).document)


def content(call: Call, file_id: str) -> Answer:
    """``GET …/files/{id}/content``."""
    return Answer(200, find(call, file_id).content, content_type="application/octet-stream")


def delete(call: Call, file_id: str) -> Answer:
    """``DELETE …/files/{id}``."""
    find(call, file_id)
    call.state.store.remove(KIND, file_id)
    return json_answer({"id": file_id, "object": "file", "deleted": True})


def find(call: Call, file_id: str) -> StoredFile:
    """A stored file. Raises 404 for an unknown id."""
    stored = call.state.store.get(KIND, file_id)
    if not isinstance(stored, StoredFile):
        raise not_found(f"No such File object: {file_id}", "id")
    return stored
