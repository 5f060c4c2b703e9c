"""Responses, conversations, files, vector stores and batches are kept per region."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from e2e.simulator import Simulator


@pytest.fixture
def elsewhere(sim: Simulator) -> openai.OpenAI:
    """The other region."""
    return openai.OpenAI(base_url=sim.endpoint("westus") + "/openai/v1/", api_key="key-west", max_retries=0)


def test_response_can_be_read_again(v1: openai.OpenAI) -> None:
    created = v1.responses.create(model="gpt-4o", input="hello")
    assert v1.responses.retrieve(created.id).output_text == created.output_text


def test_streamed_response_can_be_read_again(v1: openai.OpenAI) -> None:
    last = list(v1.responses.create(model="gpt-4o", input="hello", stream=True))[-1]
    assert last.type == "response.completed"
    assert v1.responses.retrieve(last.response.id).output_text == last.response.output_text


def test_response_can_be_streamed_again(v1: openai.OpenAI) -> None:
    created = v1.responses.create(model="gpt-4o", input="hello")
    events = v1.responses.retrieve(created.id, stream=True)
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == created.output_text


def test_response_is_unknown_elsewhere(v1: openai.OpenAI, elsewhere: openai.OpenAI) -> None:
    created = v1.responses.create(model="gpt-4o", input="hello")
    with pytest.raises(openai.NotFoundError):
        elsewhere.responses.retrieve(created.id)


def test_previous_response_gives_context(v1: openai.OpenAI) -> None:
    first = v1.responses.create(model="gpt-4o", input="hello")
    second = v1.responses.create(model="gpt-4o", input="more", previous_response_id=first.id)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens


def test_unknown_previous_response_is_refused(v1: openai.OpenAI, elsewhere: openai.OpenAI) -> None:
    first = v1.responses.create(model="gpt-4o", input="hello")
    with pytest.raises(openai.BadRequestError) as caught:
        elsewhere.responses.create(model="gpt-4o", input="more", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"


def test_deleted_response_is_gone(v1: openai.OpenAI) -> None:
    created = v1.responses.create(model="gpt-4o", input="hello")
    v1.responses.delete(created.id)
    with pytest.raises(openai.NotFoundError):
        v1.responses.retrieve(created.id)


def test_response_that_is_not_stored_cannot_be_read(v1: openai.OpenAI) -> None:
    created = v1.responses.create(model="gpt-4o", input="hello", store=False)
    with pytest.raises(openai.NotFoundError):
        v1.responses.retrieve(created.id)


def test_input_items_include_the_context(v1: openai.OpenAI) -> None:
    first = v1.responses.create(model="gpt-4o", input="one")
    second = v1.responses.create(model="gpt-4o", input="two", previous_response_id=first.id)
    items = list(v1.responses.input_items.list(second.id, order="asc"))
    assert len(items) == 3


def test_synchronous_response_cannot_be_cancelled(v1: openai.OpenAI) -> None:
    created = v1.responses.create(model="gpt-4o", input="hello")
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        v1.responses.cancel(created.id)


def test_background_response_is_queued_and_can_be_cancelled(v1: openai.OpenAI) -> None:
    created = v1.responses.create(model="gpt-4o", input="hello", background=True)
    assert created.status == "queued"
    assert v1.responses.cancel(created.id).status == "cancelled"


def test_encrypted_reasoning_is_readable_where_it_was_made(v1: openai.OpenAI) -> None:
    made = v1.responses.create(model="o3", input="think", include=["reasoning.encrypted_content"])
    items: Any = [item.model_dump(exclude_none=True) for item in made.output]
    assert v1.responses.create(model="o3", input=items).status == "completed"


def test_encrypted_reasoning_is_refused_elsewhere(v1: openai.OpenAI, elsewhere: openai.OpenAI) -> None:
    made = v1.responses.create(model="gpt-4o", input="think", include=["reasoning.encrypted_content"])
    items: Any = [item.model_dump(exclude_none=True) for item in made.output]
    with pytest.raises(openai.BadRequestError) as caught:
        elsewhere.responses.create(model="gpt-4o", input=items)
    assert caught.value.code == "invalid_encrypted_content"


def test_compaction(v1: openai.OpenAI) -> None:
    compacted = v1.responses.compact(model="gpt-4o", input="a long talk")
    assert compacted.output[0].type == "compaction"


def test_conversation_collects_items(v1: openai.OpenAI) -> None:
    conversation = v1.conversations.create(metadata={"topic": "test"})
    v1.responses.create(model="gpt-4o", input="one", conversation=conversation.id)
    v1.responses.create(model="gpt-4o", input="two", conversation=conversation.id)
    roles = [
        item.role
        for item in v1.conversations.items.list(conversation.id, order="asc")
        if item.type == "message"
    ]
    assert roles == ["user", "assistant", "user", "assistant"]


def test_conversation_lifecycle(v1: openai.OpenAI) -> None:
    conversation = v1.conversations.create(items=[{"role": "user", "content": "hi", "type": "message"}])
    updated = v1.conversations.update(conversation.id, metadata={"a": "b"})
    assert updated.metadata == {"a": "b"}
    assert v1.conversations.delete(conversation.id).deleted
    with pytest.raises(openai.NotFoundError):
        v1.conversations.retrieve(conversation.id)


def test_conversation_items_lifecycle(v1: openai.OpenAI) -> None:
    conversation = v1.conversations.create()
    added = v1.conversations.items.create(
        conversation.id, items=[{"role": "user", "content": "hi", "type": "message"}]
    )
    item_id = str(added.data[0].id)
    assert v1.conversations.items.retrieve(item_id, conversation_id=conversation.id).id == item_id
    v1.conversations.items.delete(item_id, conversation_id=conversation.id)
    assert list(v1.conversations.items.list(conversation.id)) == []


def test_conversation_is_unknown_elsewhere(v1: openai.OpenAI, elsewhere: openai.OpenAI) -> None:
    conversation = v1.conversations.create()
    with pytest.raises(openai.NotFoundError):
        elsewhere.responses.create(model="gpt-4o", input="hi", conversation=conversation.id)


def test_file_comes_back_byte_for_byte(v1: openai.OpenAI) -> None:
    content = bytes(range(256)) * 4096 + b"\r\n--not-the-boundary\r\n"
    file = v1.files.create(file=("data.bin", content), purpose="assistants")
    assert file.bytes == len(content)
    assert v1.files.content(file.id).read() == content


def test_file_lifecycle(azure: openai.AzureOpenAI) -> None:
    file = azure.files.create(file=("a.txt", b"hello"), purpose="assistants")
    assert [found.id for found in azure.files.list()] == [file.id]
    assert azure.files.retrieve(file.id).filename == "a.txt"
    azure.files.delete(file.id)
    with pytest.raises(openai.NotFoundError):
        azure.files.retrieve(file.id)


def test_file_is_unknown_elsewhere(v1: openai.OpenAI, elsewhere: openai.OpenAI) -> None:
    file = v1.files.create(file=("a.txt", b"hello"), purpose="assistants")
    with pytest.raises(openai.NotFoundError):
        elsewhere.files.retrieve(file.id)


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data", "multipart/form-data; boundary=x"]
)
def test_malformed_upload_is_a_bad_request(http: httpx.Client, content_type: str) -> None:
    answer = http.post("/openai/v1/files", content=b"nonsense", headers={"content-type": content_type})
    assert answer.status_code == 400


def test_vector_store_lifecycle(v1: openai.OpenAI) -> None:
    file = v1.files.create(file=("a.txt", b"hello"), purpose="assistants")
    store = v1.vector_stores.create(name="docs", file_ids=[file.id])
    assert store.file_counts.completed == 1
    assert [found.id for found in v1.vector_stores.files.list(store.id)] == [file.id]
    v1.vector_stores.files.delete(file.id, vector_store_id=store.id)
    assert v1.vector_stores.retrieve(store.id).file_counts.total == 0
    v1.vector_stores.delete(store.id)
    assert list(v1.vector_stores.list()) == []


def test_batch_answers_every_line(v1: openai.OpenAI) -> None:
    lines = [
        {"custom_id": str(n), "method": "POST", "url": "/chat/completions", "body": {"model": "gpt-4o"}}
        for n in range(3)
    ]
    content = "\n".join(json.dumps(line) for line in lines).encode()
    file = v1.files.create(file=("in.jsonl", content), purpose="batch")
    batch = v1.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert batch.status == "validating"
    done = v1.batches.retrieve(batch.id)
    assert done.status == "completed"
    output = v1.files.content(done.output_file_id or "").read().splitlines()
    assert [json.loads(line)["custom_id"] for line in output] == ["0", "1", "2"]


def test_open_batch_can_be_cancelled(v1: openai.OpenAI) -> None:
    file = v1.files.create(file=("in.jsonl", b"{}"), purpose="batch")
    batch = v1.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert v1.batches.cancel(batch.id).status == "cancelled"


def test_batch_with_a_broken_line_fails(v1: openai.OpenAI) -> None:
    file = v1.files.create(file=("in.jsonl", b"{"), purpose="batch")
    batch = v1.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert v1.batches.retrieve(batch.id).status == "failed"


def test_reset_forgets_stored_objects(sim: Simulator, v1: openai.OpenAI) -> None:
    file = v1.files.create(file=("a.txt", b"hello"), purpose="assistants")
    sim.reset()
    with pytest.raises(openai.NotFoundError):
        v1.files.retrieve(file.id)


def test_lists_have_pages(v1: openai.OpenAI) -> None:
    made = [v1.vector_stores.create(name=str(number)).id for number in range(5)]
    page = v1.vector_stores.list(limit=2, after=made[0])
    assert ([store.id for store in page.data], page.has_more) == (made[1:3], True)
    assert [store.id for store in v1.vector_stores.list(limit=2)] == made


def test_a_page_can_end_before_an_object(v1: openai.OpenAI) -> None:
    made = [v1.vector_stores.create(name=str(number)).id for number in range(5)]
    page = v1.vector_stores.list(limit=2, before=made[4])
    assert ([store.id for store in page.data], page.has_more) == (made[2:4], True)


@pytest.mark.parametrize(
    "kind", ["assistants", "threads", "fine_tuning/jobs", "evals", "containers", "videos"]
)
def test_objects_that_do_nothing_have_a_lifecycle(http: httpx.Client, kind: str) -> None:
    made = http.post(f"/openai/v1/{kind}", json={"name": "one"}).json()
    target = f"/openai/v1/{kind}/{made['id']}"
    assert http.post(target, json={"name": "two"}).json()["name"] == "two"
    assert http.get(target).json()["id"] == http.get(f"/openai/v1/{kind}").json()["data"][0]["id"]
    http.delete(target)
    assert http.get(target).status_code == 404


def test_stored_completion_can_be_read_again(v1: openai.OpenAI) -> None:
    made = v1.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "a"}], store=True)
    assert v1.chat.completions.retrieve(made.id).id == made.id
    assert [found.id for found in v1.chat.completions.list()] == [made.id]
