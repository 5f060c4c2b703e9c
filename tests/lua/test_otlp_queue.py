"""When telemetry is handed to the collector."""

from __future__ import annotations

from tests.engines.support import Lua

# A queue with a clock and timers of its own, and a collector that takes everything: `pauses` are those for
# which the queue has asked.
QUEUE = """
local name = "apisix.plugins.azure-openai.account.otlp_queue"
local pool = require("apisix.plugins.azure-openai.routing.pool")
local exchange = require("apisix.plugins.azure-openai.account.otlp_exchange")
local at, now, current, post = ngx.timer.at, ngx.now, pool.current, exchange.post
local clock, pauses, turn = 1000, {}, nil
pool.current = function() return { telemetry = { service_name = "gateway" } } end
local answer = function() return 200 end
exchange.post = function() return answer() end
ngx.now = function() return clock end
ngx.timer.at = function(pause, run, queue)
    pauses[#pauses + 1] = pause
    turn = function() run(false, queue) end
    return true
end
local loaded = package.loaded[name]
package.loaded[name] = nil
local queue = require(name).new("logs")
package.loaded[name] = loaded
local function add()
    queue:add(require("string.buffer").new():put("item"))
end
local function pass(seconds)
    clock = clock + seconds
    turn()
end
%s
ngx.timer.at, ngx.now, pool.current, exchange.post = at, now, current, post
return pauses
"""


def pauses(lua: Lua, steps: str) -> list[float]:
    """The pauses of the timers that a queue starts while it is used like this."""
    [found] = lua(QUEUE % steps)
    return list(found)


def test_o2_after_a_quiet_time_an_item_goes_at_once(lua: Lua) -> None:
    assert pauses(lua, "add() pass(0) clock = clock + 5 add()") == [0, 0]


def test_o2_what_follows_gathers_for_the_rest_of_a_second(lua: Lua) -> None:
    assert pauses(lua, "add() pass(0) clock = clock + 0.25 add() add() add()") == [0, 0.75]


def test_o2_a_clock_that_is_set_back_holds_nothing_up(lua: Lua) -> None:
    assert pauses(lua, "add() pass(0) clock = clock - 3600 add()") == [0, 1]


def test_o2_after_an_outage_it_waits_longer_and_longer(lua: Lua) -> None:
    steps = "answer = function() return 503 end add() pass(0) pass(2) pass(4) pass(5)"
    assert pauses(lua, steps) == [0, 2, 4, 5, 5]


def test_o2_a_fault_of_its_own_is_not_met_again_at_once(lua: Lua) -> None:
    assert pauses(lua, "answer = function() error('a fault') end add() pass(0) pass(1)") == [0, 1, 1]
