"""A worker cleans up in slices, and none gathers garbage on and on."""

from __future__ import annotations

import pytest

from tests.engines.support import Lua

WATCH = """
local garbage = require("apisix.plugins.azure-openai.base.garbage")
garbage.watch()
"""

# Makes garbage in pieces of some bytes while so many MiB are in use: of texts, at which a cleaning need not
# look, or of tables. The module is told of requests, of which many begin at once, or of bytes. Returns the
# MiB after a cleaning, the most, and in how many pieces LuaJIT swept by itself, for each cleaning.
MAKE_GARBAGE = """
local cleanings = 0
local function count_cleanings()
    getmetatable(newproxy(true)).__gc = function()
        cleanings = cleanings + 1
        count_cleanings()
    end
end
count_cleanings()

local make = {
    text = function(index)
        return ("y"):rep(piece_bytes) .. index
    end,
    tables = function()
        local last
        for _ = 1, piece_bytes / 64 do
            last = { last }
        end
        return last
    end,
}

local held = {}
for index = 1, texts_mib do
    held[index] = ("x"):rep(1024 * 1024) .. index
end
local size = collectgarbage("count")
while collectgarbage("count") < size + tables_mib * 1024 do
    held[#held + 1] = { {}, {}, {}, {}, {}, {}, {}, {} }
end
collectgarbage()
local clean, most, swept = collectgarbage("count") / 1024, 0, 0
cleanings = 0
for index = 1, garbage_mib * 1024 * 1024 / piece_bytes do
    if requests_at_once > 0 then
        garbage.request_begins()
    end
    local before = collectgarbage("count")
    local piece = make[kind](index)
    swept = swept + (collectgarbage("count") < before and 1 or 0)
    if requests_at_once > 0 and index % requests_at_once == 0 then
        for _ = 1, requests_at_once do
            garbage.request_ends()
        end
    end
    if is_told_of_bytes then
        garbage.catch_up(#piece)
    end
    most = math.max(most, collectgarbage("count") / 1024)
end
local each = swept / cleanings
held = nil
collectgarbage()
return clean, most, each
"""


def make_garbage(
    lua: Lua,
    *,
    requests_at_once: int = 1,
    is_told_of_bytes: bool = False,
    kind: str = "text",
    texts_mib: int = 0,
    tables_mib: int = 0,
    garbage_mib: int = 600,
    piece_bytes: int = 16 * 1024,
) -> tuple[float, float, float]:
    clean, most, swept = lua(
        WATCH + MAKE_GARBAGE,
        requests_at_once=requests_at_once,
        is_told_of_bytes=is_told_of_bytes,
        kind=kind,
        texts_mib=texts_mib,
        tables_mib=tables_mib,
        garbage_mib=garbage_mib,
        piece_bytes=piece_bytes,
    )
    return clean, most, swept


@pytest.mark.parametrize("kind", ["text", "tables"])
def test_a_small_worker_gathers_32_mib(lua: Lua, kind: str) -> None:
    clean, most, _ = make_garbage(lua, kind=kind)
    # It looks and sweeps while more comes.
    assert clean + 30 < most < clean + 48


@pytest.mark.parametrize("kind", ["text", "tables"])
@pytest.mark.parametrize(("texts_mib", "tables_mib"), [(96, 0), (0, 64)])
def test_a_large_one_begins_to_clean_when_its_memory_has_doubled(
    lua: Lua, kind: str, texts_mib: int, tables_mib: int
) -> None:
    clean, most, _ = make_garbage(lua, kind=kind, texts_mib=texts_mib, tables_mib=tables_mib)
    assert 1.9 * clean < most < 2.8 * clean


@pytest.mark.parametrize("kind", ["text", "tables"])
@pytest.mark.parametrize("requests_at_once", [1, 32])
def test_it_sweeps_after_requests_not_in_them(lua: Lua, requests_at_once: int, kind: str) -> None:
    _, _, swept = make_garbage(lua, kind=kind, requests_at_once=requests_at_once)
    # Only in the request in which the look ends.
    assert swept <= 1


@pytest.mark.parametrize("piece_bytes", [1000, 100_000, 1_000_000])
def test_requests_may_leave_any_amount_of_garbage(lua: Lua, piece_bytes: int) -> None:
    clean, most, _ = make_garbage(lua, kind="tables", piece_bytes=piece_bytes)
    assert most < clean + 32 + 40


@pytest.mark.parametrize("piece_bytes", [1000, 4000, 65536, 1048576])
@pytest.mark.parametrize("tables_mib", [0, 16, 100])
def test_a_cleaning_keeps_up_with_texts_of_any_size(lua: Lua, tables_mib: int, piece_bytes: int) -> None:
    clean, most, _ = make_garbage(
        lua,
        requests_at_once=0,
        is_told_of_bytes=True,
        tables_mib=tables_mib,
        piece_bytes=piece_bytes,
        garbage_mib=1200,
    )
    assert most < max(2 * clean, clean + 32) + max(32, 0.7 * tables_mib)


# Makes 400 MiB of garbage where the module is told of nothing, as when a configuration is loaded: while a
# cleaning sweeps, or while none is under way. Returns the MiB in use, and the most.
BURST = """
collectgarbage()
local used, most = collectgarbage("count") / 1024, 0
local function make(kib)
    local last
    for _ = 1, kib * 16 do
        last = { last }
    end
    most = math.max(most, collectgarbage("count") / 1024)
end
local frees = false
while while_it_sweeps and not frees do
    make(25)
    local before = collectgarbage("count")
    garbage.request_ends()
    frees = collectgarbage("count") < before
end
for _ = 1, 400 * 1024 / 25 do
    make(25)
end
return used, most
"""


@pytest.mark.parametrize("while_it_sweeps", [False, True])
def test_where_requests_neither_begin_nor_end_luajit_cleans_by_itself(
    lua: Lua, while_it_sweeps: bool
) -> None:
    used, most = lua(WATCH + BURST, while_it_sweeps=while_it_sweeps)
    assert most < used + 32 + 32
