"""``batches``: the first GET finishes a batch, with one answer for each line of its input file."""

from __future__ import annotations

import json
from typing import Any

from e2e.simulator.answers import Answer, Json, dump, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import invalid_request, missing
from e2e.simulator.operations import files
from e2e.simulator.state import listing, new_id, now

_KIND = "batches"
_OPEN = "validating"


def create(call: Call) -> Answer:
    """``POST …/batches``."""
    body = call.json
    for name in ("input_file_id", "endpoint"):
        if name not in body:
            raise missing(name)
    files.find(call, str(body["input_file_id"]))
    document: Json = {
        "id": new_id("batch_"),
        "object": "batch",
        "endpoint": body["endpoint"],
        "input_file_id": body["input_file_id"],
        "completion_window": body.get("completion_window", "24h"),
        "status": _OPEN,
        "errors": None,
        "output_file_id": None,
        "error_file_id": None,
        "created_at": now(),
        "completed_at": None,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": body.get("metadata"),
    }
    call.state.store.put(_KIND, document["id"], document)
    return json_answer(document)


def list_all(call: Call) -> Answer:
    """``GET …/batches``."""
    return json_answer(listing(call.state.store.all(_KIND), call.request.query))


def get(call: Call, batch_id: str) -> Answer:
    """``GET …/batches/{id}``: finishes an open batch."""
    document = _find(call, batch_id)
    if document["status"] == _OPEN:
        document = _run(call, document)
        call.state.store.put(_KIND, batch_id, document)
    return json_answer(document)


def cancel(call: Call, batch_id: str) -> Answer:
    """``POST …/batches/{id}/cancel``: only an open batch can be cancelled."""
    document = _find(call, batch_id)
    if document["status"] != _OPEN:
        raise invalid_request(f"Cannot cancel a batch with status '{document['status']}'.")
    document = {**document, "status": "cancelled", "cancelled_at": now()}
    call.state.store.put(_KIND, batch_id, document)
    return json_answer(document)


def _run(call: Call, document: Json) -> Json:
    lines = files.find(call, document["input_file_id"]).content.splitlines()
    answers = [_line(call, line) for line in lines if line.strip()]
    if None in answers:
        errors = {"object": "list", "data": [{"code": "invalid_json_line", "message": "A line is not JSON."}]}
        return {**document, "status": "failed", "failed_at": now(), "errors": errors}
    output = "\n".join(dump(answer) for answer in answers).encode()
    stored = files.keep(call, "output.jsonl", "batch_output", output)
    return {
        **document,
        "status": "completed",
        "completed_at": now(),
        "output_file_id": stored.document["id"],
        "request_counts": {"total": len(answers), "completed": len(answers), "failed": 0},
    }


def _line(call: Call, line: bytes) -> Json | None:
    """The output line for an input line; its text names the region and the number of the answer."""
    try:
        asked: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(asked, dict):
        return None
    body = asked.get("body") or {}
    text = f"{call.state.region.name}/{body.get('model')}#{call.state.next_number()}: batch"
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    answer = {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "model": body.get("model"),
        "choices": [choice],
    }
    response = {"status_code": 200, "request_id": new_id(""), "body": answer}
    return {
        "id": new_id("batch_req_"),
        "custom_id": asked.get("custom_id"),
        "response": response,
        "error": None,
    }


def _find(call: Call, batch_id: str) -> Json:
    document: Json = call.stored(_KIND, batch_id, dict, f"No batch found with id '{batch_id}'.")
    return document
