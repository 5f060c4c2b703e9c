"""B2: whose turn it is for real deployments, and for names that only clients have used."""

from __future__ import annotations

from itertools import count

import pytest

from tests.engines.support import Lua

# A worker believes for a second that a name is real, so each test has one of its own.
NAMES = (f"real-{number}" for number in count())
BEGIN = """
local availability = require("apisix.plugins.azure-openai.routing.availability")
local balancer = require("apisix.plugins.azure-openai.routing.balancer")
ngx.shared["azure-openai-unproven"]:flush_all()
ngx.shared["azure-openai-availability"]:flush_all()
local function backend(name, own_names)
    return {
        name = name, fingerprint = "1", weight = 1, surfaces = { openai = true },
        own_names = own_names, deployments = own_names and { [real] = "ours" },
    }
end
local names = is_configured and { ours = true }
local group = { priority = 0, backend("eastus", names), backend("westus", names) }
local pool = { name = "", backends = group, groups = { group }, balancer = { algorithm = "roundrobin" } }
local function turn(deployment)
    local plan = { deployment = deployment, surface = { name = "openai" }, operation = "", size = 0 }
    return (balancer.next({}, pool, plan, {}) or {}).name
end
local function invent()
    for number = 1, 5000 do
        turn("invented-" .. number)
    end
end
"""


def turns(lua: Lua, chunk: str, *, is_configured: bool = False) -> list[str]:
    [found] = lua(BEGIN + chunk, real=next(NAMES), is_configured=is_configured)
    return list(found)


@pytest.mark.parametrize("is_configured", [True, False])
def test_b2_5000_invented_names_take_no_turn_of_a_real_deployment(lua: Lua, is_configured: bool) -> None:
    chunk = """
    availability.served(is_configured and {} or group, real, "chat/completions")
    local first = turn(real)
    invent()
    return { first, turn(real) }
    """
    assert turns(lua, chunk, is_configured=is_configured) == ["eastus", "westus"]


def test_b2_a_deployment_that_turns_out_to_be_real_loses_no_more_turns(lua: Lua) -> None:
    chunk = """
    turn(real)
    availability.served(group, real, "chat/completions")
    invent()
    local first = turn(real)
    invent()
    return { first, turn(real) }
    """
    assert turns(lua, chunk) == ["eastus", "westus"]


def test_b2_a_new_configuration_begins_turns_anew(lua: Lua) -> None:
    chunk = """
    availability.served(group, real, "chat/completions")
    local first = turn(real)
    local other = { priority = 0, group[1], group[2] }
    pool = { name = "", backends = other, groups = { other }, balancer = pool.balancer }
    return { first, turn(real) }
    """
    assert turns(lua, chunk) == ["eastus", "eastus"]
