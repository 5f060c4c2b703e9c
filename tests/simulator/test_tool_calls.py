"""Tools that the simulated model calls of its own accord, as each surface's official client sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from e2e.simulator import Simulator

OSLO = {"city": "Oslo, Norway"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
QUESTION = {"role": "user", "content": "How is the weather?"}
FUNCTION = {"type": "function", "name": "get_weather", "parameters": SCHEMA}

Ask = Callable[..., Any]
"""Sends a question, with the result of a tool or without, and gives the calls in the answer."""


@pytest.fixture
def chat(v1: openai.OpenAI) -> Ask:
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
    called = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    history = [
        {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]

    def ask(answered: bool = False, **body: Any) -> Any:
        messages: Any = [QUESTION, *(history if answered else [])]
        body = {"model": "gpt-4o", "messages": messages, "tools": tools, **body}
        with v1.chat.completions.stream(**body) as stream:
            streamed = stream.get_final_completion().choices[0].message.tool_calls or []
        whole = v1.chat.completions.create(**body).choices[0].message.tool_calls or []
        calls = [
            [(call.function.name, json.loads(call.function.arguments)) for call in kind]
            for kind in (whole, streamed)
        ]
        assert calls[0] == calls[1]
        return calls[0]

    return ask


@pytest.fixture
def responses(v1: openai.OpenAI) -> Ask:
    history = [
        {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
    ]

    def ask(answered: bool = False, **body: Any) -> Any:
        items: Any = [QUESTION, *(history if answered else [])]
        body = {"model": "gpt-4o", "input": items, "tools": [FUNCTION], **body}
        with v1.responses.stream(**body) as stream:
            streamed = stream.get_final_response().output
        whole = v1.responses.create(**body).output
        calls = [
            [(item.name, json.loads(item.arguments)) for item in kind if item.type == "function_call"]
            for kind in (whole, streamed)
        ]
        assert calls[0] == calls[1]
        return calls[0]

    return ask


@pytest.fixture
def messages(sim: Simulator) -> Iterator[Ask]:
    tools: Any = [{"name": "get_weather", "input_schema": SCHEMA}]
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}
    history = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "x", "input": {}}]},
        {"role": "user", "content": [result, {"type": "text", "text": "Be brief."}]},
    ]
    base_url = f"{sim.endpoint('eastus')}/anthropic"
    with anthropic.Anthropic(base_url=base_url, api_key="key-east", max_retries=0) as client:

        def ask(answered: bool = False, **body: Any) -> Any:
            given: Any = [QUESTION, *(history if answered else [])]
            body = {"model": "claude", "max_tokens": 100, "messages": given, "tools": tools, **body}
            with client.messages.stream(**body) as stream:
                streamed = stream.get_final_message().content
            whole = client.messages.create(**body).content
            calls = [
                [(block.name, block.input) for block in kind if block.type == "tool_use"]
                for kind in (whole, streamed)
            ]
            assert calls[0] == calls[1]
            return calls[0]

        yield ask


@pytest.fixture(params=["chat", "responses", "messages"])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.getfixturevalue(request.param)
    return found


def test_a_tool_that_the_region_was_told_to_call_is_called(sim: Simulator, ask: Ask) -> None:
    sim.tool_calls("eastus", get_weather=OSLO)
    assert ask() == [("get_weather", OSLO)]


def test_the_result_of_a_tool_is_answered_in_text(sim: Simulator, ask: Ask) -> None:
    sim.tool_calls("eastus", get_weather=OSLO)
    assert ask(answered=True) == []


def test_a_tool_that_is_not_offered_is_not_called(sim: Simulator, ask: Ask) -> None:
    sim.tool_calls("eastus", get_time={})
    assert ask() == []


def test_left_to_itself_the_model_calls_none(ask: Ask) -> None:
    assert ask() == []


def test_no_tool_is_called_where_the_client_forbids_it(
    sim: Simulator, chat: Ask, responses: Ask, messages: Ask
) -> None:
    sim.tool_calls("eastus", get_weather=OSLO)
    calls = [chat(tool_choice="none"), responses(tool_choice="none"), messages(tool_choice={"type": "none"})]
    assert calls == [[], [], []]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_a_forced_function_of_responses_is_called(sim: Simulator, responses: Ask, choice: Any) -> None:
    sim.tool_calls("eastus", get_weather=OSLO)
    assert responses(answered=True, tool_choice=choice) == [("get_weather", OSLO)]


def test_a_stored_call_can_be_streamed_again(sim: Simulator, v1: openai.OpenAI, http: httpx.Client) -> None:
    sim.tool_calls("eastus", get_weather=OSLO)
    tools: Any = [FUNCTION]
    made = v1.responses.create(model="gpt-4o", input="How is the weather?", tools=tools)
    again = http.get(f"/openai/v1/responses/{made.id}", params={"stream": "true"})
    deltas = [
        json.loads(line.removeprefix("data: "))["delta"]
        for line in again.text.splitlines()
        if line.startswith("data: ") and '"delta"' in line
    ]
    assert json.loads("".join(deltas)) == OSLO


def test_a_result_that_continues_a_stored_call_is_answered_in_text(sim: Simulator, v1: openai.OpenAI) -> None:
    sim.tool_calls("eastus", get_weather=OSLO)
    tools: Any = [FUNCTION]
    made: Any = v1.responses.create(model="gpt-4o", input="How is the weather?", tools=tools)
    output: Any = [{"type": "function_call_output", "call_id": made.output[0].call_id, "output": "rain"}]
    after = v1.responses.create(model="gpt-4o", input=output, tools=tools, previous_response_id=made.id)
    assert [item.type for item in after.output] == ["message"]
