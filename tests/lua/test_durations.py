"""O1: durations that are counted together land in the buckets in which each would land alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.support import Lua

# Durations of a worker that has just started, with a registry that keeps what it gets.
FLUSH = """
local registry = require("apisix.plugins.azure-openai.account.registry")
local NAME = "apisix.plugins.azure-openai.account.durations"
local observe, got = registry.observe, {}
registry.observe = function(histogram, labels, value, count)
    got[#got + 1] = { histogram, labels[1], value, count }
end
package.loaded[NAME] = nil
local durations = require(NAME)
package.loaded[NAME] = nil
for _, noted in ipairs(values) do
    durations.note(noted[1], noted[2], noted[3])
end
durations.flush()
durations.flush()
registry.observe = observe
return got, registry.BOUNDS
"""

SECONDS = (
    st.integers(-50, 400_000).map(lambda milliseconds: milliseconds / 1000)
    | st.floats(-1, 500)
    | st.sampled_from([0.1, 0.25, 0.5, 1, 2, 2.5, 5, 10, 30, 60, 120, 300])
)
NOTED = st.tuples(st.sampled_from(["duration", "first_token"]), st.sampled_from(["gpt-4o", "o3"]), SECONDS)


def bucket(bounds: list[float], seconds: float) -> int:
    return next((index for index, bound in enumerate(bounds) if seconds <= bound), len(bounds))


@given(st.lists(NOTED, max_size=60))
def test_o1_durations_land_in_their_own_buckets(lua: Lua, noted: list[tuple[str, str, float]]) -> None:
    got, bounds = lua(FLUSH, values=noted)
    alone = Counter((name, of, bucket(bounds[name], seconds)) for name, of, seconds in noted)
    together: Counter[tuple[str, str, int]] = Counter()
    for name, of, seconds, count in got or []:
        together[name, of, bucket(bounds[name], seconds)] += count
    assert together == alone
    total = sum(seconds * count for _, _, seconds, count in got or [])
    assert total == pytest.approx(sum(seconds for _, _, seconds in noted))
