"""``messages`` and ``messages/count_tokens`` of the Anthropic surface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from e2e.simulator import prompts, tokens, tool_calls
from e2e.simulator.answers import Answer, Event, EventStream, Json, Stage, dump, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import AzureError, invalid_request, model_body
from e2e.simulator.prompt_cache import cacheable
from e2e.simulator.state import new_id

OPERATION_ID = "Messages_Create"
LARGEST_BODY = 32 * 1024 * 1024
"""Bytes of a request, after the public description of the API."""

LONG_LIFE_S = 3600.0
"""The life in the prompt cache of what is marked with ``"ttl": "1h"``."""

_MOST_MARKS = 4
"""After the public description of the API."""

LEAST_BUDGET = 1024
"""The smallest budget for thinking, after the public description of the API."""

_BILLING = "x-anthropic-billing-header:"
"""So begins a block of Claude Code's system text that is for the service, not for the model."""

_THOUGHT = ("The", " user", " wants", " an", " answer", ".")


def create(call: Call) -> Answer | EventStream:
    """``POST …/messages``."""
    check_size(call, LARGEST_BODY)
    asked = Asked.read(call)
    call.charge(OPERATION_ID, asked.prompt.tokens + asked.limit)
    made = compose(call, asked)
    if call.json.get("stream"):
        return EventStream(_stream(made, older_usage=call.fault.older_usage), "messages")
    return json_answer(made.whole, tokens=made.output_tokens)


def count_tokens(call: Call) -> Answer:
    """``POST …/messages/count_tokens``: what ``messages`` would report as input."""
    check_size(call, LARGEST_BODY)
    call.require_deployment()
    return json_answer({"input_tokens": Prompt.read(call).tokens})


def check_size(call: Call, largest: int) -> None:
    """Raise 413 for a body of more than ``largest`` bytes."""
    if len(call.request.body) > largest:
        text = "Request exceeds the maximum allowed number of bytes."
        raise AzureError(413, model_body(text, kind="request_too_large"))


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input of a message: laid out, and how many of its tokens the client wants cached, for how long."""

    layout: bytes
    marked: int
    life_s: float | None

    @property
    def tokens(self) -> int:
        """The number of input tokens."""
        return prompts.count(self.layout)

    @classmethod
    def read(cls, call: Call) -> Prompt:
        """Lay out tools, system text and messages. Raises 400 for malformed ones."""
        messages = call.objects("messages")
        if not messages:
            raise invalid_request("messages: at least one message is required")
        draft = _Draft()
        for tool in call.objects("tools"):
            draft.add(prompts.of_text(dump(_unmarked(tool))), tool)
        for block in _blocks(call.json.get("system"), "system"):
            if not str(block.get("text")).startswith(_BILLING):
                draft.add(_block(block), block)
        for index, message in enumerate(messages):
            place = f"messages.{index}"
            if message.get("role") not in ("user", "assistant"):
                raise invalid_request(f"{place}.role: Input should be 'user' or 'assistant'")
            if "content" not in message:
                raise invalid_request(f"{place}.content: Field required")
            draft.add(prompts.mark(message["role"]), {})
            for block in _blocks(message["content"], f"{place}.content"):
                draft.add(_block(block), block)
        draft.add(b"", call.json)
        return draft.prompt()


class _Draft:
    """A prompt that grows, with the last of the marks for the cache."""

    def __init__(self) -> None:
        self._parts = bytearray()
        self._marks = 0
        self._marked = 0
        self._life_s: float | None = None

    def add(self, part: bytes, marked: Json) -> None:
        """Add a part, and note the mark that ``marked`` may carry."""
        self._parts += part
        mark = marked.get("cache_control")
        if not isinstance(mark, dict):
            return
        self._marks += 1
        if self._marks > _MOST_MARKS:
            raise invalid_request(f"A maximum of {_MOST_MARKS} blocks with cache_control may be provided.")
        self._marked = len(self._parts) // prompts.TOKEN_BYTES
        self._life_s = LONG_LIFE_S if mark.get("ttl") == "1h" else None

    def prompt(self) -> Prompt:
        """The whole prompt, with the tokens that open the reply."""
        layout = bytes(self._parts) + bytes(tokens.TOKENS_PER_REPLY * prompts.TOKEN_BYTES)
        return Prompt(layout, self._marked, self._life_s)


def _unmarked(block: Json) -> Json:
    return {name: value for name, value in block.items() if name != "cache_control"}


def _blocks(content: Any, place: str) -> list[Json]:
    """The blocks of a content. Raises 400 for a malformed one."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise invalid_request(f"{place}: Input should be a string or a list of blocks")
    return content


def _block(block: Json) -> bytes:
    """One block of the input; what is no text, as an image, costs as much as a mark."""
    kind = block.get("type")
    if kind == "tool_use":
        return prompts.of_text(f"{block.get('name')}{dump(block.get('input'))}")
    if kind == "thinking":
        return prompts.of_text(str(block.get("thinking")))
    if kind in ("text", "tool_result"):
        return prompts.of_content(block)
    return prompts.mark(dump(_unmarked(block)))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks for: ``limit`` is ``max_tokens``, ``tool`` the one to use."""

    prompt: Prompt
    limit: int
    tool: str | None
    thinks: bool
    text: str

    @classmethod
    def read(cls, call: Call) -> Asked:
        """Read and check the body. Raises the service's errors."""
        call.require_deployment()
        limit = call.integer("max_tokens")
        if limit is None:
            raise invalid_request("max_tokens: Field required")
        tool, thinks = _forced_tool(call), _thinks(call, limit)
        if tool and thinks:
            raise invalid_request("Thinking may not be enabled when tool_choice forces tool use.")
        messages = call.objects("messages")
        tool = tool or _wanted_tool(call, messages)
        return cls(Prompt.read(call), limit, tool, thinks, tokens.last_user_text(messages))


