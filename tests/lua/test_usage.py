"""Usage that an answer reports: no number of it is one that no answer can use, whatever the answer says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua
from tests.support.inputs import many

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
            "cache_write_tokens": NUMBERS,
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
        "cache_write": "prompt",
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
        and usage["cached"] + usage.get("cache_write", 0) <= usage["prompt"]
        and usage["total"] >= usage["prompt"] + usage["completion"]
    )


@given(reported=USAGES)
@settings(max_examples=many(400))
def test_t6_whatever_an_answer_reports_its_usage_is_possible(lua: Lua, reported: dict[str, Any]) -> None:
    text = json.dumps({"usage": reported})
    [usage] = lua(MODULE + "return (usage.of_body(text))", text=text)
    assert is_possible(usage)


@given(reported=USAGES)
@settings(max_examples=many(200))
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


def searched(**members: Any) -> dict[str, Any]:
    return {"usage": {"input_tokens": 9, "output_tokens": 4}, **members}


def call(**members: Any) -> dict[str, Any]:
    return {"type": "web_search_call", "status": "completed", **members}


@pytest.mark.parametrize(
    ("response", "searches"),
    [
        (searched(tool_usage={"web_search": {"num_requests": 3}}), 3),
        (searched(tool_usage={"web_search": {"num_requests": 0}}, output=[call()]), None),
        (searched(output=[call(), call(action={"type": "search", "query": "q"})]), 2),
        (searched(output=[call(action={"type": "open_page", "url": "u"}), call(status="failed")]), None),
        (searched(output=[{"type": "message", "content": [{"text": '"web_search_call"'}]}]), None),
        (searched(tool_usage={"web_search": {"num_requests": -1}}, output=[call()]), None),
        (searched(tool_usage=[], output={"type": "web_search_call"}), None),
    ],
    ids=["reported", "none to pay", "calls", "no searches", "a text", "nonsense", "other shapes"],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_o1_searches_of_a_response(
    lua: Lua, response: dict[str, Any], searches: int | None, is_stream: bool
) -> None:
    text = json.dumps(response)
    stream = 'local _, found = usage.of_block("data: {\\"response\\":" .. text .. "}\\n\\n", false)\n'
    whole = "local found = usage.of_body(text)\n"
    [found] = lua(MODULE + (stream if is_stream else whole) + "return found", text=text)
    assert (found["prompt"], found.get("web_searches")) == (9, searches)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"video_seconds": 8}),
        ({"size": "720x1280"}, {"video_seconds": 8}),
        ({"size": "1792x1024"}, {"large_video_seconds": 8}),
        ({"size": None, "seconds": 4}, {"video_seconds": 4}),
        ({"status": "in_progress"}, None),
        ({"status": "failed"}, None),
        ({"object": "file"}, None),
        ({"seconds": "a while"}, None),
        ({"seconds": "-8"}, None),
        ({"seconds": "1e9"}, None),
        ({"seconds": "nan"}, None),
    ],
)
def test_o1_seconds_of_a_video(lua: Lua, changes: dict[str, Any], expected: dict[str, Any] | None) -> None:
    video = {"id": "v", "object": "video", "model": "sora-2", "status": "completed", "seconds": "8"}
    text = json.dumps({**video, "size": "1280x720", **changes})
    [found] = lua(MODULE + "return (usage.of_body(text)) or false", text=text)
    nothing = dict.fromkeys(("prompt", "completion", "total", "cached", "reasoning"), 0) | {
        "estimated": False
    }
    assert found == (nothing | expected if expected else False)
