"""Hints about throttling are parsed defensively."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua
from tests.support.inputs import many

GENERATED = settings(max_examples=many(300))
NAMES = [
    "retry-after-ms",
    "retry-after",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-rate-limit-reset-requests",
    "x-rate-limit-reset-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
]
ODD = [
    "",
    "-1",
    "0",
    "86400",
    "nan",
    "-nan",
    "inf",
    "-inf",
    "1e999",
    "0x10",
    "1s",
    "6m0s",
    "1d2h3m4s",
    "5 s",
    "soon",
]
NUMBERS = st.one_of(st.integers().map(str), st.floats().map(str))
DATES = st.datetimes().map(lambda when: when.strftime("%a, %d %b %Y %H:%M:%S GMT"))
WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
HINT = st.one_of(st.sampled_from(ODD), NUMBERS, DATES, WORDS)
HEADERS = st.dictionaries(st.sampled_from(NAMES), st.one_of(HINT, st.lists(HINT, min_size=1, max_size=2)))
BODIES = st.one_of(
    st.none(),
    WORDS,
    st.tuples(st.sampled_from(["retry after ", "Retry after ", "Try again in "]), HINT, WORDS).map("".join),
)

MODULE = 'local throttle = require("apisix.plugins.azure-openai.outcome.throttle_hints")\n'
FAILOVER = "{ cooldown_default_seconds = 10, cooldown_max_seconds = 120 }"


def cooldown(lua: Lua, headers: dict[str, Any], body: str | None = None) -> Any:
    chunk = f"""
    if body == ngx.null or body == require("cjson").null then
        body = nil
    end
    return tostring(throttle.cooldown_seconds(headers, body, {FAILOVER}))
    """
    return float(lua(MODULE + chunk, headers=headers, body=body)[0])


@given(headers=HEADERS, body=BODIES)
@GENERATED
def test_a_cooldown_is_always_positive_and_capped(
    lua: Lua, headers: dict[str, Any], body: str | None
) -> None:
    assert 0 < cooldown(lua, headers, body) <= 120


LEFT = """
local remaining, limit = throttle.left(headers, "tokens")
return tostring(remaining), tostring(limit)
"""


@given(headers=HEADERS)
@GENERATED
def test_what_is_left_is_a_number_or_unknown(lua: Lua, headers: dict[str, Any]) -> None:
    remaining, limit = lua(MODULE + LEFT, headers=headers)
    assert remaining == "nil" or 0 <= float(remaining) < math.inf
    assert limit == "nil" or 0 < float(limit) < math.inf


@pytest.mark.parametrize("number", ODD)
def test_odd_numbers_say_nothing_of_what_is_left(lua: Lua, number: str) -> None:
    headers = {"x-ratelimit-remaining-tokens": number, "x-ratelimit-limit-tokens": number}
    remaining, limit = lua(MODULE + LEFT, headers=headers)
    assert remaining == "nil" or 0 <= float(remaining) < math.inf
    assert limit == "nil" or 0 < float(limit) < math.inf


@given(headers=HEADERS)
@GENERATED
def test_exhaustion_is_told_by_a_zero_only(lua: Lua, headers: dict[str, Any]) -> None:
    [exhausted] = lua(MODULE + "return throttle.is_exhausted(headers)", headers=headers)
    said = [headers.get(f"x-ratelimit-remaining-{kind}") for kind in ("requests", "tokens")]
    first = [value[0] if isinstance(value, list) else value for value in said]
    assert exhausted == any(is_zero(value) for value in first)


def is_zero(value: str | None) -> bool:
    try:
        return value is not None and float(value) == 0
    except ValueError:
        return False


@pytest.mark.parametrize("seconds", [1, 2.5, 60, 119])
@given(noise=st.dictionaries(st.sampled_from(NAMES[6:]), HINT))
@settings(GENERATED, max_examples=many(20))
def test_a_sound_hint_is_followed_whatever_stands_beside_it(
    lua: Lua, seconds: float, noise: dict[str, str]
) -> None:
    assert cooldown(lua, noise | {"retry-after-ms": str(int(seconds * 1000))}) == pytest.approx(seconds)


@given(seconds=st.integers(1, 120))
@settings(GENERATED, max_examples=many(50))
def test_the_number_in_the_message_is_read(lua: Lua, seconds: int) -> None:
    body = f'{{"error":{{"message":"You have exceeded the limit. Please retry after {seconds} seconds."}}}}'
    assert cooldown(lua, {}, body) == seconds


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("2 minutes", 120),
        ("1 minute.", 60),
        ("90 seconds.", 90),
        ("500ms", 0.5),
        ("250 milliseconds", 0.25),
        ("7", 7),
        ("2 min", 120),
        ("1 m", 60),
    ],
)
def test_the_unit_in_the_message_is_read(lua: Lua, said: str, seconds: float) -> None:
    assert cooldown(lua, {}, f"Rate limit exceeded. Please retry after {said}") == seconds
