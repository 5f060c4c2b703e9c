"""A worker that uses little memory cleans up less often, and none lets garbage grow without bounds."""

from __future__ import annotations

import pytest

from tests.engines.support import Lua

# Makes garbage of so many MiB while so many are in use. Returns the MiB after a cleaning, and the most.
MAKE_GARBAGE = """
package.loaded["apisix.plugins.azure-openai.base.garbage"] = nil
collectgarbage("setpause", 200)
require("apisix.plugins.azure-openai.base.garbage").watch()
local held = {}
for index = 1, used do
    held[index] = ("x"):rep(1024 * 1024) .. index
end
collectgarbage()
local clean, most = collectgarbage("count") / 1024, 0
-- In small pieces: each allocation is one step of a cleaning, however large it is.
for index = 1, garbage * 256 do
    local _ = ("y"):rep(4096) .. index
    most = math.max(most, collectgarbage("count") / 1024)
end
held = nil
collectgarbage()
return clean, most
"""


def make_garbage(lua: Lua, *, used_mib: int) -> tuple[float, float]:
    clean, most = lua(MAKE_GARBAGE, used=used_mib, garbage=400)
    return clean, most


def test_a_small_worker_gathers_32_mib(lua: Lua) -> None:
    clean, most = make_garbage(lua, used_mib=0)
    # A cleaning goes on in steps, between which there is more garbage.
    assert clean + 24 < most < clean + 3 * 32


@pytest.mark.parametrize("used_mib", [48, 96])
def test_a_large_one_begins_to_clean_when_its_memory_has_doubled(lua: Lua, used_mib: int) -> None:
    clean, most = make_garbage(lua, used_mib=used_mib)
    assert 1.6 * clean < most < 3.2 * clean
