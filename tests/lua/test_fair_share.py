"""A7, O3: what clients share has room for each of them."""

from __future__ import annotations

from tests.engines.support import Lua

BEGIN = """
local share = require("apisix.plugins.azure-openai.base.fair_share").new(200)
local function take_all(client)
    local taken = 0
    while share:has_room(client) do
        share:take(client)
        taken = taken + 1
    end
    return taken
end
"""


def test_a7_who_takes_all_it_can_leaves_room_for_others(lua: Lua) -> None:
    chunk = 'return take_all("team-a"), take_all("team-b"), take_all("team-c")'
    assert lua(BEGIN + chunk) == [100, 50, 25]


def test_a7_the_places_are_bounded(lua: Lua) -> None:
    chunk = """
    local taken = 0
    for number = 1, 1000 do
        taken = taken + take_all("team-" .. number)
    end
    return taken
    """
    assert lua(BEGIN + chunk)[0] <= 200


def test_a7_a_place_that_is_given_back_can_be_taken_again(lua: Lua) -> None:
    chunk = """
    take_all("team-a")
    share:give_back("team-a")
    return take_all("team-a")
    """
    assert lua(BEGIN + chunk) == [1]


def test_a7_background_responses_of_one_client_do_not_keep_others_from_theirs(lua: Lua) -> None:
    chunk = """
    local followers = require("apisix.plugins.azure-openai.account.followers")
    local first, second = { name = "team-a" }, { name = "team-b" }
    local followed = 0
    while followed < 200 and followers.have_room(first) do
        followers.begin(first)
        followed = followed + 1
    end
    local has_room = followers.have_room(second)
    for _ = 1, followed do
        followers.finish(first)
    end
    return has_room
    """
    assert lua(BEGIN + chunk) == [True]
