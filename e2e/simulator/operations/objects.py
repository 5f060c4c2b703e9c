"""Stored objects that do nothing here: they can be made, listed, read, changed and deleted.

Assistants, threads and their runs, uploads, fine-tuning jobs, evals, containers and videos.
"""

from __future__ import annotations

from typing import Any

from e2e.simulator.answers import Answer, Json, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import missing, not_found
from e2e.simulator.operations import files
from e2e.simulator.state import listing, new_id, now

KINDS = {
    "assistants": "asst_",
    "threads": "thread_",
    "uploads": "upload_",
    "fine_tuning/jobs": "ftjob-",
    "evals": "eval_",
    "containers": "cntr_",
    "videos": "video_",
}
"""The prefix of the ids, by the path of the collection."""

_RUNS = "threads/runs"


def create(call: Call) -> Answer:
    """``POST …/{kind}``."""
    kind = _kind(call)
    document = _keep(call, kind, new_id(KINDS[kind]), _members(call))
    return json_answer(document)


def list_all(call: Call) -> Answer:
    """``GET …/{kind}``."""
    return json_answer(listing(call.state.store.all(_kind(call)), call.request.query))


def get(call: Call, object_id: str) -> Answer:
    """``GET …/{kind}/{id}``."""
    return json_answer(_find(call, _kind(call), object_id))


def update(call: Call, object_id: str) -> Answer:
    """``POST …/{kind}/{id}``: other members."""
    document = _find(call, _kind(call), object_id)
    return json_answer(_keep(call, _kind(call), object_id, {**document, **_members(call)}))


def delete(call: Call, object_id: str) -> Answer:
    """``DELETE …/{kind}/{id}``."""
    _find(call, _kind(call), object_id)
    call.state.store.remove(_kind(call), object_id)
    return json_answer({"id": object_id, "deleted": True})


def create_thread_and_run(call: Call) -> Answer:
    """``POST …/threads/runs``: a run in a thread of its own."""
    thread = _keep(call, "threads", new_id("thread_"), {})
    return create_run(call, str(thread["id"]))


def create_run(call: Call, thread_id: str) -> Answer:
    """``POST …/threads/{id}/runs``."""
    assistant_id = call.json.get("assistant_id")
    if assistant_id is None:
        raise missing("assistant_id")
    _find(call, "threads", thread_id)
    _find(call, "assistants", str(assistant_id))
    members = {"thread_id": thread_id, "assistant_id": assistant_id, "status": "queued"}
    return json_answer(_keep(call, _RUNS, new_id("run_"), members))


def complete_upload(call: Call, upload_id: str) -> Answer:
    """``POST …/uploads/{id}/complete``: the upload becomes a file."""
    upload = _find(call, "uploads", upload_id)
    stored = files.keep(call, str(upload.get("filename", "file")), "assistants", b"")
    document = {**upload, "status": "completed", "file": stored.document}
    return json_answer(_keep(call, "uploads", upload_id, document))


def _kind(call: Call) -> str:
    first, second, *_ = [*call.target.operation.split("/"), ""]
    return f"{first}/{second}" if first == "fine_tuning" else first


def _members(call: Call) -> Json:
    """What the client wants of the object. Raises 404 for a training file that does not exist."""
    if not call.request.body or (call.request.header("content-type") or "").startswith("multipart/"):
        return {}
    if "training_file" in call.json:
        files.find(call, str(call.json["training_file"]))
    return call.json


def _keep(call: Call, kind: str, object_id: str, members: dict[str, Any]) -> Json:
    document = {**members, "id": object_id, "object": kind, "created_at": now()}
    call.state.store.put(kind, object_id, document)
    return document


def _find(call: Call, kind: str, object_id: str) -> Json:
    stored = call.state.store.get(kind, object_id)
    if not isinstance(stored, dict):
        raise not_found(f"No object found with id '{object_id}'.")
    return stored
