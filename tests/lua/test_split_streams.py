"""Streams give the same result however reads split them: framing, probe, usage, the answering model."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2e.simulator import Region, Simulator
from tests.engines.support import Lua
from tests.support.inputs import many

# Reads a stream in pieces as the gateway does: what the client gets, and what the gateway learns.
READ = """
local sse = require("apisix.plugins.azure-openai.answer.sse")
local probe = require("apisix.plugins.azure-openai.answer.stream_probe")
local usage = require("apisix.plugins.azure-openai.account.usage")
local core = require("apisix.core")

local function pump_of(pieces)
    local position = 0
    return { next = function()
        position = position + 1
        return pieces[position]
    end }
end

local function read(pieces)
    local pump, splitter = pump_of(pieces), sse.splitter()
    local outcome = probe.run(pump, splitter, 60000)
    if outcome.reason then
        return { reason = outcome.reason, message = outcome.error.message }
    end

    local shown, found, model, whole = {}, nil, nil, true
    local function pass(block)
        whole = whole and block:find("\\n\\r?\\n$") ~= nil
        local text, tokens = usage.of_block(block, true)
        shown[#shown + 1] = text
        found, model = tokens or found, model or usage.model_of_events(block)
    end
    for _, block in ipairs(outcome.held) do
        pass(block)
    end
    for chunk in pump.next do
        local block = splitter:push(chunk)
        if block then
            pass(block)
        end
    end
    local text, rest = table.concat(shown), splitter:rest()
    -- An empty line after an event says nothing. It waits for the next one when a read begins with it.
    if not rest:find("[^\\r\\n]") then
        text, rest = text .. rest, ""
    end
    return { shown = text, rest = rest, usage = found, model = model, whole = whole }
end
"""

HAND_MADE = {
    "comments": ': hello\n\ndata: {"choices":[{"delta":{"content":"a"}}]}\n\n: bye\n\ndata: [DONE]\n\n',
    "several data lines": 'event: x\ndata: {"type":"x",\ndata: "text":"y"}\n\n',
    "blank lines in between": 'data: {"choices":[{}]}\n\n\n\ndata: [DONE]\n\n',
    "mixed line ends": 'data: {"choices":[{}]}\r\n\r\ndata: {"a":1}\n\ndata: [DONE]\r\n\r\n',
    "usage beside a choice": 'data: {"choices":[{}],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n',
    "no end": 'data: {"choices":[{}]}\n\ndata: {"choices":[{"delta":',
    "an error first": 'data: {"error":{"code":"rate_limit_exceeded","message":"slow down"}}\n\n',
    "an error after preamble": (
        'data: {"choices":[],"prompt_filter_results":[]}\n\ndata: {"error":{"message":"crashed"}}\n\n'
    ),
}
RECORDED = ("chat", "chat with CRLF", "responses", "failed responses")


def _recorded(sim: Simulator, name: str) -> str:
    sim.reset()
    body: dict[str, object] = {"input": "Grüße €"}
    if "chat" in name:
        messages = [{"role": "user", "content": "Grüße €"}]
        body = {"messages": messages, "stream_options": {"include_usage": True}}
    operation = "chat/completions" if "chat" in name else "responses"
    if name == "chat with CRLF":
        sim.fail("eastus", crlf=True, split=4096)
    if name == "failed responses":
        sim.fail("eastus", stream_error="response_failed", code="too_many_requests", message="high demand")
    request = {"model": "gpt-4o", "stream": True, **body}
    target = f"{sim.endpoint('eastus')}/openai/v1/{operation}"
    return httpx.post(target, json=request, headers={"api-key": "k"}).text


@pytest.fixture(scope="module")
def streams() -> Iterator[dict[str, str]]:
    """Streams as the backends send them, and odd ones."""
    with Simulator([Region("eastus", key="k", answer_tokens=4)]) as sim:
        yield HAND_MADE | {name: _recorded(sim, name) for name in RECORDED}


ALL = [*HAND_MADE, *RECORDED]


@pytest.mark.parametrize("name", ALL)
def test_every_byte_boundary_gives_the_same_result(lua: Lua, streams: dict[str, str], name: str) -> None:
    chunk = """
    local expected = core.json.stably_encode(read({ text }))
    local different = {}
    for cut = 1, #text - 1 do
        local result = core.json.stably_encode(read({ text:sub(1, cut), text:sub(cut + 1) }))
        if result ~= expected then
            different[#different + 1] = cut
        end
    end
    return #different, different[1] or false
    """
    assert lua(READ + chunk, text=streams[name]) == [0, False]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_small_pieces_give_the_same_result(lua: Lua, streams: dict[str, str], name: str, size: int) -> None:
    chunk = """
    local pieces = {}
    for start = 1, #text, size do
        pieces[#pieces + 1] = text:sub(start, start + size - 1)
    end
    return core.json.stably_encode(read(pieces)) == core.json.stably_encode(read({ text }))
    """
    assert lua(READ + chunk, text=streams[name], size=size) == [True]


@pytest.mark.parametrize("name", ALL)
def test_only_whole_events_are_passed_on(lua: Lua, streams: dict[str, str], name: str) -> None:
    chunk = """
    local pieces = {}
    for position = 1, #text do
        pieces[position] = text:sub(position, position)
    end
    local result = read(pieces)
    return result.reason ~= nil or result.whole
    """
    assert lua(READ + chunk, text=streams[name]) == [True]


EVENT = st.sampled_from(
    [
        'data: {"choices":[],"prompt_filter_results":[]}',
        'data: {"choices":[{"delta":{"content":"\\n\\n data: x"}}],"model":"gpt-4o"}',
        'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}',
        "event: response.created\ndata: {}",
        ": comment",
        "data: [DONE]",
        "",
        "data",
        "retry: 10",
    ]
)


@given(
    events=st.lists(EVENT, max_size=8),
    line_end=st.sampled_from(["\n", "\r\n"]),
    cuts=st.lists(st.integers(0, 600), max_size=12),
)
@settings(max_examples=many(150))
def test_generated_streams_in_generated_pieces(
    lua: Lua, events: list[str], line_end: str, cuts: list[int]
) -> None:
    text = "".join(event.replace("\n", line_end) + line_end * 2 for event in events)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:stop] for start, stop in pairwise(places)]
    chunk = """
    local one, other = core.json.stably_encode(read(pieces)), core.json.stably_encode(read({ text }))
    return one == other, one, other
    """
    assert lua(READ + chunk, text=text, pieces=pieces)[0] is True


@given(pieces=st.lists(st.text("\r\n:da {}", min_size=1), min_size=1, max_size=10))
@settings(max_examples=many(200))
def test_no_byte_is_lost_or_repeated_whatever_the_input(lua: Lua, pieces: list[str]) -> None:
    chunk = """
    local splitter, passed = require("apisix.plugins.azure-openai.answer.sse").splitter(), {}
    for _, piece in ipairs(pieces) do
        passed[#passed + 1] = splitter:push(piece)
    end
    return table.concat(passed) .. splitter:rest()
    """
    assert lua(chunk, pieces=pieces) == ["".join(pieces)]
