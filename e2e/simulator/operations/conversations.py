"""``conversations`` and their items."""

from __future__ import annotations

from dataclasses import dataclass, field

from e2e.simulator.answers import Answer, Json, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import not_found
from e2e.simulator.operations.responses import CONVERSATIONS, input_items_of
from e2e.simulator.state import listing, new_id, now


@dataclass(slots=True)
class StoredConversation:
    """A conversation object and its items, oldest first."""

    document: Json
    items: list[Json] = field(default_factory=list)


def create(call: Call) -> Answer:
    """``POST …/conversations``; the body and its ``items`` are optional."""
    metadata = call.typed("metadata", dict) if call.request.body else None
    items = call.objects("items") if call.request.body else []
    document: Json = {
        "id": new_id("conv_"),
        "object": "conversation",
        "created_at": now(),
        "metadata": metadata or {},
    }
    stored = StoredConversation(document, input_items_of({"input": items}, required=False))
    call.state.store.put(CONVERSATIONS, document["id"], stored)
    return json_answer(document)


def get(call: Call, conversation_id: str) -> Answer:
    """``GET …/conversations/{id}``."""
    return json_answer(_find(call, conversation_id).document)


def update(call: Call, conversation_id: str) -> Answer:
    """``POST …/conversations/{id}``: other metadata."""
    stored = _find(call, conversation_id)
    stored.document = {**stored.document, "metadata": call.typed("metadata", dict) or {}}
    return json_answer(stored.document)


def delete(call: Call, conversation_id: str) -> Answer:
    """``DELETE …/conversations/{id}``."""
    _find(call, conversation_id)
    call.state.store.remove(CONVERSATIONS, conversation_id)
    return json_answer({"id": conversation_id, "object": "conversation.deleted", "deleted": True})


def add_items(call: Call, conversation_id: str) -> Answer:
    """``POST …/conversations/{id}/items``."""
    stored = _find(call, conversation_id)
    added = input_items_of({"input": call.json.get("items")}, required=True)
    stored.items += added
    return json_answer(listing(added))


def list_items(call: Call, conversation_id: str) -> Answer:
    """``GET …/conversations/{id}/items``, newest first unless ``order=asc``."""
    items = _find(call, conversation_id).items
    return json_answer(listing(items if call.request.query.get("order") == "asc" else items[::-1]))


def get_item(call: Call, conversation_id: str, item_id: str) -> Answer:
    """``GET …/conversations/{id}/items/{id}``."""
    return json_answer(_find_item(_find(call, conversation_id), item_id))


def delete_item(call: Call, conversation_id: str, item_id: str) -> Answer:
    """``DELETE …/conversations/{id}/items/{id}``; the answer is the conversation."""
    stored = _find(call, conversation_id)
    stored.items.remove(_find_item(stored, item_id))
    return json_answer(stored.document)


def _find(call: Call, conversation_id: str) -> StoredConversation:
    text = f"Conversation with id '{conversation_id}' not found."
    return call.stored(CONVERSATIONS, conversation_id, StoredConversation, text)


def _find_item(stored: StoredConversation, item_id: str) -> Json:
    for item in stored.items:
        if item["id"] == item_id:
            return item
    raise not_found(f"Item with id '{item_id}' not found.")
