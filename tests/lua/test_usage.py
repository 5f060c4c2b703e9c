"""Usage that an answer reports: no number of it is one that no answer can use, whatever the answer says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua

MODULE = 'local usage = require("apisix.plugins.azure-openai.account.usage")\n'
MOST_TOKENS = 10_000_000

NUMBERS = st.one_of(
    st.integers(-3, 50),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([MOST_TOKENS, MOST_TOKENS + 1, -1, 1e15, 0.5, 2**53 + 1, -(10**6)]),
    st.none(),
    st.booleans(),
    st.text(max_size=4),
    st.lists(st.integers(), max_size=2),
)
DETAILS = st.one_of(
    NUMBERS,
    st.fixed_dictionaries(
        {},
        optional={
            "cached_tokens": NUMBERS,
            "reasoning_tokens": NUMBERS,
            "audio_tokens": NUMBERS,
            "image_tokens": NUMBERS,
            "cached_tokens_details": st.one_of(
                NUMBERS,
                st.fixed_dictionaries({}, optional={"audio_tokens": NUMBERS, "image_tokens": NUMBERS}),
            ),
        },
    ),
)
USAGES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("total_tokens", "type"), NUMBERS)
    | {f"{kind}_tokens": NUMBERS for kind in ("prompt", "completion", "input", "output")}
    | {
        f"{kind}_{details}": DETAILS
        for kind in ("prompt", "completion", "input", "output")
        for details in ("tokens_details", "token_details")
    },
)


def is_possible(usage: dict[str, Any]) -> bool:
    """Whether each number of a usage can be true, and each part is at most its whole."""
    parts = {
        "cached": "prompt",
        "audio_prompt": "prompt",
        "audio_cached": "cached",
        "reasoning": "completion",
        "audio_completion": "completion",
        "image_prompt": "prompt",
        "image_completion": "completion",
        "image_cached": "cached",
    }
    numbers = {name: number for name, number in usage.items() if name != "estimated"}
    return (
        all(number == int(number) and 0 <= number <= 2 * MOST_TOKENS for number in numbers.values())
        and all(usage.get(name, 0) <= usage[whole] for name, whole in parts.items())
        and usage["total"] >= usage["prompt"] + usage["completion"]
    )


@given(reported=USAGES)
@settings(max_examples=400)
def test_t6_whatever_an_answer_reports_its_usage_is_possible(lua: Lua, reported: dict[str, Any]) -> None:
    text = json.dumps({"usage": reported})
    [usage] = lua(MODULE + "return (usage.of_body(text))", text=text)
    assert is_possible(usage)


@given(reported=USAGES)
@settings(max_examples=200)
def test_t6_a_stream_reports_the_same_as_a_whole_answer(lua: Lua, reported: dict[str, Any]) -> None:
    text = json.dumps({"usage": reported})
    chunk = """
    local core = require("apisix.core")
    local _, of_event = usage.of_block("data: " .. text .. "\\n\\n", false)
    return core.json.stably_encode(of_event) == core.json.stably_encode((usage.of_body(text)))
    """
    assert lua(MODULE + chunk, text=text) == [True]


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (
            {
                "total_tokens": 253,
                "input_tokens": 132,
                "output_tokens": 121,
                "input_token_details": {
                    "text_tokens": 119,
                    "audio_tokens": 13,
                    "cached_tokens": 64,
                    "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4},
                },
                "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
            },
            {
                "prompt": 132,
                "completion": 121,
                "total": 253,
                "cached": 64,
                "reasoning": 0,
                "audio_prompt": 13,
                "audio_completion": 91,
                "audio_cached": 4,
                "estimated": False,
            },
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
            {
                "prompt": 9,
                "completion": 4,
                "total": 13,
                "cached": 0,
                "reasoning": 0,
                "estimated": False,
            },
        ),
    ],
    ids=["realtime", "chat"],
)
def test_t6_a_usage_in_the_words_of_its_surface(
    lua: Lua, reported: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert lua(MODULE + "return (usage.of_body(text))", text=json.dumps({"usage": reported})) == [expected]
