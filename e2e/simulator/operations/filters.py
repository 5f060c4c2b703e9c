"""The annotations of a content filter that found nothing."""

from __future__ import annotations

from e2e.simulator.answers import Json

_SEVERITIES = {
    category: {"filtered": False, "severity": "safe"}
    for category in ("hate", "self_harm", "sexual", "violence")
}

COMPLETION: Json = {
    **_SEVERITIES,
    "protected_material_code": {"detected": False, "filtered": False},
    "protected_material_text": {"detected": False, "filtered": False},
}
"""``content_filter_results`` of a choice."""

PROMPT: list[Json] = [
    {
        "prompt_index": 0,
        "content_filter_results": {**_SEVERITIES, "jailbreak": {"detected": False, "filtered": False}},
    }
]
"""``prompt_filter_results`` of a whole answer or of a stream's first chunk."""
