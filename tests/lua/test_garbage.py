"""A worker cleans up in small steps, and none gathers garbage on and on."""

from __future__ import annotations

import pytest

from tests.engines.support import Lua

# Makes garbage in pieces of some bytes while so many MiB are in use: of texts, at which a cleaning need not
# look, or of tables. Returns the MiB after a cleaning, and the most.
MAKE_GARBAGE = """
package.loaded["apisix.plugins.azure-openai.base.garbage"] = nil
collectgarbage("setpause", 200)
local garbage = require("apisix.plugins.azure-openai.base.garbage")
garbage.watch()
local held = {}
for index = 1, texts_mib do
    held[index] = ("x"):rep(1024 * 1024) .. index
end
-- Small ones, as most are.
local size = collectgarbage("count")
while collectgarbage("count") < size + tables_mib * 1024 do
    held[#held + 1] = { {}, {}, {}, {}, {}, {}, {}, {} }
end
collectgarbage()
local clean, most = collectgarbage("count") / 1024, 0
for index = 1, garbage_mib * 1024 * 1024 / piece_bytes do
    local text = ("y"):rep(piece_bytes) .. index
    if is_told then
        garbage.catch_up(#text)
    end
    most = math.max(most, collectgarbage("count") / 1024)
end
held = nil
collectgarbage()
return clean, most
"""


def make_garbage(
    lua: Lua,
    *,
    texts_mib: int = 0,
    tables_mib: int = 0,
    garbage_mib: int = 400,
    piece_bytes: int = 1024,
    is_told: bool = False,
) -> tuple[float, float]:
    clean, most = lua(
        MAKE_GARBAGE,
        texts_mib=texts_mib,
        tables_mib=tables_mib,
        garbage_mib=garbage_mib,
        piece_bytes=piece_bytes,
        is_told=is_told,
    )
    return clean, most


def test_a_small_worker_gathers_32_mib(lua: Lua) -> None:
    clean, most = make_garbage(lua)
    # A cleaning goes on in steps, between which there is more garbage.
    assert clean + 24 < most < clean + 3 * 32


@pytest.mark.parametrize("used_mib", [48, 96])
def test_a_large_one_begins_to_clean_when_its_memory_has_doubled(lua: Lua, used_mib: int) -> None:
    clean, most = make_garbage(lua, texts_mib=used_mib)
    assert 1.6 * clean < most < 3.2 * clean


@pytest.mark.parametrize("used_mib", [16, 32, 64])
def test_a_cleaning_looks_at_what_is_in_use_while_32_mib_gather(lua: Lua, used_mib: int) -> None:
    clean, most = make_garbage(lua, tables_mib=used_mib)
    begins = max(2 * clean, clean + 32)
    assert begins + 24 < most < begins + 44


@pytest.mark.parametrize("piece_bytes", [1000, 4000, 65536, 1048576])
@pytest.mark.parametrize(("used_mib", "meanwhile_mib"), [(16, 36), (100, 64)])
def test_so_it_does_while_texts_of_any_size_come(
    lua: Lua, used_mib: int, meanwhile_mib: int, piece_bytes: int
) -> None:
    garbage_mib = 600 if piece_bytes < 65536 else 2000
    clean, most = make_garbage(
        lua, tables_mib=used_mib, garbage_mib=garbage_mib, piece_bytes=piece_bytes, is_told=True
    )
    assert most < max(2 * clean, clean + 32) + meanwhile_mib
