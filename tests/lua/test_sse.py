"""T6, T7: events are found where they stand, and only the chunk that the client must not see is taken out."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

from hypothesis import given
from hypothesis import strategies as st

from tests.engines.support import Lua

SPLIT = """
local sse = require("apisix.plugins.azure-openai.answer.sse")
local block = ngx.decode_base64(encoded)
local forwards, backwards = {}, {}
for event in sse.events(block) do
    forwards[#forwards + 1] = ngx.encode_base64(event)
end
for event in sse.events_from_the_end(block) do
    backwards[#backwards + 1] = ngx.encode_base64(event)
end
local bounds, find = {}, sse.finder(block)
for position = 1, #block do
    local first, last = find(position)
    bounds[position] = ngx.encode_base64(block:sub(first, last))
end
return forwards, backwards, bounds
"""
HIDE = """
local usage = require("apisix.plugins.azure-openai.account.usage")
local text, found = usage.of_block(ngx.decode_base64(encoded), hide, {})
return ngx.encode_base64(text), found and found.total
"""

ANY = st.lists(st.sampled_from(["\n", "\r\n", "\n\n", "\r\n\r\n", "data: 1", "x", "\r"]), max_size=20)


def texts(encoded: list[str] | dict[str, str]) -> list[bytes]:
    """An empty list of Lua's is an object."""
    return [b64decode(text) for text in encoded or []]


@given(ANY.map("".join))
def test_t7_the_events_of_a_block_are_the_same_from_both_ends(lua: Lua, block: str) -> None:
    forwards, backwards, bounds = map(texts, lua(SPLIT, encoded=b64encode(block.encode()).decode()))
    assert b"".join(forwards).decode() == block
    assert list(reversed(backwards)) == forwards
    assert bounds == [event for event in forwards for _ in event]


CHUNK = {"id": "chatcmpl-1", "choices": [{"delta": {"content": 'He said \\"usage\\": {'}}]}
REPORT = {"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
EVENTS = st.sampled_from(
    [
        ": comment",
        "data: " + json.dumps(CHUNK | {"usage": None}),
        "data: " + json.dumps(CHUNK | {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
        "data: " + json.dumps(REPORT),
        "data: " + json.dumps({"xusage": {"total_tokens": 9}}),
        "event: response.completed\ndata: "
        + json.dumps({"response": {"id": "resp_1", "usage": {"input_tokens": 7, "output_tokens": 4}}}),
        "data: [DONE]",
    ]
)
TOTALS = {'"prompt_tokens": 3': 4, '"prompt_tokens": 5': 7, '"input_tokens": 7': 11}


@given(st.lists(EVENTS, max_size=12), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_t6_only_the_usage_chunk_is_taken_out(lua: Lua, events: list[str], hide: bool, end: str) -> None:
    block = "".join(event.replace("\n", end) + 2 * end for event in events)
    shown = [event for event in events if not (hide and event == "data: " + json.dumps(REPORT))]
    totals = [total for event in events for sign, total in TOTALS.items() if sign in event]
    [text, *found] = lua(HIDE, encoded=b64encode(block.encode()).decode(), hide=hide)
    assert b64decode(text).decode() == "".join(event.replace("\n", end) + 2 * end for event in shown)
    assert (found or [None])[0] == (totals[-1] if totals else None)


# What a block costs in which many small events follow a large one, in blocks: how much is searched for
# carriage returns, and how much garbage is made.
COST = """
local usage = require("apisix.plugins.azure-openai.account.usage")
local block = ("x"):rep(1000000) .. "\\n\\n" .. (':\\n\\ndata: {"choices":[],"usage":{}}\\n\\n'):rep(1000)
local find, searched = string.find, 0
string.find = function(text, what, ...)
    searched = searched + (what == "\\r" and #text or 0)
    return find(text, what, ...)
end
collectgarbage("stop")
local before = collectgarbage("count")
local shown = usage.of_block(block, true, {})
local garbage = (collectgarbage("count") - before) * 1024
collectgarbage("restart")
string.find = find
return #shown, searched / #block, garbage / #block
"""


def test_t7_a_block_with_many_usages_is_searched_for_its_line_ends_once(lua: Lua) -> None:
    _, searched, _ = lua(COST)
    assert searched < 2


def test_t7_what_is_left_of_a_block_is_not_copied_with_each_event_taken_out(lua: Lua) -> None:
    shown, _, garbage = lua(COST)
    assert shown == 1_000_002 + 1000 * 3
    assert garbage < 200  # copies would be 1,000; the count of lines makes some garbage itself
