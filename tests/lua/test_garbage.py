"""A worker that uses little memory cleans up less often, and no worker lets garbage grow without bounds."""

from __future__ import annotations

from tests.engines.support import Lua

JUDGE = """
package.loaded["apisix.plugins.azure-openai.base.garbage"] = nil
local garbage = require("apisix.plugins.azure-openai.base.garbage")
local results = {}
for index, mib in ipairs(seen) do
    results[index] = { garbage.judge(mib * 1024) }
end
return results
"""


def judge(lua: Lua, *seen_mib: float) -> list[tuple[int, bool]]:
    """When to clean next (per cent), and whether to clean now, for each size seen in turn."""
    [results] = lua(JUDGE, seen=seen_mib)
    return [(percent, now) for percent, now in results]


def test_a_small_worker_gathers_32_mib(lua: Lua) -> None:
    assert judge(lua, 16) == [(300, False)]


def test_garbage_does_not_count_as_use(lua: Lua) -> None:
    assert judge(lua, 16, 47, 16)[2] == (300, False)


def test_a_large_worker_cleans_when_its_memory_has_doubled(lua: Lua) -> None:
    assert judge(lua, 64, 300)[0] == (200, False)


def test_memory_that_grows_at_once_is_cleaned_at_once(lua: Lua) -> None:
    assert [now for _, now in judge(lua, 16, 400)] == [False, True]


def test_memory_that_stays_in_use_counts_as_use(lua: Lua) -> None:
    assert judge(lua, 16, *[400] * 20)[-1] == (200, False)
