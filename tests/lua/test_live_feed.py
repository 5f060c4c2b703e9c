"""What is kept for the live page is bounded, whoever sends the requests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.engines.support import Lua

# A dictionary that is watched, and `note` for a request of a client with an id.
FEED = """
local core = require("apisix.core")
local feed = require("apisix.plugins.azure-openai.account.live_feed")
local labels = require("apisix.plugins.azure-openai.account.labels")
local dict = ngx.shared["azure-openai-live"]
dict:flush_all()
dict:flush_expired()
feed.watch()
labels.deployments.of = function(_, name) return name end

local function note(client, id, deployment, trail)
    feed.note(
        { client = client, request_id = id, deployment = deployment, outcome = "success", total_ms = 1 },
        { started_at = 0, trail = trail or {} }
    )
end

local function ids(texts)
    local list = {}
    for index, text in ipairs(texts) do
        list[index] = core.json.decode(text).id
    end
    return table.concat(list, " ")
end

local function run()
%s
end

local result = { run() }
labels.deployments.of = nil
return unpack(result)
"""


def run(lua: Lua, chunk: str) -> list[Any]:
    return lua(FEED % chunk)


def test_nothing_is_kept_while_nobody_watches(lua: Lua) -> None:
    assert run(lua, 'dict:delete("watched") note("a", "1", "gpt-4o") return #dict:get_keys(0)') == [0]


def test_a_watcher_gets_what_is_new(lua: Lua) -> None:
    chunk = """
    note("a", "1", "gpt-4o")
    local _, seen = feed.entries_since(0, nil, 100)
    note("a", "2", "gpt-4o")
    note("b", "3", "gpt-4o")
    local texts, last, missed = feed.entries_since(seen, nil, 100)
    return ids(texts), last, missed
    """
    assert run(lua, chunk) == ["2 3", 3, 0]


def test_a_client_gets_its_own(lua: Lua) -> None:
    chunk = 'note("a", "1", "gpt-4o") note("b", "2", "gpt-4o") return ids((feed.entries_since(0, "b", 100)))'
    assert run(lua, chunk) == ["2"]


def test_the_last_256_requests_are_kept(lua: Lua) -> None:
    chunk = """
    for number = 1, 300 do note("a", tostring(number), "gpt-4o") end
    local texts, _, missed = feed.entries_since(0, nil, 1000)
    return #texts, core.json.decode(texts[1]).id, missed
    """
    assert run(lua, chunk) == [256, "45", 44]


def test_of_many_a_watcher_gets_the_newest(lua: Lua) -> None:
    chunk = """
    for number = 1, 50 do note("a", tostring(number), "gpt-4o") end
    local texts, _, missed = feed.entries_since(0, nil, 2)
    return ids(texts), missed
    """
    assert run(lua, chunk) == ["49 50", 48]


def test_more_than_256_pairs_share_one_sum(lua: Lua) -> None:
    chunk = """
    for number = 1, 300 do note("client-" .. number, "1", "gpt-4o") end
    local sums = feed.sums()
    return #sums, sums[#sums].client, sums[#sums].requests
    """
    assert run(lua, chunk) == [257, "other", 44]


@pytest.mark.parametrize("size", [100, 20000])
def test_long_texts_and_trails_are_cut(lua: Lua, size: int) -> None:
    chunk = f"""
    local long, trail = ("x"):rep({size}), {{}}
    for number = 1, {size} do
        trail[number] = {{ backend = "eastus", status = 500, reason = "reset", started_at = 0, seconds = 1 }}
    end
    note("a", long, long, trail)
    return (feed.entries_since(0, nil, 1))[1]
    """
    [text] = run(lua, chunk)
    entry = json.loads(text)
    assert (len(text) < 4096, len(entry["id"]), len(entry["attempts"])) == (True, 100, 12)


def test_sums_are_kept_for_each_client_and_deployment(lua: Lua) -> None:
    chunk = """
    note("a", "1", "gpt-4o") note("a", "2", "gpt-4o") note("a", "3", "o4-mini") note("b", "4", "gpt-4o")
    local list = {}
    for index, sum in ipairs(feed.sums("a")) do list[index] = sum.deployment .. " " .. sum.requests end
    return table.concat(list, ", ")
    """
    assert run(lua, chunk) == ["gpt-4o 2, o4-mini 1"]


@pytest.mark.parametrize(("client", "seats"), [("nil", 8), ('{ name = "a" }', 2)])
def test_seats_are_bounded(lua: Lua, client: str, seats: int) -> None:
    chunk = f"""
    local live_seats = require("apisix.plugins.azure-openai.account.live_seats")
    local count = 0
    while live_seats.take({client}) do count = count + 1 end
    return count
    """
    assert run(lua, chunk) == [seats]


def test_a_seat_that_another_client_has_by_now_is_lost(lua: Lua) -> None:
    chunk = """
    local live_seats = require("apisix.plugins.azure-openai.account.live_seats")
    local seat = live_seats.take({ name = "a" })
    dict:set(seat.key, "b")
    local kept = seat:keep()
    dict:delete(seat.key)
    return kept, seat:keep()
    """
    assert run(lua, chunk) == [False, True]
