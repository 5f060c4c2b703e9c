"""``chat/completions``."""

from __future__ import annotations

from collections.abc import Iterator

from e2e.simulator import prompts, tokens, tool_calls
from e2e.simulator.answers import Answer, Event, EventStream, Json, Stage, dump, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import AzureError, invalid_request, missing, not_found, platform_body
from e2e.simulator.operations import filters
from e2e.simulator.state import listing, new_id, now
from e2e.simulator.tokens import Generated

KIND = "chat/completions"
OPERATION_ID = "ChatCompletions_Create"

_PIECE = "\0piece\0"
"""Stands for a piece of output in an encoded chunk."""


def create(call: Call) -> Answer | EventStream:
    """``POST …/chat/completions``."""
    messages = call.json.get("messages")
    if not isinstance(messages, list) or not messages:
        raise missing("messages")
    deployment = call.deployment
    include_usage = wants_stream_usage(call)
    if "data_sources" in call.json and call.json.get("stream_options") is not None:
        raise AzureError(
            400, platform_body("400", "Validation error at #/stream_options: Extra inputs are not permitted")
        )
    limit = call.integer("max_completion_tokens", "max_tokens")
    prompt_tokens = tokens.of_messages(messages)
    call.charge(OPERATION_ID, prompt_tokens + (limit or call.state.answer_tokens))
    choices = [
        _choice(call, tokens.last_user_text(messages), limit)
        for _ in range(call.integer("n", maximum=128) or 1)
    ]
    completion_tokens = sum(len(choice.pieces) for choice in choices)
    cached = call.cached(lambda: prompts.of_messages(messages), call.json.get("tools"))
    usage = _usage(prompt_tokens, completion_tokens, cached)
    common: Json = {
        "created": now(),
        "id": new_id("chatcmpl-"),
        "model": deployment.model or deployment.name,
        "system_fingerprint": "fp_simulator",
    }
    whole = {
        **common,
        "object": "chat.completion",
        "choices": [_whole_choice(index, choice) for index, choice in enumerate(choices)],
        "prompt_filter_results": filters.PROMPT,
        "usage": usage,
    }
    if call.json.get("store"):
        call.state.store.put(KIND, common["id"], whole)
    if call.json.get("stream"):
        return EventStream(_stream(choices, common, usage if include_usage else None), "chat")
    return json_answer(whole, tokens=completion_tokens)


def list_stored(call: Call) -> Answer:
    """``GET …/chat/completions``: the completions that were made with ``store``."""
    return json_answer(listing(call.state.store.all(KIND), call.request.query))


def get_stored(call: Call, completion_id: str) -> Answer:
    """``GET …/chat/completions/{id}``."""
    stored = call.state.store.get(KIND, completion_id)
    if not isinstance(stored, dict):
        raise not_found(f"Completion with id '{completion_id}' not found.")
    return json_answer(stored)


def wants_stream_usage(call: Call) -> bool:
    """Whether the client asks for a usage chunk. Raises 400 where ``stream_options`` are refused."""
    options = call.typed("stream_options", dict)
    if options is None:
        return False
    if not call.surface.takes_stream_options(call.request):
        return False
    if not call.json.get("stream"):
        raise invalid_request(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options"
        )
    return options.get("include_usage") is True


class _Choice:
    """The content of one choice: text, or the call of a tool, with its arguments in pieces."""

    def __init__(self, generated: Generated, tool: str | None, told: dict[str, Json]) -> None:
        self.tool = tool
        self.call_id = new_id("call_")[:29] if tool else ""
        self.pieces = (
            tool_calls.pieces(tool_calls.arguments(told, tool, generated)) if tool else generated.pieces
        )
        self.finish = "tool_calls" if tool else generated.finish

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def _choice(call: Call, prompt: str, limit: int | None) -> _Choice:
    return _Choice(call.generate(prompt, limit), _tool(call), call.state.tool_calls)


def _tool(call: Call) -> str | None:
    """The function to call: the one that ``tool_choice`` forces, or one that the model wants."""
    choice = call.json.get("tool_choice")
    offered = [name for tool in call.objects("tools") if (name := _function_name(tool))]
    if choice == "required":
        return next(iter(offered), None)
    if isinstance(choice, dict):
        return _function_name(choice)
    return None if choice == "none" else call.wanted_tool(offered, call.json["messages"])


def _function_name(holder: Json) -> str | None:
    function = holder.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def _whole_choice(index: int, choice: _Choice) -> Json:
    message: Json = {"annotations": [], "content": choice.text, "refusal": None, "role": "assistant"}
    if choice.tool:
        function = {"name": choice.tool, "arguments": choice.text}
        message |= {
            "content": None,
            "tool_calls": [{"id": choice.call_id, "type": "function", "function": function}],
        }
    return {
        "content_filter_results": filters.COMPLETION,
        "finish_reason": choice.finish,
        "index": index,
        "logprobs": None,
        "message": message,
    }


def _stream(choices: list[_Choice], common: Json, usage: Json | None) -> Iterator[Event]:
    head = {
        "choices": [],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
        "prompt_filter_results": filters.PROMPT,
    }
    yield Event(dump(head), stage=Stage.PREAMBLE)
    chunk: Json = {**common, "object": "chat.completion.chunk"}
    if usage is not None:
        chunk["usage"] = None
    for index, choice in enumerate(choices):
        yield _chunk(chunk, index, _opening_delta(choice), {})
        yield from _output_chunks(chunk, index, choice)
        yield _chunk(chunk, index, {}, {}, finish=choice.finish)
    if usage is not None:
        yield Event(dump({**chunk, "choices": [], "usage": usage}))
    yield Event("[DONE]")


def _output_chunks(chunk: Json, index: int, choice: _Choice) -> Iterator[Event]:
    """The chunks that carry the pieces. They differ only in the piece, so the rest is encoded once."""
    if choice.tool:
        delta: Json = {"tool_calls": [{"index": 0, "function": {"arguments": _PIECE}}]}
    else:
        delta = {"content": _PIECE}
    model = _chunk(chunk, index, delta, filters.COMPLETION).data
    before, _, after = model.rpartition(dump(_PIECE))
    for piece in choice.pieces:
        yield Event(f"{before}{dump(piece)}{after}", stage=Stage.OUTPUT)


def _opening_delta(choice: _Choice) -> Json:
    if not choice.tool:
        return {"content": "", "refusal": None, "role": "assistant"}
    function = {"name": choice.tool, "arguments": ""}
    call = {"index": 0, "id": choice.call_id, "type": "function", "function": function}
    return {"content": None, "role": "assistant", "tool_calls": [call]}


def _chunk(
    chunk: Json,
    index: int,
    delta: Json,
    filtered: Json,
    finish: str | None = None,
) -> Event:
    choice = {
        "content_filter_results": filtered,
        "delta": delta,
        "finish_reason": finish,
        "index": index,
        "logprobs": None,
    }
    return Event(dump({**chunk, "choices": [choice]}))


def _usage(prompt: int, completion: int, cached: int) -> Json:
    return {
        "completion_tokens": completion,
        "completion_tokens_details": {
            "accepted_prediction_tokens": 0,
            "audio_tokens": 0,
            "reasoning_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "prompt_tokens": prompt,
        "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": cached},
        "total_tokens": prompt + completion,
    }