def _forced_tool(call: Call) -> str | None:
    """The tool that ``tool_choice`` forces; ``auto`` and ``none`` mean an answer in text."""
    choice = call.typed("tool_choice", dict) or {}
    names = [str(tool.get("name")) for tool in call.objects("tools")]
    if choice.get("type") == "any":
        if not names:
            raise invalid_request("tool_choice: there are no tools to choose from")
        return names[0]
    if choice.get("type") != "tool":
        return None
    if choice.get("name") not in names:
        raise invalid_request(f"Tool '{choice.get('name')}' not found in provided tools")
    return str(choice["name"])


def _wanted_tool(call: Call, messages: list[Json]) -> str | None:
    if (call.typed("tool_choice", dict) or {}).get("type") == "none":
        return None
    return call.wanted_tool([str(tool.get("name")) for tool in call.objects("tools")], messages)


def _thinks(call: Call, limit: int) -> bool:
    thinking = call.typed("thinking", dict) or {}
    if thinking.get("type") != "enabled":
        return thinking.get("type") == "adaptive"
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or budget < LEAST_BUDGET:
        raise invalid_request(
            f"thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET}"
        )
    if budget >= limit:
        raise invalid_request("max_tokens must be greater than thinking.budget_tokens")
    return True


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of the answer: whole, as a stream opens it, and its pieces, each the field of a delta."""

    whole: Json
    opened: Json
    kind: str
    field: str
    pieces: list[str]
    last: Json | None = None
    """A delta after the pieces."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the model."""

    whole: Json
    blocks: list[_Block] = field(default_factory=list)

    @property
    def output_tokens(self) -> int:
        """The number of tokens in all blocks."""
        return int(self.whole["usage"]["output_tokens"])


def compose(call: Call, asked: Asked) -> Message:
    """Make the message that answers. Charges no quota."""
    blocks = [_thinking_block()] if asked.thinks else []
    limit = max(1, asked.limit - sum(len(block.pieces) for block in blocks))
    generated = call.generate(asked.text, limit)
    if asked.tool:
        blocks.append(
            _tool_block(asked.tool, tool_calls.arguments(call.state.tool_calls, asked.tool, generated))
        )
    else:
        blocks.append(_text_block(generated.pieces))
    reason = "max_tokens" if generated.finish == "length" else "end_turn"
    whole = {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": [block.whole for block in blocks],
        "stop_reason": "tool_use" if asked.tool else reason,
        "stop_sequence": None,
        "usage": _usage(call, asked.prompt, sum(len(block.pieces) for block in blocks)),
    }
    return Message(whole, blocks)


def _thinking_block() -> _Block:
    whole = {"type": "thinking", "thinking": "".join(_THOUGHT), "signature": new_id("sealed")}
    last = {"type": "signature_delta", "signature": whole["signature"]}
    opened = {**whole, "thinking": "", "signature": ""}
    return _Block(whole, opened, "thinking_delta", "thinking", list(_THOUGHT), last)


def _text_block(pieces: list[str]) -> _Block:
    return _Block(
        {"type": "text", "text": "".join(pieces)}, {"type": "text", "text": ""}, "text_delta", "text", pieces
    )


def _tool_block(name: str, arguments: Json) -> _Block:
    whole = {"type": "tool_use", "id": new_id("toolu_"), "name": name, "input": arguments}
    pieces = tool_calls.pieces(arguments)
    return _Block(whole, {**whole, "input": {}}, "input_json_delta", "partial_json", pieces)


def _usage(call: Call, prompt: Prompt, output: int) -> Json:
    """What the message cost; the three kinds of input tokens add up to all of them."""
    wanted = cacheable(prompt.marked) if call.state.prompt_cache is not None else 0
    read = call.cached(lambda: prompt.layout[: wanted * prompts.TOKEN_BYTES], life_s=prompt.life_s)
    written = wanted - read
    is_long = prompt.life_s is not None
    return {
        "input_tokens": prompt.tokens - wanted,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": 0 if is_long else written,
            "ephemeral_1h_input_tokens": written if is_long else 0,
        },
        "output_tokens": output,
        "service_tier": "standard",
    }


_IN_LAST_USAGE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)


def _stream(message: Message, older_usage: bool) -> Iterator[Event]:
    """The events of a message; ``older_usage`` ends with the number of output tokens alone."""
    whole = message.whole
    opened = {
        **whole,
        "content": [],
        "stop_reason": None,
        "usage": {**whole["usage"], "output_tokens": 1},
    }
    yield _event("message_start", Stage.PREAMBLE, message=opened)
    yield _event("ping", Stage.PREAMBLE)
    for index, block in enumerate(message.blocks):
        yield _event("content_block_start", index=index, content_block=block.opened)
        for piece in block.pieces:
            delta = {"type": block.kind, block.field: piece}
            yield _event("content_block_delta", Stage.OUTPUT, index=index, delta=delta)
        if block.last is not None:
            yield _event("content_block_delta", index=index, delta=block.last)
        yield _event("content_block_stop", index=index)
    names = ("output_tokens",) if older_usage else _IN_LAST_USAGE
    yield _event(
        "message_delta",
        delta={"stop_reason": whole["stop_reason"], "stop_sequence": None},
        usage={name: whole["usage"][name] for name in names},
    )
    yield _event("message_stop")


def _event(name: str, stage: Stage = Stage.FRAME, /, **fields: Any) -> Event:
    return Event(dump({"type": name, **fields}), name, stage)
