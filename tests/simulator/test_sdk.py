"""The official client understands the simulator."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import openai
import pytest

from e2e.simulator import Simulator
from tests.simulator.conftest import API_VERSION, CHAT

MESSAGES: Any = CHAT["messages"]
Client = openai.OpenAI


@pytest.fixture(params=["azure", "v1"])
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.getfixturevalue(request.param)
    return found


def test_chat_completion_names_its_region_and_counts_its_tokens(client: Client) -> None:
    completion = client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert (completion.choices[0].message.content or "").startswith("eastus/gpt-4o#1: hello there")
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 16


def test_every_answer_is_unique(client: Client) -> None:
    answers = [client.chat.completions.create(model="gpt-4o", messages=MESSAGES) for _ in range(3)]
    assert len({answer.choices[0].message.content for answer in answers}) == 3
    assert len({answer.id for answer in answers}) == 3


def test_streamed_chat_gives_one_delta_for_each_token(client: Client) -> None:
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
    deltas = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert sum(bool(delta) for delta in deltas) == 16
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_streamed_chat_reports_usage_when_asked(client: Client) -> None:
    chunks = list(
        client.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 16


def test_max_tokens_cuts_the_answer(client: Client) -> None:
    completion = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=4)
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 4


def test_forced_tool_is_called(client: Client) -> None:
    tools: Any = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
    completion = client.chat.completions.create(
        model="gpt-4o", messages=MESSAGES, tools=tools, tool_choice="required"
    )
    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.name == "look_up"


def test_text_completion(client: Client) -> None:
    completion = client.completions.create(model="gpt-35-turbo-instruct", prompt="once upon a time")
    assert completion.choices[0].text.startswith("eastus/gpt-35-turbo-instruct#1: once upon a time")


def test_streamed_text_completion(client: Client) -> None:
    chunks = client.completions.create(model="instruct", prompt="once", stream=True)
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert text.startswith("eastus/instruct#1: once")


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_depend_on_the_input_alone(client: Client, encoding: Any) -> None:
    answer = client.embeddings.create(
        model="text-embedding-3-small", input=["a", "b", "a"], encoding_format=encoding
    )
    first, second, third = (item.embedding for item in answer.data)
    assert first == third
    assert first != second


def test_embeddings_have_the_wanted_dimensions(client: Client) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input="a", dimensions=256)
    assert len(answer.data[0].embedding) == 256


def test_response(client: Client) -> None:
    response = client.responses.create(model="gpt-4o", input="hello")
    assert response.output_text.startswith("eastus/gpt-4o#1: hello")
    assert response.usage is not None
    assert response.usage.output_tokens == 16


def test_streamed_response_goes_from_created_to_completed(client: Client) -> None:
    events = list(client.responses.create(model="gpt-4o", input="hello", stream=True))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds.count("response.output_text.delta") == 16
    assert kinds[-1] == "response.completed"


def test_stream_helper_puts_the_response_together(client: Client) -> None:
    with client.responses.stream(model="gpt-4o", input="hello") as stream:
        final = stream.get_final_response()
    assert final.output_text.startswith("eastus/gpt-4o#1: hello")


def test_models(client: Client) -> None:
    assert "gpt-4o" in [model.id for model in client.models.list()]
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"


def test_image(client: Client) -> None:
    images = client.images.generate(model="gpt-image-1", prompt="a lighthouse").data
    assert images is not None
    assert base64.b64decode(images[0].b64_json or "").startswith(b"\x89PNG")


def test_image_edit(client: Client) -> None:
    images = client.images.edit(model="gpt-image-1", prompt="more light", image=("a.png", b"png")).data
    assert images is not None
    assert "more light" in (images[0].revised_prompt or "")


def test_speech_is_a_wav_file(client: Client) -> None:
    audio = client.audio.speech.create(model="tts", voice="alloy", input="hello there")
    assert audio.read().startswith(b"RIFF")


@pytest.mark.parametrize("task", ["transcriptions", "translations"])
def test_transcription_proves_that_the_whole_upload_arrived(client: Client, task: str) -> None:
    content = bytes(range(256)) * 40
    answer = getattr(client.audio, task).create(model="whisper", file=("a.wav", content))
    assert f"heard {len(content)} bytes of a.wav" in answer.text


def test_rate_limit_is_raised_with_its_hint(sim: Simulator, client: Client) -> None:
    sim.fail("eastus", status=429, retry_after=7, retry_after_ms=6500)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.response.headers["retry-after-ms"] == "6500"


def test_wrong_key_is_an_authentication_error(client: Client) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").chat.completions.create(model="gpt-4o", messages=MESSAGES)


@pytest.mark.parametrize("after", [0, 3])
def test_error_in_a_chat_stream_is_raised(sim: Simulator, client: Client, after: int) -> None:
    sim.fail("eastus", stream_error="auto", after=after)
    texts = []
    with pytest.raises(openai.APIError, match="rate limit"):  # noqa: PT012 - the loop is what raises
        for chunk in client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True):
            texts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    assert len(texts) == after


def test_failed_response_stream_is_told(sim: Simulator, client: Client) -> None:
    sim.fail("eastus", stream_error="response_failed", code="server_error", message="broken")
    events = list(client.responses.create(model="gpt-4o", input="hello", stream=True))
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "server_error"


def _async_azure(sim: Simulator) -> openai.AsyncOpenAI:
    return openai.AsyncAzureOpenAI(
        azure_endpoint=sim.endpoint("eastus"), api_key="key-east", api_version=API_VERSION, max_retries=0
    )


def _async_v1(sim: Simulator) -> openai.AsyncOpenAI:
    base_url = sim.endpoint("eastus") + "/openai/v1/"
    return openai.AsyncOpenAI(base_url=base_url, api_key="key-east", max_retries=0)


@pytest.mark.parametrize("make", [_async_azure, _async_v1])
def test_async_clients_stream_concurrently(
    sim: Simulator, make: Callable[[Simulator], openai.AsyncOpenAI]
) -> None:
    async def one(client: openai.AsyncOpenAI) -> str:
        stream = await client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
        return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

    async def many() -> list[str]:
        async with make(sim) as client:
            return await asyncio.gather(*(one(client) for _ in range(8)))

    assert len(set(asyncio.run(many()))) == 8


@pytest.mark.parametrize("make", [_async_azure, _async_v1])
def test_async_clients_read_responses(
    sim: Simulator, make: Callable[[Simulator], openai.AsyncOpenAI]
) -> None:
    async def ask() -> str:
        async with make(sim) as client:
            return (await client.responses.create(model="gpt-4o", input="hello")).output_text

    assert asyncio.run(ask()).startswith("eastus/gpt-4o#1: hello")
