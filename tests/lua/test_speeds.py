"""B7: what the speed of backends is worth, for generated times and weights."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua
from tests.support.inputs import many

# Loads `speeds` with a clock that the test sets, and a balancer that uses it.
BEGIN = """
local PREFIX = "apisix.plugins.azure-openai.routing."
local real_now, clock = ngx.now, 1700000000
ngx.now = function() return clock end
package.loaded[PREFIX .. "speeds"], package.loaded[PREFIX .. "balancer"] = nil, nil
local speeds, balancer = require(PREFIX .. "speeds"), require(PREFIX .. "balancer")
package.loaded[PREFIX .. "speeds"], package.loaded[PREFIX .. "balancer"] = nil, nil
ngx.now = real_now
local memory, availability = require(PREFIX .. "pair_memory"), require(PREFIX .. "availability")
local real, invented = ngx.shared["azure-openai-availability"], ngx.shared["azure-openai-unproven"]
real:flush_all()
invented:flush_all()
local PACE = "chat/completions"

local function pool_of(weights)
    local backends = { priority = 0 }
    for index, weight in ipairs(weights) do
        backends[index] = { name = tostring(index), fingerprint = "1", weight = weight, priority = 0 }
    end
    availability.served(backends, "gpt-4o", PACE)
    return { name = "", backends = backends, groups = { backends }, drained = {}, by_name = {},
        balancer = { algorithm = "latency" }, failover = {} }
end
local function attempt_at(backend)
    return { backend = backend, deployment = "gpt-4o", pace = PACE, operation = PACE }
end
local function choose(pool)
    local plan = { deployment = "gpt-4o", operation = PACE, pace = PACE, size = 0, references = {} }
    return (balancer.next({}, pool, plan, {}))
end
local function mean_of(backend)
    local mean = memory.get("speed", backend, memory.scope("gpt-4o", PACE))
    return mean and math.exp(mean) - 0.01 or false
end
"""
SHARES = """
local pool = pool_of(weights)
for index, seconds in ipairs(times) do
    speeds.note(attempt_at(pool.backends[index]), seconds)
end
local chosen = {}
for number = 1, count do
    chosen[number] = choose(pool).name
