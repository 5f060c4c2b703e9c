"""``responses``, which each region stores for itself, so that their ids mean nothing in other regions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from e2e.simulator import prompts, tokens, tool_calls
from e2e.simulator.answers import Answer, Event, EventStream, Json, Stage, dump, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import AzureError, invalid_request, missing, model_body, not_found
from e2e.simulator.state import listing, new_id, now
from e2e.simulator.tokens import Generated

KIND = "responses"
CONVERSATIONS = "conversations"
OPERATION_ID = "Responses_Create"
_UNFINISHED = ("queued", "in_progress")
_CALL = "function_call"


class StoredResponse:
    """A response, its input, and the time when its background run ends (monotonic seconds)."""

    def __init__(self, document: Json, inputs: list[Json], finished: Json | None, ready_at: float) -> None:
        self._document = document
        self.inputs = inputs
        self._finished = finished
        self._ready_at = ready_at

    @property
    def document(self) -> Json:
        """The response in its current state."""
        if self._finished is not None and time.monotonic() >= self._ready_at:
            self._document, self._finished = self._finished, None
        return self._document

    def cancel(self) -> Json:
        """Cancel a background run; a finished response stays as it is."""
        if self.document["status"] in _UNFINISHED:
            self._finished = None
            self._document = {**self._document, "status": "cancelled"}
        return self._document


def create(call: Call) -> Answer | EventStream:
    """``POST …/responses``."""
    body = call.json
    model = call.model
    if "include_usage" in (call.typed("stream_options", dict) or {}):
        raise invalid_request(
            "Unknown parameter: 'stream_options.include_usage'.",
            "stream_options.include_usage",
            "unknown_parameter",
        )
    context = _context(call)
    inputs = input_items_of(body, required="prompt" not in body and not context)
    _check_encrypted_items(call, inputs)
    limit = call.integer("max_output_tokens")
    prompt_tokens = tokens.of_messages([*context, *inputs]) + tokens.of_content(body.get("instructions"))
    call.charge(OPERATION_ID, prompt_tokens + (limit or call.state.answer_tokens))
    generated = call.generate(tokens.last_user_text(inputs), limit)
    started = _started(body, model)
    tool = _tool(call, [*context, *inputs])
    if tool:
        called = tool_calls.arguments(call.state.tool_calls, tool, generated)
        generated = Generated(tool_calls.pieces(called), "stop")
    output = _output_items(call, generated, tool)
    cached = call.cached(
        lambda: prompts.of_content(body.get("instructions")) + prompts.of_messages([*context, *inputs]),
        body.get("tools"),
    )
    usage = _usage(prompt_tokens, len(generated.pieces), cached)
    finished = _finished(started, output, generated, usage)
    _remember(call, started, [*context, *inputs], finished)
    if body.get("stream"):
        return EventStream(_stream(started, finished, generated), "responses", subject=started)
    if body.get("background"):
        return json_answer({**started, "status": "queued"})
    return json_answer(finished, tokens=len(generated.pieces))


def compact(call: Call) -> Answer:
    """``POST …/responses/compact``: turns the context into one item that only this region can read."""
    call.charge(
        OPERATION_ID, tokens.of_messages([*_context(call), *input_items_of(call.json, required=False)])
    )
    item = {"id": new_id("cmp_"), "type": "compaction", "encrypted_content": _seal(call)}
    usage = _usage(tokens.of_content(call.json.get("input")), 1)
    return json_answer(
        {
            "id": new_id("resp_"),
            "object": "response.compaction",
            "created_at": now(),
            "output": [item],
            "usage": usage,
        }
    )


def get(call: Call, response_id: str) -> Answer | EventStream:
    """``GET …/responses/{id}``; ``?stream=true`` sends the events again."""
    document = _stored(call, response_id).document
    if call.request.query.get("stream") == "true" and document["status"] == "completed":
        last = document["output"][-1]
        text = last["arguments"] if last["type"] == _CALL else last["content"][0]["text"]
        pieces = [piece if index == 0 else f" {piece}" for index, piece in enumerate(text.split(" "))]
        started = {**document, "status": "in_progress", "output": [], "usage": None}
        return EventStream(
            _stream(started, document, Generated(pieces, "stop")), "responses", subject=started
        )
    return json_answer(document)


def delete(call: Call, response_id: str) -> Answer:
    """``DELETE …/responses/{id}``."""
    _stored(call, response_id)
    call.state.store.remove(KIND, response_id)
    return json_answer({"id": response_id, "object": "response", "deleted": True})


def input_items(call: Call, response_id: str) -> Answer:
    """``GET …/responses/{id}/input_items``: the input and its context, newest first."""
    items = _stored(call, response_id).inputs
    return json_answer(listing(items if call.request.query.get("order") == "asc" else items[::-1]))


def cancel(call: Call, response_id: str) -> Answer:
    """``POST …/responses/{id}/cancel``: only background responses can be cancelled."""
    stored = _stored(call, response_id)
    if not stored.document["background"]:
        raise invalid_request("Cannot cancel a synchronous response.")
    return json_answer(stored.cancel())


def input_items_of(body: Json, required: bool) -> list[Json]:
    """The items of ``input``, each with an id. Raises 400 for a missing or malformed input.

    The input ``"hello"`` is one message of the user, with one part of type ``input_text``.
    """
    given = body.get("input")
    if given is None and not required:
        return []
    if given is None:
        raise missing("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": [{"type": "input_text", "text": given}]}]
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise invalid_request("Invalid type for 'input': expected a string or an array of items.", "input")
    return [_input_item(item) for item in given]


def _input_item(item: Json) -> Json:
    kind = item.get("type", "message")
    if kind != "message":
        return {"id": new_id("item_"), **item}
    content = item.get("content")
    if isinstance(content, str):
        part = "output_text" if item.get("role") == "assistant" else "input_text"
        content = [{"type": part, "text": content}]
    return {"id": new_id("msg_"), "status": "completed", **item, "type": "message", "content": content}


def _context(call: Call) -> list[Json]:
    """The earlier items to which ``previous_response_id`` or ``conversation`` refers."""
    previous, conversation = call.json.get("previous_response_id"), call.json.get("conversation")
    if previous is not None:
        stored = call.state.store.get(KIND, str(previous))
        if stored is None:
            raise invalid_request(
                f"Previous response with id '{previous}' not found.",
                "previous_response_id",
                "previous_response_not_found",
            )
        return [*stored.inputs, *stored.document["output"]]
    if conversation is not None:
        stored = call.state.store.get(CONVERSATIONS, _conversation_id(conversation))
        if stored is None:
            raise not_found(
                f"Conversation with id '{_conversation_id(conversation)}' not found.", "conversation"
            )
        return list(stored.items)
    return []


def _conversation_id(given: Any) -> str:
    return str(given.get("id") if isinstance(given, dict) else given)


def _seal(call: Call) -> str:
    return f"sealed.{call.state.region.name}.{new_id('')}"


def _check_encrypted_items(call: Call, inputs: list[Json]) -> None:
    for item in inputs:
        sealed = item.get("encrypted_content")
        if sealed is not None and not str(sealed).startswith(f"sealed.{call.state.region.name}."):
            message = "The encrypted content could not be verified. Reason: it could not be decrypted."
            raise AzureError(
                400, model_body(message, kind="invalid_request_error", code="invalid_encrypted_content")
            )


def _started(body: Json, model: str) -> Json:
    conversation = body.get("conversation")
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": now(),
        "status": "in_progress",
        "background": bool(body.get("background")),
        "content_filters": None,
        "conversation": {"id": _conversation_id(conversation)} if conversation is not None else None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": model,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "service_tier": "default",
        "store": body.get("store") is not False,
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": body.get("truncation") or "disabled",
        "usage": None,
        "user": body.get("user"),
    }


def _tool(call: Call, items: list[Json]) -> str | None:
    """The function to call: the one that ``tool_choice`` forces, or one that the model wants."""
    choice = call.json.get("tool_choice")
    offered = [str(tool.get("name")) for tool in call.objects("tools") if tool.get("type") == "function"]
    if choice == "required":
        return next(iter(offered), None)
    if isinstance(choice, dict):
        return str(choice["name"]) if choice.get("name") in offered else None
    return None if choice == "none" else call.wanted_tool(offered, items)


def _output_items(call: Call, generated: Generated, tool: str | None) -> list[Json]:
    items: list[Json] = []
    if "reasoning.encrypted_content" in (call.typed("include", list) or []):
        items.append(
            {"id": new_id("rs_"), "type": "reasoning", "summary": [], "encrypted_content": _seal(call)}
        )
    if tool:
        called = {"call_id": new_id("call_")[:29], "name": tool, "arguments": generated.text}
        return [*items, {"id": new_id("fc_"), "type": _CALL, "status": "completed", **called}]
    content = {"type": "output_text", "annotations": [], "logprobs": [], "text": generated.text}
    message = {"id": new_id("msg_"), "type": "message", "status": "completed", "role": "assistant"}
    return [*items, {**message, "content": [content]}]


def _finished(started: Json, output: list[Json], generated: Generated, usage: Json) -> Json:
    cut_short = generated.finish == "length"
    return {
        **started,
        "status": "incomplete" if cut_short else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut_short else None,
        "completed_at": None if cut_short else now(),
        "output": output,
        "usage": usage,
    }


def _usage(prompt: int, completion: int, cached: int = 0) -> Json:
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + completion,
    }


def _remember(call: Call, started: Json, inputs: list[Json], finished: Json) -> None:
    """Keep a response unless ``store`` is false, and add to its conversation."""
    if started["store"]:
        delay = call.state.region.background_s if started["background"] else 0.0
        queued = {**started, "status": "queued"}
        stored = StoredResponse(queued, inputs, finished, time.monotonic() + delay)
        call.state.store.put(KIND, started["id"], stored)
    if started["conversation"] is not None:
        conversation = call.state.store.get(CONVERSATIONS, started["conversation"]["id"])
        assert conversation is not None, "checked when the context was read"
        conversation.items += [*inputs[len(conversation.items) :], *finished["output"]]


def _stored(call: Call, response_id: str) -> StoredResponse:
    return call.stored(KIND, response_id, StoredResponse, f"Response with id '{response_id}' not found.")


def _stream(started: Json, finished: Json, generated: Generated) -> Iterator[Event]:
    sequence = iter(range(1 << 31))

    def event(name: str, stage: Stage = Stage.FRAME, /, **fields: Any) -> Event:
        document = {"type": name, "sequence_number": next(sequence), **fields}
        return Event(dump(document), name, stage)

    yield event("response.created", Stage.PREAMBLE, response=started)
    yield event("response.in_progress", Stage.PREAMBLE, response=started)
    for index, item in enumerate(finished["output"]):
        if item["type"] == _CALL:
            place = {"item_id": item["id"], "output_index": index}
            opened = {**item, "status": "in_progress", "arguments": ""}
            yield event("response.output_item.added", output_index=index, item=opened)
            for piece in generated.pieces:
                yield event("response.function_call_arguments.delta", Stage.OUTPUT, **place, delta=piece)
            yield event("response.function_call_arguments.done", **place, arguments=item["arguments"])
            yield event("response.output_item.done", output_index=index, item=item)
            continue
        if item["type"] != "message":
            yield event("response.output_item.added", output_index=index, item=item)
            yield event("response.output_item.done", output_index=index, item=item)
            continue
        place = {"item_id": item["id"], "output_index": index, "content_index": 0}
        part = item["content"][0]
        opened = {**item, "status": "in_progress", "content": []}
        yield event("response.output_item.added", output_index=index, item=opened)
        yield event("response.content_part.added", **place, part={**part, "text": ""})
        for piece in generated.pieces:
            yield event("response.output_text.delta", Stage.OUTPUT, **place, delta=piece, logprobs=[])
        yield event("response.output_text.done", **place, text=part["text"], logprobs=[])
        yield event("response.content_part.done", **place, part=part)
        yield event("response.output_item.done", output_index=index, item=item)
    yield event(f"response.{finished['status']}", response=finished)
