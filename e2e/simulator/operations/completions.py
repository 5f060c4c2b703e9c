"""``completions``: the legacy text completions."""

from __future__ import annotations

from collections.abc import Iterator

from e2e.simulator import tokens
from e2e.simulator.answers import Answer, Event, EventStream, Json, Stage, dump, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import missing
from e2e.simulator.operations import chat, filters
from e2e.simulator.state import new_id, now
from e2e.simulator.tokens import Generated


def create(call: Call) -> Answer | EventStream:
    """``POST …/completions``."""
    if "prompt" not in call.json:
        raise missing("prompt")
    prompts = tokens.texts(call.json["prompt"]) or [""]
    model = call.model
    include_usage = chat.wants_stream_usage(call)
    limit = call.integer("max_tokens")
    best_of = call.integer("best_of") or 1
    prompt_tokens = sum(tokens.of_text(prompt) for prompt in prompts)
    call.charge("Completions_Create", prompt_tokens + (limit or call.state.answer_tokens) * best_of)
    copies = call.integer("n", maximum=128) or 1
    texts = [call.generate(prompt, limit) for prompt in prompts for _ in range(copies)]
    completion_tokens = sum(len(text.pieces) for text in texts)
    usage = {
        "completion_tokens": completion_tokens,
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    common = {"id": new_id("cmpl-"), "object": "text_completion", "created": now(), "model": model}
    if call.json.get("stream"):
        return EventStream(_stream(texts, common, usage if include_usage else None), "chat")
    choices = [_choice(index, text.text, text.finish) for index, text in enumerate(texts)]
    whole = {**common, "prompt_filter_results": filters.PROMPT, "choices": choices, "usage": usage}
    return json_answer(whole, tokens=completion_tokens)


def _stream(texts: list[Generated], common: Json, usage: Json | None) -> Iterator[Event]:
    yield Event(
        dump({**common, "choices": [], "prompt_filter_results": filters.PROMPT}), stage=Stage.PREAMBLE
    )
    for index, text in enumerate(texts):
        for piece in text.pieces:
            yield Event(dump({**common, "choices": [_choice(index, piece, None)]}), stage=Stage.OUTPUT)
        yield Event(dump({**common, "choices": [_choice(index, "", text.finish)]}))
    if usage is not None:
        yield Event(dump({**common, "choices": [], "usage": usage}))
    yield Event("[DONE]")


def _choice(index: int, text: str, finish: str | None) -> Json:
    return {
        "text": text,
        "index": index,
        "finish_reason": finish,
        "logprobs": None,
        "content_filter_results": filters.COMPLETION,
    }
