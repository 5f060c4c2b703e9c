"""R1, A9: what is known of items is bounded for each client, and never crosses from one client to another."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.support import Lua
from tests.support.inputs import many

GENERATED = settings(max_examples=many(100), deadline=None, print_blob=True)

HINTS = """
local item_hints = require("apisix.plugins.azure-openai.routing.item_hints")
local dict = ngx.shared["azure-openai-items"]
"""
COUNT = (
    HINTS
    + """
dict:flush_all()
dict:flush_expired()
for number = 1, count do
    item_hints.made("client/a", { { id = "msg_" .. number, seal = "gAAA" .. number } }, "eastus")
end
return #dict:get_keys(0)
"""
)
LOOK_UP = (
    HINTS
    + """
dict:flush_all()
for _, item in ipairs(made) do
    item_hints.made(item[1], { { id = item[2] } }, "of " .. item[1])
end
local found = {}
for index, item in ipairs(asked) do
    found[index] = item_hints.get(item[1], "id/" .. item[2]) or false
end
return unpack(found)
"""
)
READ = """
local core = require("apisix.core")
local made_resources = require("apisix.plugins.azure-openai.routing.made_resources")
local decode, decoded = core.json.decode, 0
core.json.decode = function(...)
    decoded = decoded + 1
    return decode(...)
end
local items = made_resources.items_in_events(block)
core.json.decode = decode
return items, decoded
"""


OF_OUTPUT = """
local replayed_items = require("apisix.plugins.azure-openai.request.replayed_items")
local output = {}
for number = 1, count do
    output[number] = { id = ("x"):rep(bytes) .. number }
end
return #replayed_items.in_output(output)
"""


def test_a9_of_an_answer_the_first_1024_items_count(lua: Lua) -> None:
    assert lua(OF_OUTPUT, count=90_000, bytes=10) == [1024]


def test_a9_no_item_is_known_by_an_id_that_cannot_be_one(lua: Lua) -> None:
    assert lua(OF_OUTPUT, count=3, bytes=512) == [0]


def test_a9_what_one_client_can_fill_is_bounded(lua: Lua) -> None:
    """A shelf of 8 items is one entry."""
    [shelves] = lua(COUNT, count=30_000)
    assert shelves == 1024


NAMES = st.text(alphabet="ab|/1", min_size=0, max_size=4)
PAIRS = st.lists(st.tuples(NAMES, NAMES), max_size=8)


@GENERATED
@given(PAIRS, PAIRS)
def test_a9_no_spelling_of_names_shows_a_client_the_items_of_another(
    lua: Lua, made: list[tuple[str, str]], asked: list[tuple[str, str]]
) -> None:
    found = lua(LOOK_UP, made=made, asked=asked)
    # An item may have been pushed out by later ones, so a hint can be missing, but never wrong.
    for place, pair in zip(found, asked, strict=True):
        assert place is False or (place == f"of {pair[0]}" and pair in made)


def event(**members: Any) -> str:
    return f"event: {members['type']}\ndata: {json.dumps(members)}\n\n"


def test_r1_t7_only_events_that_hold_an_item_are_decoded(lua: Lua) -> None:
    done = "response.output_item.done"
    block = "".join(
        [
            *(event(type="response.output_text.delta", item_id="msg_1", delta="word") for _ in range(20)),
            event(type=done, output_index=0, item={"encrypted_content": "gAAA", "type": "reasoning"}),
            event(type="response.output_text.delta", delta=f"they call it {done}", item={"id": "msg_0"}),
            event(type=done, output_index=1, item={"content": [{"text": '"id":"x"'}], "id": "msg_1"}),
        ]
    )
    assert lua(READ, block=block) == [[{"seal": "gAAA"}, {"id": "msg_1"}], 3]
