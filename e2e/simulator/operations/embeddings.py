"""``embeddings``: vectors that depend only on the input, so that equal inputs have equal vectors."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import Any

from e2e.simulator import tokens
from e2e.simulator.answers import Answer, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import invalid_request, missing

_USUAL_DIMENSIONS = {"text-embedding-3-large": 3072}
_DIMENSIONS = 1536


def create(call: Call) -> Answer:
    """``POST …/embeddings``."""
    inputs = _inputs(call.json.get("input"))
    model = call.model
    prompt_tokens = sum(tokens.of_text(item) if isinstance(item, str) else len(item) for item in inputs)
    call.charge("Embeddings_Create", prompt_tokens)
    call.state.next_number()
    size = call.integer("dimensions", maximum=8192) or _USUAL_DIMENSIONS.get(model, _DIMENSIONS)
    as_base64 = call.json.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _encode(_vector(item, size), as_base64)}
        for index, item in enumerate(inputs)
    ]
    usage = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    return json_answer({"object": "list", "data": data, "model": model, "usage": usage})


def _inputs(given: Any) -> list[str | list[int]]:
    """One or many inputs; each is a text or a list of token numbers."""
    if given is None:
        raise missing("input")
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and given:
        if all(isinstance(item, int) for item in given):
            return [given]
        if all(isinstance(item, str | list) for item in given):
            return given
    raise invalid_request(
        "'$.input' is invalid. Please check the API reference for the embeddings API.", "input"
    )


def _vector(item: str | list[int], size: int) -> list[float]:
    """A vector of length one, made from the input's digest."""
    stream = hashlib.shake_256(repr(item).encode("utf-8", "surrogatepass")).digest(size * 2)
    numbers = [(value - 32767.5) / 32767.5 for value in struct.unpack(f"<{size}H", stream)]
    norm = math.sqrt(sum(number * number for number in numbers))
    return [number / norm for number in numbers]


def _encode(vector: list[float], as_base64: bool) -> list[float] | str:
    if not as_base64:
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
