"""The official client for Python: `OpenAI` (v1 surface) and `AzureOpenAI` (deployments), sync and async."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from e2e.simulator import Simulator
from tests.behaviour.conftest import CLIENT_KEY
from tests.clients.conftest import OpenGateway

API_VERSION = "2025-04-01-preview"
MESSAGES: Any = [{"role": "user", "content": "Hello"}]
USER_ITEM: Any = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "hello there"}],
}
MAKERS: dict[str, Callable[[str], Any]] = {
    "OpenAI": lambda url: openai.OpenAI(base_url=f"{url}/openai/v1", api_key=CLIENT_KEY),
    "AsyncOpenAI": lambda url: openai.AsyncOpenAI(base_url=f"{url}/openai/v1", api_key=CLIENT_KEY),
    "AzureOpenAI": lambda url: openai.AzureOpenAI(
        azure_endpoint=url, api_key=CLIENT_KEY, api_version=API_VERSION
    ),
    "AsyncAzureOpenAI": lambda url: openai.AsyncAzureOpenAI(
        azure_endpoint=url, api_key=CLIENT_KEY, api_version=API_VERSION
    ),
}


class Client:
    """A client, sync or async; `run` and `items` hide the difference."""

    def __init__(self, api: Any, runner: asyncio.Runner) -> None:
        self.api = api
        self._runner = runner

    def run(self, result: Any) -> Any:
        """The result of a call."""

        async def wait() -> Any:
            return await result

        return self._runner.run(wait()) if inspect.isawaitable(result) else result

    def items(self, call: Any) -> list[Any]:
        """All items of a streaming call."""
        stream = self.run(call)
        if not hasattr(stream, "__aiter__"):
            return list(stream)

        async def collect() -> list[Any]:
            return [item async for item in stream]

        return list(self._runner.run(collect()))


OpenClient = Callable[[str], Client]


@pytest.fixture(params=MAKERS)
def open_client(request: pytest.FixtureRequest) -> Iterator[OpenClient]:
    with asyncio.Runner() as runner:
        opened: list[Client] = []

        def make(url: str) -> Client:
            opened.append(Client(MAKERS[request.param](url), runner))
            return opened[-1]

        yield make
        for client in opened:
            client.run(client.api.close())


@pytest.fixture
def client(open_client: OpenClient, gateway: str) -> Client:
    return open_client(gateway)


def region_of(text: str) -> str:
    """Which simulated region generated an answer."""
    return text.split("/", 1)[0]


def test_chat(client: Client) -> None:
    answer = client.run(client.api.chat.completions.create(model="gpt-4o", messages=MESSAGES))
    assert (answer.choices[0].finish_reason, answer.usage.total_tokens > 0) == ("stop", True)


def test_chat_streams(client: Client) -> None:
    chunks = client.items(client.api.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert (text.count("Hello"), chunks[-1].choices[0].finish_reason) == (1, "stop")


def test_chat_streams_its_usage_on_demand(client: Client) -> None:
    chunks = client.items(
        client.api.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].usage.completion_tokens > 0


def test_responses(client: Client) -> None:
    response = client.run(client.api.responses.create(model="gpt-4o", input="Hello"))
    assert (response.status, "Hello" in response.output_text) == ("completed", True)


def test_responses_stream(client: Client) -> None:
    events = client.items(client.api.responses.create(model="gpt-4o", input="Hello", stream=True))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")


@pytest.mark.parametrize("stream", [False, True])
def test_responses_continue_where_they_began(client: Client, stream: bool) -> None:
    if stream:
        events = client.items(client.api.responses.create(model="gpt-4o", input="Hello", stream=True))
        last = events[-1].response
    else:
        last = client.run(client.api.responses.create(model="gpt-4o", input="Hello"))
    regions = {region_of(last.output_text)}
    for _ in range(3):
        last = client.run(
            client.api.responses.create(model="gpt-4o", input="And?", previous_response_id=last.id)
        )
        regions.add(region_of(last.output_text))
    assert len(regions) == 1


def test_responses_are_retrieved_and_deleted(client: Client) -> None:
    response = client.run(client.api.responses.create(model="gpt-4o", input="Hello"))
    again = client.run(client.api.responses.retrieve(response.id))
    client.run(client.api.responses.delete(response.id))
    assert again.output_text == response.output_text
    with pytest.raises(openai.NotFoundError):
        client.run(client.api.responses.retrieve(response.id))


def test_embeddings(client: Client) -> None:
    answer = client.run(client.api.embeddings.create(model="text-embedding-3-small", input=["a", "b"]))
    assert [len(item.embedding) for item in answer.data] == [1536, 1536]


def test_transcriptions(client: Client, recording: Path) -> None:
    answer = client.run(client.api.audio.transcriptions.create(model="whisper-1", file=recording))
    assert (recording.name in answer.text, str(recording.stat().st_size) in answer.text) == (True, True)


def test_speech(client: Client) -> None:
    answer = client.run(client.api.audio.speech.create(model="tts-1", input="Hello", voice="alloy"))
    assert answer.content[:4] == b"RIFF"


def test_images(client: Client) -> None:
    answer = client.run(client.api.images.generate(model="gpt-image-1", prompt="a gateway"))
    assert answer.data[0].b64_json


def test_files(client: Client) -> None:
    content = b'{"custom_id": "1"}\n' * 1000
    file = client.run(client.api.files.create(file=("batch.jsonl", content), purpose="batch"))
    listed = client.items(client.api.files.list())
    stored = client.run(client.api.files.content(file.id))
    client.run(client.api.files.delete(file.id))
    assert (stored.content, file.id in [item.id for item in listed]) == (content, True)


def test_models(client: Client) -> None:
    assert client.items(client.api.models.list())


def talk(session: Any) -> str:
    session.conversation.item.create(item=USER_ITEM)
    session.response.create()
    text = ""
    for event in session:
        text += event.delta if event.type.endswith("text.delta") else ""
        if event.type == "response.done":
            break
    return text


@pytest.mark.parametrize("name", ["OpenAI", "AzureOpenAI"])
def test_realtime(gateway: str, name: str) -> None:
    with MAKERS[name](gateway) as api, api.realtime.connect(model="gpt-realtime") as session:
        assert "hello there" in talk(session)


async def talk_async(session: Any) -> str:
    await session.conversation.item.create(item=USER_ITEM)
    await session.response.create()
    text = ""
    async for event in session:
        text += event.delta if event.type.endswith("text.delta") else ""
        if event.type == "response.done":
            break
    return text


@pytest.mark.parametrize("name", ["AsyncOpenAI", "AsyncAzureOpenAI"])
def test_realtime_async(gateway: str, name: str) -> None:
    async def visit() -> str:
        async with MAKERS[name](gateway) as api, api.realtime.connect(model="gpt-realtime") as session:
            return await talk_async(session)

    assert "hello there" in asyncio.run(visit())


def test_a_wrong_key_raises_an_authentication_error(gateway: str) -> None:
    api = openai.OpenAI(base_url=f"{gateway}/openai/v1", api_key="nobodys-key-0000000")
    with api, pytest.raises(openai.AuthenticationError) as caught:
        api.models.list()
    assert caught.value.code == "401"


def test_an_unknown_deployment_raises_not_found(open_client: OpenClient, own_gateway: OpenGateway) -> None:
    client = open_client(
        own_gateway(AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o", AZURE_OPENAI_DEPLOYMENTS_1="gpt-4o")
    )
    with pytest.raises(openai.NotFoundError) as caught:
        client.run(client.api.chat.completions.create(model="nothing", messages=MESSAGES))
    assert caught.value.code == "DeploymentNotFound"


def test_retries_outlast_a_throttled_pool(
    open_client: OpenClient, own_gateway: OpenGateway, sim: Simulator
) -> None:
    for region in ("eastus", "westus"):
        sim.fail(region, status=429, retry_after=1, count=1)
    client = open_client(own_gateway())
    answer = client.run(client.api.chat.completions.create(model="gpt-4o", messages=MESSAGES))
    assert answer.choices[0].message.content


def test_a_throttled_pool_raises_a_rate_limit_error(own_gateway: OpenGateway, sim: Simulator) -> None:
    for region in ("eastus", "westus"):
        sim.fail(region, status=429, retry_after=30)
    api = openai.OpenAI(base_url=f"{own_gateway()}/openai/v1", api_key=CLIENT_KEY, max_retries=0)
    with api, pytest.raises(openai.RateLimitError) as caught:
        api.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert 25 < int(caught.value.response.headers["retry-after"]) <= 30


def test_a_stream_that_breaks_raises_and_is_not_taken_for_complete(
    open_client: OpenClient, own_gateway: OpenGateway, sim: Simulator
) -> None:
    for region in ("eastus", "westus"):
        sim.fail(region, cut=8)
    client = open_client(own_gateway())
    with pytest.raises(openai.APIError):
        client.items(client.api.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
