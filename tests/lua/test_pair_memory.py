"""What is remembered of real deployments, and of names that only clients have used."""

from __future__ import annotations

import pytest

from tests.engines.support import Lua

# Loads the modules anew, so that nothing is known of earlier tests.
BEGIN = """
for _, name in ipairs({ "pair_memory", "rests", "large_rests", "breakers", "cooldowns", "availability" }) do
    package.loaded["apisix.plugins.azure-openai.routing." .. name] = nil
end
local availability = require("apisix.plugins.azure-openai.routing.availability")
local breakers = require("apisix.plugins.azure-openai.routing.breakers")
local cooldowns = require("apisix.plugins.azure-openai.routing.cooldowns")
local pair_memory = require("apisix.plugins.azure-openai.routing.pair_memory")
local invented, real = ngx.shared["azure-openai-unproven"], ngx.shared["azure-openai-availability"]
invented:flush_all()
real:flush_all()
local east = { name = "eastus", fingerprint = "1", own_names = { ["our-gpt4o"] = true } }
local west = { name = "westus", fingerprint = "2" }
local failover = { breaker_failures = 1, breaker_open_seconds = 10, breaker_max_open_seconds = 60 }
"""
NAMES = 20_000


def test_b3_20000_invented_names_push_out_no_cooldown(lua: Lua) -> None:
    chunk = """
    availability.served({ east, west }, "gpt-4o", "chat/completions")
    cooldowns.throttled(west, "gpt-4o", 100, 0)
    for number = 1, names do
        cooldowns.missing(west, "invented-" .. number)
        breakers.failed(west, "unheard-" .. number, failover)
    end
    return (availability.state(west, "gpt-4o"))
    """
    assert lua(BEGIN + chunk, names=NAMES) == ["throttled"]


def test_b3_what_is_known_of_a_name_moves_with_its_first_success(lua: Lua) -> None:
    chunk = """
    cooldowns.throttled(east, "new-model", 100, 0)
    breakers.failed(west, "new-model", failover)
    availability.served({ east, west }, "new-model", "chat/completions")
    invented:flush_all()
    return (availability.state(east, "new-model")), (availability.state(west, "new-model"))
    """
    assert lua(BEGIN + chunk) == ["throttled", "open"]


@pytest.mark.parametrize("name", ["our-gpt4o", "/files"])
def test_b3_what_is_configured_and_kinds_of_resources_are_real_from_the_start(lua: Lua, name: str) -> None:
    chunk = """
    cooldowns.throttled(east, name, 100, 0)
    return #invented:get_keys(0)
    """
    assert lua(BEGIN + chunk, name=name) == [0]


def test_b3_a_whole_backend_is_real(lua: Lua) -> None:
    chunk = """
    breakers.failed(east, pair_memory.EVERY, failover)
    return #invented:get_keys(0), (availability.state(east, "invented"))
    """
    assert lua(BEGIN + chunk) == [0, "open"]


def test_b3_another_spelling_of_a_real_name_is_an_invention(lua: Lua) -> None:
    chunk = """
    availability.served({ west }, "gpt-4o", "chat/completions")
    availability.served({ west }, "GPT-4O", "chat/completions")
    cooldowns.throttled(west, "GPT-4O", 100, 0)
    local states = { availability.state(west, "GPT-4O"), availability.state(west, "gpt-4o") or "usable" }
    return #invented:get_keys(0) > 0, states[1], states[#states]
    """
    assert lua(BEGIN + chunk) == [True, "throttled", "usable"]


def test_b3_an_invention_is_forgotten_after_five_minutes(lua: Lua) -> None:
    chunk = """
    breakers.failed(west, "invented", failover)
    local longest = 0
    for _, name in ipairs(invented:get_keys(0)) do
        longest = math.max(longest, invented:ttl(name))
    end
    return longest
    """
    assert 0 < lua(BEGIN + chunk)[0] <= 300
