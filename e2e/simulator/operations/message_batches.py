"""``messages/batches`` of the Anthropic surface: the first GET ends a batch, which costs no quota."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from e2e.simulator.answers import Answer, Json, dump, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import AzureError, invalid_request, model_body
from e2e.simulator.operations import messages
from e2e.simulator.state import listing, new_id

_KIND = "messages/batches"
_LARGEST_BODY = 256 * 1024 * 1024
_LIFE = timedelta(hours=24)
_MOST_ON_A_PAGE = 1000


class _Batch:
    """A batch, what it was asked for, and its results, as lines of JSON, once it has ended."""

    def __init__(self, document: Json, requests: list[Json]) -> None:
        self.document = document
        self.requests = requests
        self.results: list[Json] = []

    def end(self, url: str, result_of: Callable[[Json], Json]) -> None:
        """Work off all requests."""
        self.results = [
            {"custom_id": request["custom_id"], "result": result_of(request)} for request in self.requests
        ]
        kinds = [line["result"]["type"] for line in self.results]
        self.document |= {
            "processing_status": "ended",
            "ended_at": _time(),
            "request_counts": {name: kinds.count(name) for name in _counts(0)},
            "results_url": url,
        }


def create(call: Call) -> Answer:
    """``POST …/messages/batches``."""
    messages.check_size(call, _LARGEST_BODY)
    requests = call.objects("requests")
    if not requests:
        raise invalid_request("requests: at least one request is required")
    ids = [request.get("custom_id") for request in requests]
    for index, request in enumerate(requests):
        if not isinstance(ids[index], str) or not isinstance(request.get("params"), dict):
            raise invalid_request(f"requests.{index}: custom_id and params are required")
    if len(set(ids)) < len(ids):
        raise invalid_request("requests: each custom_id must be unique")
    document: Json = {
        "id": new_id("msgbatch_"),
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": _counts(len(requests)),
        "ended_at": None,
        "created_at": _time(),
        "expires_at": _time(_LIFE),
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": None,
    }
    call.state.store.put(_KIND, document["id"], _Batch(document, requests))
    return json_answer(document)


def list_all(call: Call) -> Answer:
    """``GET …/messages/batches``, newest first; ``after_id``, ``before_id`` and ``limit`` choose the page."""
    query = call.request.query
    limit = query.get("limit", "20")
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= _MOST_ON_A_PAGE:
        raise invalid_request(f"limit: Input should be between 1 and {_MOST_ON_A_PAGE}")
    wanted = {"limit": limit}
    wanted |= {name.removesuffix("_id"): query[name] for name in ("after_id", "before_id") if name in query}
    newest_first = [batch.document for batch in reversed(call.state.store.all(_KIND))]
    page = listing(newest_first, wanted)
    return json_answer({name: page[name] for name in ("data", "has_more", "first_id", "last_id")})


def get(call: Call, batch_id: str) -> Answer:
    """``GET …/messages/batches/{id}``: ends an open batch."""
    batch = _find(call, batch_id)
    url = f"http://{call.request.header('host')}/anthropic/v1/{_KIND}/{batch_id}/results"
    if batch.document["processing_status"] == "in_progress":
        batch.end(url, lambda request: _result(call, request["params"]))
    elif batch.document["processing_status"] == "canceling":
        batch.end(url, lambda _: {"type": "canceled"})
    return json_answer(batch.document)


def results(call: Call, batch_id: str) -> Answer:
    """``GET …/messages/batches/{id}/results``: one line of JSON for each request."""
    batch = _find(call, batch_id)
    if batch.document["results_url"] is None:
        raise _not_found(f"Message Batch {batch_id} has no available results yet.")
    lines = "".join(f"{dump(line)}\n" for line in batch.results)
    return Answer(200, lines.encode("utf-8", "replace"), content_type="application/x-jsonl")


def cancel(call: Call, batch_id: str) -> Answer:
    """``POST …/messages/batches/{id}/cancel``: the next GET ends it without answers."""
    batch = _find(call, batch_id)
    if batch.document["processing_status"] == "ended":
        raise invalid_request(f"Message Batch {batch_id} cannot be canceled: it has ended.")
    batch.document |= {"processing_status": "canceling", "cancel_initiated_at": _time()}
    return json_answer(batch.document)


def delete(call: Call, batch_id: str) -> Answer:
    """``DELETE …/messages/batches/{id}``: only a batch that has ended can be deleted."""
    if _find(call, batch_id).document["processing_status"] != "ended":
        raise invalid_request(f"Message Batch {batch_id} cannot be deleted: it is still processing.")
    call.state.store.remove(_KIND, batch_id)
    return json_answer({"id": batch_id, "type": "message_batch_deleted"})


def _result(call: Call, params: Json) -> Json:
    """What became of one request: a message, or the error that it would have met."""
    inner = Call(replace(call.request, body=dump(params).encode("utf-8", "replace")), call.target, call.state)
    try:
        message = messages.compose(inner, messages.Asked.read(inner))
    except AzureError as error:
        return {"type": "errored", "error": call.forms.body(error, call.id)}
    return {"type": "succeeded", "message": message.whole}


def _find(call: Call, batch_id: str) -> _Batch:
    found: Any = call.state.store.get(_KIND, batch_id)
    if not isinstance(found, _Batch):
        raise _not_found(f"Message Batch {batch_id} not found.")
    return found


def _not_found(message: str) -> AzureError:
    return AzureError(404, model_body(message, kind="not_found_error"))


def _counts(processing: int) -> Json:
    return {"processing": processing, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}


def _time(later: timedelta = timedelta()) -> str:
    return (datetime.now(UTC) + later).isoformat().replace("+00:00", "Z")
