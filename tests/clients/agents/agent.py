# /// script
# requires-python = ">=3.11"
# dependencies = ["openai-agents==0.24.0"]
# ///
"""Agents of the OpenAI Agents SDK, configured with base URL and key alone; prints what they did as JSON.

A script of its own, since the SDK and the simulator need different versions of ``websockets``. The
environment holds OPENAI_BASE_URL; the key comes on standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys

from agents import (
    Agent,
    ModelSettings,
    Runner,
    function_tool,
    set_default_openai_api,
    set_default_openai_key,
    set_tracing_disabled,
)

weather_calls: list[str] = []


@function_tool
def get_weather(text: str) -> str:
    """Tell the weather."""
    weather_calls.append(text)
    return "sunny with light winds"


async def streamed(agent: Agent) -> dict[str, object]:
    """Run an agent to its end, counting the text that arrives in pieces."""
    run = Runner.run_streamed(agent, "What is the weather?")
    pieces, items = 0, []
    async for event in run.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            pieces += 1
        if event.type == "run_item_stream_event":
            items.append(event.item.type)
    return {"pieces": pieces, "items": items, "output": run.final_output}


async def main() -> None:
    """One agent that must call its tool, over chat completions; one that only talks, over responses."""
    set_default_openai_key(sys.stdin.read().strip(), use_for_tracing=False)
    set_tracing_disabled(True)
    set_default_openai_api("chat_completions")
    forced = ModelSettings(tool_choice="get_weather")
    with_tool = await streamed(
        Agent(name="weather", model="gpt-4o", tools=[get_weather], model_settings=forced)
    )
    set_default_openai_api("responses")
    talking = await streamed(Agent(name="talker", model="gpt-4o"))
    print(json.dumps({"with_tool": with_tool, "talking": talking, "calls": weather_calls}))


asyncio.run(main())
