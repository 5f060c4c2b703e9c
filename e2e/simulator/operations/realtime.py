"""``realtime``: a WebSocket session that answers in text, in the event names of its surface.

The preview path uses the preview's names (``response.text.delta``), v1 the general ones
(``response.output_text.delta``). Incoming audio is acknowledged and ignored.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from e2e.simulator import tokens
from e2e.simulator.answers import Json, Messages, WebSocketSession, dump
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import invalid_request
from e2e.simulator.state import new_id
from e2e.simulator.surfaces import V1
from e2e.simulator.tokens import Generated
from e2e.simulator.wire.http import Headers, Request

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def connect(call: Call) -> WebSocketSession:
    """``GET …/realtime`` with an upgrade."""
    deployment = call.deployment
    headers = _handshake(call.request)
    call.charge("Realtime_Connect", 0)
    session = _Session(call, deployment.model or deployment.name)
    return WebSocketSession(session.greet, session.answer, list(headers))


def _handshake(request: Request) -> Headers:
    """The headers of the 101. Raises 400 when the request asks for no WebSocket."""
    key = request.header("sec-websocket-key")
    if (request.header("upgrade") or "").lower() != "websocket" or key is None:
        raise invalid_request("This operation needs a WebSocket upgrade.")
    digest = hashlib.sha1((key.strip() + _GUID).encode(), usedforsecurity=False).digest()
    headers = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", base64.b64encode(digest).decode("ascii")),
    ]
    offered = [name.strip() for name in (request.header("sec-websocket-protocol") or "").split(",")]
    if "realtime" in offered:
        headers.append(("sec-websocket-protocol", "realtime"))
    return headers


class _Session:
    """One session. Each incoming event returns the events to send; those with output are marked ``True``."""

    def __init__(self, call: Call, model: str) -> None:
        self._call = call
        self._general = call.surface is V1
        self._items: list[Json] = []
        self._session: Json = {
            "id": new_id("sess_"),
            "object": "realtime.session",
            "model": model,
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
        }
        modalities = "output_modalities" if self._general else "modalities"
        self._session |= {"type": "realtime"} if self._general else {}
        self._session[modalities] = ["text"]

    def greet(self) -> Messages:
        return [_event("session.created", session=self._session)]

    def answer(self, message: str) -> Messages:
        try:
            event = json.loads(message)
        except ValueError:
            event = None
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            return [self._error("Could not parse the event: expected a JSON object with a type.", None)]
        kind = event["type"]
        if kind == "session.update":
            self._session |= event.get("session") or {}
            return [_event("session.updated", session=self._session)]
        if kind == "conversation.item.create":
            return self._add(event.get("item") or {})
        if kind == "response.create":
            return self._respond(event.get("response") or {})
        if kind == "input_audio_buffer.append":
            return []
        if kind in ("input_audio_buffer.commit", "input_audio_buffer.clear"):
            past = {"input_audio_buffer.commit": "committed", "input_audio_buffer.clear": "cleared"}[kind]
            return [_event(f"input_audio_buffer.{past}", item_id=new_id("item_"), previous_item_id=None)]
        return [self._error(f"Invalid value: '{kind}'.", event.get("event_id"))]

    def _add(self, item: Json) -> Messages:
        previous = self._items[-1]["id"] if self._items else None
        item = {"id": new_id("item_"), "object": "realtime.item", "status": "completed", **item}
        self._items.append(item)
        place = {"previous_item_id": previous, "item": item}
        if not self._general:
            return [_event("conversation.item.created", **place)]
        return [_event("conversation.item.added", **place), _event("conversation.item.done", **place)]

    def _respond(self, options: Json) -> Messages:
        prompt = tokens.last_user_text(self._items)
        limit = options.get("max_output_tokens")
        generated = self._call.generate(prompt, limit if isinstance(limit, int) else None)
        usage = self._usage(generated)
        response = {
            "id": new_id("resp_"),
            "object": "realtime.response",
            "status": "in_progress",
            "output": [],
        }
        part = "output_text" if self._general else "text"
        content = {"type": part, "text": generated.text}
        item = {"id": new_id("item_"), "object": "realtime.item", "type": "message", "role": "assistant"}
        opened: Json = {**item, "status": "in_progress", "content": []}
        done: Json = {**item, "status": "completed", "content": [content]}
        self._items.append(done)
        place = {"response_id": response["id"], "output_index": 0}
        inside = {**place, "item_id": item["id"], "content_index": 0}
        deltas = [_event(f"response.{part}.delta", True, **inside, delta=piece) for piece in generated.pieces]
        return [
            _event("response.created", response=response),
            _event("response.output_item.added", **place, item=opened),
            _event("response.content_part.added", **inside, part={"type": "text", "text": ""}),
            *deltas,
            _event(f"response.{part}.done", **inside, text=generated.text),
            _event("response.content_part.done", **inside, part={"type": "text", "text": generated.text}),
            _event("response.output_item.done", **place, item=done),
            _event(
                "response.done",
                response={**response, "status": "completed", "output": [done], "usage": usage},
            ),
        ]

    def _usage(self, generated: Generated) -> Json:
        prompt = tokens.of_messages(self._items)
        completion = len(generated.pieces)
        return {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}

    @staticmethod
    def _error(message: str, event_id: Any) -> tuple[str, bool]:
        error = {"type": "invalid_request_error", "code": "invalid_value", "message": message, "param": None}
        return _event("error", error={**error, "event_id": event_id})


def _event(kind: str, output: bool = False, /, **fields: Any) -> tuple[str, bool]:
    return dump({"type": kind, "event_id": new_id("event_"), **fields}), output
