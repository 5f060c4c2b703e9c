"""Which names become labels of metrics, and which give way."""

from __future__ import annotations

import pytest

from tests.engines.support import Lua

# Labels of a worker that has just started, with a clock that the test moves.
FRESH = """
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local NAME = "apisix.plugins.azure-openai.account.labels"
local now, time, current = 1000000, ngx.time, pool_module.current
ngx.time = function() return now end
pool_module.current = function()
    return { backends = { { deployments = { ["gpt-4o"] = "our-gpt4o" } } }, pricing = { ["gpt-5"] = {} } }
end
package.loaded[NAME] = nil
local labels = require(NAME)
package.loaded[NAME] = nil

local function learn_many(prefix, count)
    for number = 1, count do
        labels.deployments:learn(prefix .. number)
    end
end

local function run()
%s
end

local result = { run() }
ngx.time, pool_module.current = time, current
return unpack(result)
"""


def run(lua: Lua, chunk: str) -> list[object]:
    return lua(FRESH % chunk)


@pytest.mark.parametrize("name", ["", "/files", "gpt-4o", "our-gpt4o"])
def test_o1_some_names_are_labels_from_the_start(lua: Lua, name: str) -> None:
    assert run(lua, f'learn_many("name-", 300) return labels.deployments:of("{name}")') == [name]


def test_o1_a_model_with_a_price_is_a_label_from_the_start(lua: Lua) -> None:
    assert run(lua, 'return labels.models:of("gpt-5"), labels.models:of("gpt-6")') == ["gpt-5", "other"]


def test_o1_a_learned_name_is_a_label(lua: Lua) -> None:
    chunk = 'local before = labels.deployments:of("o1") labels.deployments:learn("o1")'
    assert run(lua, f'{chunk} return before, labels.deployments:of("o1")') == ["other", "o1"]


def test_o1_at_most_200_names_are_learned_at_a_time(lua: Lua) -> None:
    chunk = """
    learn_many("name-", 300)
    local known = 0
    for number = 1, 300 do
        known = known + (labels.deployments:of("name-" .. number) ~= "other" and 1 or 0)
    end
    return known, labels.deployments:of("name-200"), labels.deployments:of("name-201")
    """
    assert run(lua, chunk) == [200, "name-200", "other"]


def test_o1_a_name_that_was_not_used_for_a_day_gives_way(lua: Lua) -> None:
    chunk = """
    learn_many("name-", 200)
    now = now + 86400
    for number = 2, 200 do
        labels.deployments:of("name-" .. number)
    end
    now = now + 1
    labels.deployments:learn("new")
    labels.deployments:learn("newer")
    return labels.deployments:of("new"), labels.deployments:of("newer"), labels.deployments:of("name-1")
    """
    assert run(lua, chunk) == ["new", "other", "other"]


def test_o1_names_that_differ_in_case_share_a_label(lua: Lua) -> None:
    chunk = 'labels.deployments:learn("GPT-4.1") labels.deployments:learn("gpt-4.1")'
    assert run(lua, f'{chunk} return labels.deployments:of("Gpt-4.1")') == ["GPT-4.1"]


@pytest.mark.parametrize("name", ["a b", '"', "-x", "\\225", "a\\nb"])
def test_o1_what_does_not_look_like_a_name_is_not_learned(lua: Lua, name: str) -> None:
    assert run(lua, f"return labels.deployments:learn('{name}'), labels.deployments:of('{name}')") == [
        False,
        "other",
    ]