end
return chosen
"""
# Backends that take these times for each answer, asked one request after the other.
ASKED = """
local pool = pool_of(weights)
local chosen = {}
for _, seconds in ipairs(phases) do
    for _ = 1, count do
        local backend = choose(pool)
        local time = seconds[tonumber(backend.name)]
        clock = clock + time
        speeds.note(attempt_at(backend), time)
        chosen[#chosen + 1] = backend.name
    end
end
return chosen
"""
GENERATED = settings(max_examples=many(30))
SECONDS = st.floats(min_value=0, max_value=120, allow_nan=False)
EQUALS = st.lists(st.tuples(st.integers(min_value=1, max_value=20), SECONDS), min_size=2, max_size=6)
REQUESTS = 400


def expected_shares(equals: list[tuple[int, float]]) -> list[float]:
    """The share of each backend: weight times (fastest / own time) squared, a twentieth at least."""
    fastest = min(seconds for _, seconds in equals) + 0.01
    worth = [weight * max(0.05, (fastest / (seconds + 0.01)) ** 2) for weight, seconds in equals]
    return [each / sum(worth) for each in worth]


def counts(lua: Lua, equals: list[tuple[int, float]]) -> list[int]:
    weights, times = [weight for weight, _ in equals], [seconds for _, seconds in equals]
    [chosen] = lua(BEGIN + SHARES, weights=weights, times=times, count=REQUESTS)
    found = Counter(chosen)
    return [found[str(index + 1)] for index in range(len(equals))]


@given(equals=EQUALS)
@GENERATED
def test_b7_shares_follow_weight_and_speed(lua: Lua, equals: list[tuple[int, float]]) -> None:
    for count, share in zip(counts(lua, equals), expected_shares(equals), strict=True):
        assert abs(count - share * REQUESTS) <= 2, (equals, count, share)


@given(equals=EQUALS)
@GENERATED
def test_b7_with_equal_weights_no_slower_one_gets_more(lua: Lua, equals: list[tuple[int, float]]) -> None:
    times = [seconds for _, seconds in equals]
    found = counts(lua, [(1, seconds) for seconds in times])
    ordered = sorted(zip(times, found, strict=True))
    for (_, faster), (_, slower) in pairwise(ordered):
        assert slower <= faster + 1, ordered


@given(
    times=st.lists(st.floats(min_value=0.02, max_value=10), min_size=2, max_size=4, unique=True),
    gap=st.floats(min_value=3, max_value=50),
)
@GENERATED
def test_b7_when_the_slowest_becomes_the_fastest_it_is_seen(lua: Lua, times: list[float], gap: float) -> None:
    before = [*times, max(times) * gap]
    after = [*times, min(times) / gap]
    count = 600
    values: dict[str, Any] = {"phases": [before, after], "count": count, "weights": [1] * len(before)}
    [chosen] = lua(BEGIN + ASKED, **values)
    last = str(len(before))
    slow, fast = Counter(chosen[count - 200 : count]), Counter(chosen[-200:])
    assert 1 <= slow[last] <= 40, slow
    assert fast.most_common(1)[0][0] == last, fast


@given(
    times=st.lists(SECONDS, min_size=1, max_size=30),
    pauses=st.lists(st.integers(0, 299), min_size=30, max_size=30),
)
@GENERATED
def test_b7_a_mean_lies_between_the_times(lua: Lua, times: list[float], pauses: list[int]) -> None:
    chunk = """
    local backend = pool_of({ 1 }).backends[1]
    for index, seconds in ipairs(times) do
        clock = clock + pauses[index]
        speeds.note(attempt_at(backend), seconds)
    end
    return mean_of(backend)
    """
    [mean] = lua(BEGIN + chunk, times=times, pauses=pauses)
    assert min(times) - 1e-6 <= mean <= max(times) + 1e-6


def mean_after(lua: Lua, code: str) -> Any:
    return lua(BEGIN + f"local backend = pool_of({{ 1 }}).backends[1]\n{code}\nreturn mean_of(backend)")[0]


def test_b7_one_answer_that_takes_sixty_times_as_long_changes_the_mean_by_a_half(lua: Lua) -> None:
    mean = mean_after(lua, "speeds.note(attempt_at(backend), 0.99) speeds.note(attempt_at(backend), 59.99)")
    assert math.isclose(mean + 0.01, 60**0.1, rel_tol=1e-6)


def test_b7_an_old_mean_says_little(lua: Lua) -> None:
    code = "speeds.note(attempt_at(backend), 9) clock = clock + 280 speeds.note(attempt_at(backend), 1)"
    assert mean_after(lua, code) < 1.1


def test_b7_a_mean_from_a_clock_that_was_ahead_says_nothing(lua: Lua) -> None:
    code = "speeds.note(attempt_at(backend), 9) clock = clock - 3600 speeds.note(attempt_at(backend), 1)"
    assert math.isclose(mean_after(lua, code), 1, rel_tol=1e-6)


def test_b7_an_attempt_without_output_counts_when_it_took_longer(lua: Lua) -> None:
    code = "speeds.note(attempt_at(backend), 1) speeds.note_without_output(attempt_at(backend), 10)"
    assert mean_after(lua, code) > 1.2


def test_b7_a_quick_failure_does_not_look_fast(lua: Lua) -> None:
    code = "speeds.note(attempt_at(backend), 1) speeds.note_without_output(attempt_at(backend), 0.001)"
    assert math.isclose(mean_after(lua, code), 1, rel_tol=1e-6)


def test_b7_failures_for_names_that_nobody_has_take_no_memory(lua: Lua) -> None:
    chunk = """
    local attempt = attempt_at(pool_of({ 1 }).backends[1])
    local before = #real:get_keys(0)
    for number = 1, 1000 do
        attempt.deployment = "invented-" .. number
        speeds.note_without_output(attempt, 1)
    end
    return #real:get_keys(0) - before, #invented:get_keys(0)
    """
    assert lua(BEGIN + chunk) == [0, 0]


def test_b7_a_backend_that_nobody_knows_counts_as_the_fastest(lua: Lua) -> None:
    chunk = """
    local pool = pool_of({ 1, 1 })
    speeds.note(attempt_at(pool.backends[1]), 0.001)
    local weights = speeds.weights(pool.backends, { "gpt-4o", "gpt-4o" }, PACE)
    return weights[1], weights[2]
    """
    assert lua(BEGIN + chunk) == [1, 1]


def test_b7_what_is_known_is_forgotten_after_five_minutes(lua: Lua) -> None:
    chunk = """
    speeds.note(attempt_at(pool_of({ 1 }).backends[1]), 1)
    local longest = 0
    for _, name in ipairs(real:get_keys(0)) do
        longest = name:find("^speed") and real:ttl(name) or longest
    end
    return longest
    """
    assert 0 < lua(BEGIN + chunk)[0] <= 300
