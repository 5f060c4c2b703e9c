"""F2, F3, L3: a clock that is set back prolongs no rest, and limits of any size are kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.support import Lua

# Loads the modules with a clock that the test sets.
WITH_CLOCK = """
local PREFIX = "apisix.plugins.azure-openai.routing."
local NAMES = { "rests", "breakers", "cooldowns", "availability" }
local real_now, clock, kept = ngx.now, 1000000, {}
ngx.now = function() return clock end
for _, name in ipairs(NAMES) do
    kept[name], package.loaded[PREFIX .. name] = package.loaded[PREFIX .. name], nil
end
local breakers, cooldowns = require(PREFIX .. "breakers"), require(PREFIX .. "cooldowns")
local availability = require(PREFIX .. "availability")
for _, name in ipairs(NAMES) do
    package.loaded[PREFIX .. name] = kept[name]
end
ngx.now = real_now
local backend = { name = "eastus" .. math.random(1e9), fingerprint = "f" }
local failover = {
    breaker_failures = 1, breaker_open_seconds = 10, breaker_max_open_seconds = 60, read_timeout_ms = 600000,
}
local function state()
    local reason, seconds = availability.state(backend, "gpt-4o")
    return { reason or false, seconds or false }
end
"""
HOUR = 3600
RESTS = {
    "throttled": 'cooldowns.throttled(backend, "gpt-4o", 20, 0)',
    "missing": 'cooldowns.missing(backend, "gpt-4o")',
    "open": 'breakers.failed(backend, "gpt-4o", failover)',
}

# The next request finds out whether the backend is well again.
AFTER = {"open": "half-open", "throttled": "ending"}


def states(lua: Lua, code: str, **values: Any) -> list[Any]:
    """What the code returns, with `availability`, `backend`, `failover`, `clock` and `state` at hand."""
    return lua(WITH_CLOCK + code, **values)


@pytest.mark.parametrize("reason", RESTS)
def test_f2_a_clock_set_back_ends_a_rest(lua: Lua, reason: str) -> None:
    code = f"{RESTS[reason]} local before = state() clock = clock - {HOUR} return before[1], state()[1]"
    before, after = states(lua, code)
    assert (before, after) == (reason, AFTER.get(reason, False))


@pytest.mark.parametrize("reason", RESTS)
def test_f2_clocks_of_workers_may_differ_by_a_moment(lua: Lua, reason: str) -> None:
    assert states(lua, f"{RESTS[reason]} clock = clock - 0.5 return state()[1]") == [reason]


def test_f2_a_rest_that_begins_after_the_clock_was_set_back_is_kept(lua: Lua) -> None:
    code = f"""
    cooldowns.throttled(backend, "gpt-4o", 120, 0)
    clock = clock - {HOUR}
    cooldowns.throttled(backend, "gpt-4o", 20, 0)
    return state()
    """
    assert states(lua, code) == [["throttled", 20]]


def test_f2_the_later_deadline_wins(lua: Lua) -> None:
    code = """
    cooldowns.throttled(backend, "gpt-4o", 20, 0)
    cooldowns.throttled(backend, "gpt-4o", 5, 0)
    return state()
    """
    assert states(lua, code) == [["throttled", 20]]


def test_f3_a_trial_from_before_the_clock_was_set_back_locks_nobody_out(lua: Lua) -> None:
    code = f"""
    breakers.failed(backend, "gpt-4o", failover)
    clock = clock + 11
    local first = availability.acquire(backend, "gpt-4o", failover)
    local meanwhile = state()[1]
    clock = clock - {HOUR}
    return first, meanwhile, state()[1], availability.acquire(backend, "gpt-4o", failover)
    """
    assert states(lua, code)[:4] == [True, "open", "half-open", True]


def test_l3_a_quota_noted_before_the_clock_was_set_back_is_unknown(lua: Lua) -> None:
    code = f"""
    availability.note_share(backend, "gpt-4o", 0.25)
    local before = availability.remaining_share(backend, "gpt-4o")
    clock = clock - {HOUR}
    return before, availability.remaining_share(backend, "gpt-4o") or false
    """
    assert states(lua, code) == [0.25, False]


@pytest.mark.parametrize("limit", [0, 1, 2**31 - 1, 2**31, 2**32, 10**15])
def test_f2_a_limit_of_any_size_stays_a_limit(lua: Lua, limit: int) -> None:
    code = (
        'availability.note_left(backend, "gpt-4o", "tokens", 5, limit)'
        'return availability.left(backend, "gpt-4o", "tokens")'
    )
    kept = min(limit, 2**31 - 1)
    assert states(lua, code, limit=limit) == ([5, kept] if kept else [5])


SCOPES = ['"gpt-4o"', "memory.EVERY", 'memory.scope("gpt-4o", "chat/completions")']
EVENTS = st.one_of(
    st.builds(
        'cooldowns.throttled(backend, "gpt-4o", {}, {})'.format,
        st.integers(1, 60),
        st.sampled_from([0, 500, 5000]),
    ),
    st.builds('cooldowns.spent(backend, "gpt-4o", {})'.format, st.integers(1, 60)),
    st.builds("cooldowns.missing(backend, {})".format, st.sampled_from([SCOPES[0], SCOPES[2]])),
    st.builds("breakers.failed(backend, {}, failover)".format, st.sampled_from(SCOPES)),
    st.builds(
        'availability.acquire(backend, "gpt-4o", failover, {})'.format, st.sampled_from(["nil", '"messages"'])
    ),
    st.builds("clock = clock + {}".format, st.integers(1, 70)),
)
COMPARE = """
local wrong = {}
for _, operation in ipairs({ false, "chat/completions", "messages" }) do
    for _, size in ipairs({ false, 0, 1000, 9000 }) do
        local reason = availability.state(backend, "gpt-4o", operation or nil, size or nil)
        local is_usable = not reason or reason == "half-open" or reason == "ending"
        local admits, is_trial = availability.admits(backend, "gpt-4o", operation or nil, size or nil)
        if admits ~= is_usable or is_trial ~= (is_usable and reason ~= nil) then
            wrong[#wrong + 1] = { operation, size, reason or false, admits, is_trial }
        end
    end
end
return wrong
"""


@given(st.lists(EVENTS, max_size=8))
def test_f2_f3_a_pair_admits_what_its_state_lets_through(lua: Lua, events: list[str]) -> None:
    memory = 'local memory = require(PREFIX .. "pair_memory")\n'
    [wrong] = states(lua, memory + "\n".join(events) + COMPARE)
    assert list(wrong) == []
