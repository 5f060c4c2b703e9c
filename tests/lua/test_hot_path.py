"""T7: what relaying a stream costs does not grow with its events."""

from __future__ import annotations

import pytest

from tests.engines.support import Lua

# Relays a stream of so many events and counts how often JSON is decoded on the way.
RELAY = """
local core = require("apisix.core")
local accounting = require("apisix.plugins.azure-openai.account.accounting")
local event_stream = require("apisix.plugins.azure-openai.answer.event_stream")
local sse = require("apisix.plugins.azure-openai.answer.sse")

local decode, decoded = core.json.decode, 0
core.json.decode = function(...)
    decoded = decoded + 1
    return decode(...)
end

local sent, position, returned = 0, 0, false
local answer = {
    backend = { name = "eastus", fingerprint = "1" },
    deployment = "gpt-4o",
    event_stream = {
        held = {},
        splitter = sse.splitter(),
        connection = {
            is_kept = true,
            connection = { release = function() returned = true end },
            body = { leaves_clean = function() return true end },
        },
        reader = {
            next = function()
                position = position + 1
                if position <= events then
                    return 'data: {"choices":[{"index":0,"delta":{"content":"word"}}],"usage":null}\\n\\n'
                end
                return position == events + 1 and "data: [DONE]\\n\\n" or nil
            end,
        },
    },
}
local state = {
    request = { operation = "chat/completions" },
    pool = { failover = { stream_heartbeat_seconds = 0 } },
}
event_stream.send(state, answer, accounting.meter(state), function()
    sent = sent + 1
    return true
end)
core.json.decode = decode
return { sent, decoded, returned }
"""


def decoded(lua: Lua, events: int) -> int:
    sent, count, returned = lua(RELAY, events=events)[0]
    assert (sent, returned) == (events + 1, True)
    return int(count)


@pytest.mark.parametrize("events", [100, 2000])
def test_t7_a_longer_stream_is_not_decoded_more_often(lua: Lua, events: int) -> None:
    assert decoded(lua, events) == decoded(lua, 1)


def test_t7_a_line_without_a_colon_costs_no_more_than_reading_it(lua: Lua) -> None:
    chunk = """
    local sse = require("apisix.plugins.azure-openai.answer.sse")
    return (sse.parse(("x"):rep(2 * 1024 * 1024) .. "\\ndata: {}\\n\\n"))
    """
    # With work that grows with the square of the line this would take hours; the client waits for 10 s.
    assert lua(chunk) == ["{}"]
