# /// script
# requires-python = ">=3.11"
# dependencies = ["semantic-kernel==1.45.0"]
# ///
"""Semantic Kernel's service for Azure OpenAI, which takes HTTPS only; prints what it got as JSON.

The environment holds AZURE_OPENAI_ENDPOINT; the key comes on standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys

from semantic_kernel import Kernel
from semantic_kernel.connectors.ai import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import AzureChatCompletion, AzureChatPromptExecutionSettings
from semantic_kernel.contents import ChatHistory
from semantic_kernel.functions import kernel_function


class Weather:
    """A plugin with one function, which notes that it was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    @kernel_function
    def get_weather(self, text: str) -> str:
        """Tell the weather."""
        self.calls.append(text)
        return "sunny with light winds"


async def main() -> None:
    """One answer at once, one in pieces, and one after the model has called a function."""
    service = AzureChatCompletion(deployment_name="gpt-4o", api_key=sys.stdin.read().strip())
    history = ChatHistory()
    history.add_user_message("What is the weather?")
    plain = AzureChatPromptExecutionSettings()
    answer = await service.get_chat_message_content(history, plain)
    pieces = [str(piece) async for piece in service.get_streaming_chat_message_content(history, plain)]

    kernel, weather = Kernel(), Weather()
    kernel.add_plugin(weather, "weather")
    forced = AzureChatPromptExecutionSettings(
        function_choice_behavior=FunctionChoiceBehavior.Required(auto_invoke=True)
    )
    after_call = await service.get_chat_message_content(history, forced, kernel=kernel)
    seen = {"answer": str(answer), "pieces": pieces, "calls": weather.calls, "after_call": str(after_call)}
    print(json.dumps(seen))


asyncio.run(main())
