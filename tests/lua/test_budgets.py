"""A7: the calendar of budgets, and their counts over replicas and a Redis that loses messages and data."""

from __future__ import annotations

import calendar
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e.redis_server import RedisServer, is_installed
from tests.engines.support import Lua
from tests.support.nonsense import Nonsense

needs_redis = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")

PERIODS = """
local calendar = require("apisix.plugins.azure-openai.base.calendar")
local found = {}
for index, at in ipairs(moments) do found[index] = calendar.period_at(kind, at) end
return found
"""
FORMATS = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}

# Runs steps { replica, op, amount } on the counts of several replicas, each with a memory of its own. Returns
# what each replica takes for the total at the end.
HARNESS = """
local ROOM = "apisix.plugins.azure-openai."
local real_shared = ngx.shared
package.loaded[ROOM .. "base.shared_state"] = nil
local shared_state = require(ROOM .. "base.shared_state")
shared_state.use({ host = "127.0.0.1", port = port })
local eval_each, fault = shared_state.eval_each, nil
function shared_state.eval_each(...)
    if fault == "lost question" then return nil end
    local results = eval_each(...)
    if fault == "lost answer" then return nil end
    return results
end

local function memory()
    local values, dict = {}, {}
    function dict:get(key) return values[key] end
    function dict:set(key, value) values[key] = value return true end
    function dict:add(key, value)
        if values[key] ~= nil then return false, "exists" end
        values[key] = value
        return true
    end
    function dict:incr(key, by, init) values[key] = (values[key] or init) + by return values[key] end
    return dict
end

local function new_replica()
    ngx.shared = { ["azure-openai-budgets"] = memory() }
    package.loaded[ROOM .. "account.budget_counts"] = nil
    return require(ROOM .. "account.budget_counts")
end

local counter = { name = name, ends_at = ngx.now() + 1000 }
local replicas = {}
for index = 1, count do replicas[index] = new_replica() end
local ok, err = pcall(function()
    for _, step in ipairs(steps) do
        local replica = replicas[step.replica]
        fault = step.fault
        if step.op == "charge" then
            replica.add(counter, step.amount)
        elseif step.op == "share" then
            replica.share({ counter })
        elseif step.op == "restart" then
            replica.share({ counter })
            replicas[step.replica] = new_replica()
        elseif step.op == "loss" then
            for _, one in ipairs(replicas) do one.share({ counter }) end
            shared_state.delete_later("budget:" .. name)
            ngx.sleep(0.02)
        end
    end
    fault = nil
    for _ = 1, 2 do
        for _, replica in ipairs(replicas) do replica.share({ counter }) end
    end
end)
ngx.shared = real_shared
package.loaded[ROOM .. "account.budget_counts"] = nil
package.loaded[ROOM .. "base.shared_state"] = nil
assert(ok, err)
local used = {}
for index, replica in ipairs(replicas) do used[index] = replica.used(counter) end
return used
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def expected(kind: str, moment: datetime) -> tuple[str, datetime, datetime]:
    """The name, the beginning and the end of a period."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    days = calendar.monthrange(day.year, day.month)[1]
    starts_at = {"hour": hour, "day": day, "month": day.replace(day=1)}[kind]
    length = {"hour": timedelta(hours=1), "day": timedelta(days=1), "month": timedelta(days=days)}[kind]
    return moment.strftime(FORMATS[kind]), starts_at, starts_at + length


@pytest.mark.parametrize("kind", FORMATS)
def test_a7_periods_are_those_of_the_calendar_in_utc(lua: Lua, kind: str) -> None:
    dice = random.Random(kind)
    moments = [datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)]
    moments += [datetime.fromtimestamp(dice.randrange(1_700_000_000, 2_500_000_000), UTC) for _ in range(200)]
    (found,) = lua(PERIODS, kind=kind, moments=[int(each.timestamp()) for each in moments])
    assert [
        (
            each["name"],
            datetime.fromtimestamp(each["starts_at"], UTC),
            datetime.fromtimestamp(each["ends_at"], UTC),
        )
        for each in found
    ] == [expected(kind, moment) for moment in moments]


def history(dice: random.Random, replicas: int, ops: list[str]) -> list[dict[str, Any]]:
    """Charges at random replicas, and what happens to them in between."""
    steps: list[dict[str, Any]] = []
    for _ in range(60):
        step: dict[str, Any] = {"replica": dice.randint(1, replicas), "op": dice.choice(ops)}
        if step["op"] == "charge":
            step["amount"] = dice.choice((1, 7, 1200, 10**10, 123_456_789))
        elif step["op"] == "share":
            step["fault"] = dice.choice((None, None, "lost question", "lost answer"))
        steps.append({name: value for name, value in step.items() if value is not None})
    return steps


@needs_redis
@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize(
    "ops",
    [["charge", "share"], ["charge", "share", "restart"], ["charge", "share", "share", "loss"]],
    ids=["messages are lost", "replicas start anew", "Redis loses its data"],
)
def test_a7_no_count_is_lost_or_taken_twice(lua: Lua, redis: RedisServer, ops: list[str], seed: int) -> None:
    dice = random.Random(seed)
    replicas = dice.randint(1, 4)
    steps = history(dice, replicas, ops)
    name = f"tokens|2026-11|{'-'.join(ops)}-{seed}"
    (used,) = lua(HARNESS, port=redis.port, name=name, count=replicas, steps=steps)
    assert used == [sum(step.get("amount", 0) for step in steps)] * replicas


@pytest.mark.parametrize(
    "answer",
    [
        b"*2\r\n$1\r\na\r\n$3\r\nnan\r\n",
        b"*2\r\n$1\r\na\r\n$3\r\ninf\r\n",
        b"*2\r\n$1\r\na\r\n$2\r\n-1\r\n",
        b"*2\r\n$1\r\na\r\n$5\r\n1e300\r\n",
        b"*2\r\n$5\r\nhello\r\n$1\r\n9\r\n",
        b"*2\r\n:1\r\n$-1\r\n",
        b"*-1\r\n",
        b"$5\r\nhello\r\n",
        b"-ERR no\r\n",
        b"!\r\n",
    ],
    ids=str,
)
def test_a7_whatever_redis_answers_only_what_was_charged_counts(lua: Lua, answer: bytes) -> None:
    steps = [{"replica": 1, "op": "charge", "amount": 5}, {"replica": 1, "op": "share"}]
    with Nonsense([answer]) as server:
        (used,) = lua(HARNESS, port=server.port, name="tokens|2026-11|a", count=1, steps=steps)
    assert used == [5]
