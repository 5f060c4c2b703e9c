"""``images/generations`` and ``images/edits``: PNGs of one pixel, whose colour depends on the prompt."""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib

from e2e.simulator import tokens
from e2e.simulator.answers import Answer, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import missing
from e2e.simulator.operations import filters
from e2e.simulator.state import now

_TOKENS_PER_IMAGE = 1_000


def generate(call: Call) -> Answer:
    """``POST …/images/generations``."""
    prompt = call.json.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise missing("prompt")
    return _answer(call, prompt, call.integer("n", maximum=10) or 1, "ImageGenerations_Create")


def edit(call: Call) -> Answer:
    """``POST …/images/edits``, a multipart form with ``prompt`` and ``image``."""
    if "prompt" not in call.form:
        raise missing("prompt")
    if "image" not in call.form and "image[]" not in call.form:
        raise missing("image")
    return _answer(call, call.form["prompt"].text, 1, "ImageEdits_Create")


def _answer(call: Call, prompt: str, count: int, operation_id: str) -> Answer:
    prompt_tokens = tokens.of_text(prompt)
    call.charge(operation_id, prompt_tokens)
    number = call.state.next_number()
    region = call.state.region.name
    image = base64.b64encode(_png(f"{region} {number} {prompt}")).decode("ascii")
    data = {
        "b64_json": image,
        "revised_prompt": f"{region}/{call.deployment.name}#{number}: {prompt}",
        "content_filter_results": filters.COMPLETION,
        "prompt_filter_results": filters.PROMPT[0]["content_filter_results"],
    }
    image_tokens = _TOKENS_PER_IMAGE * count
    usage = {
        "input_tokens": prompt_tokens,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": prompt_tokens},
        "output_tokens": image_tokens,
        "total_tokens": prompt_tokens + image_tokens,
    }
    return json_answer({"created": now(), "data": [data] * count, "usage": usage})


def _png(seed: str) -> bytes:
    """A valid PNG of one pixel."""
    pixel = b"\0" + hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()[:3]
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(pixel)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
