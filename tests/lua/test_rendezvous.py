"""Weighted rendezvous hashing, which `chash` and the affinity of prompt caches use (B5)."""

from __future__ import annotations

import json
import random

import pytest

from tests.engines.support import Lua

CHOOSE = """
local rendezvous = require("apisix.plugins.azure-openai.routing.rendezvous")
local chosen = {}
for index, key in ipairs(keys) do chosen[index] = rendezvous.best(key, backends).name end
return require("cjson").encode(chosen)
"""


def chosen(lua: Lua, keys: list[int], weights: dict[str, int]) -> list[str]:
    backends = [{"name": name, "weight": weight} for name, weight in weights.items()]
    (text,) = lua(CHOOSE, keys=keys, backends=backends)
    names: list[str] = json.loads(text)
    return names


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("keys", ["random", "in a row"])
def test_b5_keys_spread_by_weight(lua: Lua, seed: int, keys: str) -> None:
    script = random.Random(seed)
    weights = {f"region-{index}": script.randint(1, 5) for index in range(script.randint(2, 6))}
    numbers = [script.getrandbits(32) if keys == "random" else index for index in range(6000)]
    names = chosen(lua, numbers, weights)
    for name, weight in weights.items():
        share = weight / sum(weights.values())
        assert names.count(name) / 6000 == pytest.approx(share, abs=0.03), (seed, weights)


@pytest.mark.parametrize("seed", range(3))
def test_b5_only_the_keys_of_a_missing_backend_move(lua: Lua, seed: int) -> None:
    script = random.Random(seed)
    weights = {f"region-{index}": script.randint(1, 5) for index in range(5)}
    gone = script.choice(list(weights))
    keys = [script.getrandbits(32) for _ in range(1000)]
    before = chosen(lua, keys, weights)
    after = chosen(lua, keys, {name: weight for name, weight in weights.items() if name != gone})
    moved = {name for name, other in zip(before, after, strict=True) if name != other}
    assert moved == {gone}, seed
