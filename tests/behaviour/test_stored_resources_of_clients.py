"""A9: stored resources belong to the client that made them."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest

from e2e.redis_server import RedisServer, is_installed
from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, CLIENT_KEY, REGIONS, Stage
from tests.behaviour.support import V1_CHAT, V1_RESPONSES, attempts, record_of, records
from tests.engines.raw_server import RawServer
from tests.support.loopback_server import LoopbackServer, Reply, Request

needs_redis = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")

OTHER_KEY = "client-key-of-team-b-0002"
CLIENTS: dict[str, Any] = {"GATEWAY_CLIENT_NAME_1": "team-b", "GATEWAY_CLIENT_KEY_1": OTHER_KEY}
GROUP: dict[str, Any] = {"GATEWAY_CLIENT_GROUP_0": "research", "GATEWAY_CLIENT_GROUP_1": "research"}
V1 = "/openai/v1"
FILES = f"{V1}/files"
BATCHES = f"{V1}/batches"
CONVERSATIONS = f"{V1}/conversations"
VECTOR_STORES = f"{V1}/vector_stores"
ASK: dict[str, Any] = {"model": "gpt-4o", "input": "Hello"}
UPLOAD: dict[str, Any] = {
    "files": {"file": ("in.jsonl", b'{"custom_id": "1", "body": {"model": "gpt-4o"}}')},
    "data": {"purpose": "batch"},
}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@dataclass
class Pair:
    """Two clients of one gateway: the maker of resources, and another one."""

    maker: httpx.Client
    other: httpx.Client


def pair(stage: Stage, gateway: Gateway) -> Pair:
    return Pair(stage.http(gateway), stage.http(gateway, OTHER_KEY))


def a_pair(stage: Stage, **settings: Any) -> Pair:
    """Two clients of a gateway with one backend."""
    gateway = (
        stage.gateway(["eastus"], **CLIENTS, **settings) if settings else stage.shared_gateway(**CLIENTS)
    )
    return pair(stage, gateway)


def made(answer: httpx.Response) -> str:
    """The id of what was made."""
    assert answer.status_code < 300, answer.text
    return str(answer.json()["id"])


def upload(client: httpx.Client) -> str:
    return made(client.post(FILES, **UPLOAD))


def respond(client: httpx.Client, **members: Any) -> httpx.Response:
    return client.post(V1_RESPONSES, json=ASK | members)


# The path of a resource and what makes one there.
KINDS: dict[str, Callable[[httpx.Client], str]] = {
    "responses": lambda client: made(respond(client)),
    "conversations": lambda client: made(client.post(CONVERSATIONS, json={})),
    "files": upload,
    "batches": lambda client: made(
        client.post(BATCHES, json={"input_file_id": upload(client), "endpoint": "/v1/chat/completions"})
    ),
    "vector_stores": lambda client: made(client.post(VECTOR_STORES, json={})),
    "chat/completions": lambda client: made(client.post(V1_CHAT, json=CHAT | {"store": True})),
    **{
        kind: lambda client, kind=kind: made(client.post(f"{V1}/{kind}", json={}))  # type: ignore[misc]
        for kind in ("assistants", "threads", "uploads", "fine_tuning/jobs", "evals", "containers", "videos")
    },
}
LISTED = [kind for kind in KINDS if kind not in ("responses", "conversations", "threads", "uploads")]


@pytest.mark.parametrize("kind", KINDS)
def test_a9_what_another_client_made_is_not_found(stage: Stage, sim: Simulator, kind: str) -> None:
    clients = a_pair(stage)
    target = f"{V1}/{kind}/{KINDS[kind](clients.maker)}"
    asked = len(sim.requests("eastus"))
    answers = [clients.other.request(method, target) for method in ("GET", "DELETE", "HEAD")]
    answers.append(clients.other.post(target, json={"metadata": {"a": "b"}}))
    assert {answer.status_code for answer in answers} == {404}
    assert len(sim.requests("eastus")) == asked
    assert clients.maker.get(target).status_code == 200


def test_a9_the_answer_has_the_form_of_a_backends_own(stage: Stage) -> None:
    clients = a_pair(stage)
    error = clients.other.get(f"{FILES}/{upload(clients.maker)}").json()["error"]
    unknown = clients.maker.get(f"{FILES}/file-unknown").json()["error"]
    assert (set(error), error["type"], error["code"]) == (set(unknown), unknown["type"], unknown["code"])


def test_a9_the_record_says_that_the_gateway_refused_it(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **CLIENTS)
    clients = pair(stage, gateway)
    clients.other.get(f"{FILES}/{upload(clients.maker)}")
    record = records(gateway, 2)[1]
    assert (record["outcome"], record["error"], record["attempts"]) == ("refused", "resource_not_found", [])


@pytest.mark.parametrize(
    ("method", "below"),
    [
        ("POST", "/cancel"),
        ("GET", "/input_items"),
        ("GET", "?stream=true"),
    ],
)
def test_a9_nothing_below_a_response_of_another_client_is_found(
    stage: Stage, method: str, below: str
) -> None:
    clients = pair(stage, stage.gateway(["eastus"], **CLIENTS))
    created = made(respond(clients.maker, background=True))
    assert clients.other.request(method, f"{V1_RESPONSES}/{created}{below}").status_code == 404


def test_a9_a_response_of_another_client_cannot_be_continued(stage: Stage, sim: Simulator) -> None:
    clients = a_pair(stage)
    created = made(respond(clients.maker))
    answer = respond(clients.other, previous_response_id=created)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "previous_response_not_found")
    assert len(sim.requests("eastus")) == 1


def refer(kind: str, target: str, body: Callable[[str], dict[str, Any]], name: str) -> Any:
    return pytest.param(kind, target, body, id=name)


def message(**part: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "input": [{"role": "user", "content": [part]}]}


def tools(**tool: Any) -> dict[str, Any]:
    return ASK | {"tools": [tool]}


REFERENCES = [
    refer("conversations", V1_RESPONSES, lambda id: ASK | {"conversation": id}, "conversation"),
    refer("conversations", V1_RESPONSES, lambda id: ASK | {"conversation": {"id": id}}, "object"),
    refer("files", V1_RESPONSES, lambda id: message(type="input_file", file_id=id), "input file"),
    refer("files", V1_RESPONSES, lambda id: message(type="input_image", file_id=id), "input image"),
    refer(
        "files",
        V1_RESPONSES,
        lambda id: tools(type="code_interpreter", container={"type": "auto", "file_ids": [id]}),
        "files of a container",
    ),
    refer(
        "containers",
        V1_RESPONSES,
        lambda id: tools(type="code_interpreter", container=id),
        "container",
    ),
    refer(
        "vector_stores",
        V1_RESPONSES,
        lambda id: tools(type="file_search", vector_store_ids=[id]),
        "vector store",
    ),
    refer(
        "files",
        V1_CHAT,
        lambda id: {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": id}}]}],
        },
        "chat",
    ),
    refer("files", BATCHES, lambda id: {"input_file_id": id, "endpoint": "/v1/responses"}, "batch"),
    refer("files", VECTOR_STORES, lambda id: {"file_ids": [id]}, "files of a vector store"),
    refer("files", f"{V1}/fine_tuning/jobs", lambda id: {"model": "gpt-4o", "training_file": id}, "training"),
    refer(
        "files",
        f"{V1}/fine_tuning/jobs",
        lambda id: {"model": "gpt-4o", "training_file": "file-a", "validation_file": id},
        "validation",
    ),
    refer("assistants", f"{V1}/threads/runs", lambda id: {"assistant_id": id}, "assistant"),
    refer(
        "files",
        f"{V1}/threads",
        lambda id: {"messages": [{"role": "user", "content": "a", "attachments": [{"file_id": id}]}]},
        "attachment",
    ),
    refer(
        "vector_stores",
        f"{V1}/assistants",
        lambda id: {"model": "gpt-4o", "tool_resources": {"file_search": {"vector_store_ids": [id]}}},
        "tool resources",
    ),
    refer(
        "files",
        f"{V1}/evals",
        lambda id: {"data_source": {"type": "jsonl", "source": {"type": "file_id", "id": id}}},
        "data of an eval",
    ),
    refer(
        "files",
        CONVERSATIONS,
        lambda id: {"items": [{"role": "user", "content": [{"type": "input_file", "file_id": id}]}]},
        "items of a conversation",
    ),
    refer("conversations", V1_RESPONSES, lambda id: ASK | {"Conversation": {"Id": id}}, "another case"),
    refer("files", V1_RESPONSES, lambda id: message(type="input_file", File_ID=id), "another case below"),
    refer(
        "conversations",
        V1_RESPONSES,
        lambda id: {"model": "gpt-4o", "input": [{"Type": "Item_Reference", "ID": id}]},
        "a type in another case",
    ),
    refer(
        "conversations",
        V1_RESPONSES,
        lambda id: {"model": "gpt-4o", "input": [{"type": None, "id": id}]},
        "an item without a type",
    ),
    refer(
        "containers",
        V1_RESPONSES,
        lambda id: tools(type="shell", environment={"type": "container_reference", "container_id": id}),
        "container of a shell",
    ),
    refer("videos", f"{V1}/videos/edits", lambda id: {"model": "sora-2", "video": {"id": id}}, "video"),
    refer("threads", V1_RESPONSES, lambda id: ASK | {"thread_id": id}, "a member named like an id"),
    refer("threads", V1_RESPONSES, lambda id: tools(type="new", Thread_Ids=[id]), "a list of them"),
]


@pytest.mark.parametrize(("kind", "target", "body"), REFERENCES)
def test_a9_a_request_cannot_refer_to_what_another_client_made(
    stage: Stage, sim: Simulator, kind: str, target: str, body: Callable[[str], dict[str, Any]]
) -> None:
    clients = a_pair(stage)
    created = KINDS[kind](clients.maker)
    asked = len(sim.requests("eastus"))
    assert clients.other.post(target, json=body(created)).status_code == 404
    assert len(sim.requests("eastus")) == asked


def test_a9_a_resource_of_ones_own_leads_nobody_to_another_clients(stage: Stage) -> None:
    clients = a_pair(stage)
    file = upload(clients.maker)
    store = made(clients.other.post(VECTOR_STORES, json={}))
    target = f"{VECTOR_STORES}/{store}/files"
    answers = [
        clients.other.post(target, json={"file_id": file}),
        clients.other.get(f"{target}/{file}"),
        clients.other.delete(f"{target}/{file}"),
        clients.other.post(f"{VECTOR_STORES}/{store}/file_batches", json={"file_ids": [file]}),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4


def test_a9_items_cannot_be_added_to_a_conversation_of_another_client(stage: Stage) -> None:
    clients = a_pair(stage)
    created = KINDS["conversations"](clients.maker)
    body = {"items": [{"role": "user", "content": "Now do as I say"}]}
    target = f"{CONVERSATIONS}/{created}/items"
    assert clients.other.post(target, json=body).status_code == 404
    assert clients.maker.get(target).json()["data"] == []


SPELLINGS: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "percent-encoded": lambda id: "".join(f"%{ord(character):02x}" for character in id),
    "partly encoded": lambda id: id.replace("i", "%69"),
    "with a space": lambda id: f"{id}%20",
    "with a parameter": lambda id: f"{id};",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a9_no_spelling_of_an_id_leads_to_another_clients_resource(
    stage: Stage, sim: Simulator, spelling: str
) -> None:
    clients = a_pair(stage)
    created = upload(clients.maker)
    assert clients.other.get(f"{FILES}/{SPELLINGS[spelling](created)}").status_code == 404
    assert len(sim.requests("eastus")) == 1


@pytest.mark.parametrize(
    "collection", ["files%20", "files;a=b", "files%09", "%20files", "files%2C", "files~"]
)
def test_a9_no_spelling_of_a_collection_does(stage: Stage, sim: Simulator, collection: str) -> None:
    clients = a_pair(stage)
    created = upload(clients.maker)
    answers = [clients.other.get(f"{V1}/{collection}/{created}"), clients.other.get(f"{V1}/{collection}")]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert len(sim.requests("eastus")) == 1


@pytest.mark.parametrize("spelling", [str.upper, lambda id: f" {id} ", lambda id: f"{id}\u0000"])
def test_a9_no_spelling_in_a_body_does(stage: Stage, sim: Simulator, spelling: Callable[[str], str]) -> None:
    clients = a_pair(stage)
    created = made(respond(clients.maker))
    assert respond(clients.other, previous_response_id=spelling(created)).status_code == 400
    assert len(sim.requests("eastus")) == 1


def test_a9_no_argument_of_a_query_does(stage: Stage) -> None:
    clients = a_pair(stage)
    thread = KINDS["threads"](clients.maker)
    own = KINDS["threads"](clients.other)
    target = f"{V1}/threads/{own}/messages"
    assert clients.other.get(target, params={"thread_id": thread}).status_code == 404


@pytest.mark.parametrize("kind", LISTED)
def test_a9_a_list_shows_what_is_ones_own(stage: Stage, kind: str) -> None:
    clients = a_pair(stage)
    theirs, own = KINDS[kind](clients.maker), KINDS[kind](clients.other)
    shown = [client.get(f"{V1}/{kind}").json()["data"] for client in (clients.maker, clients.other)]
    ids = [{item["id"] for item in items} for items in shown]
    assert (theirs in ids[0], own in ids[0], theirs in ids[1], own in ids[1]) == (True, False, False, True)


def test_a9_what_nobody_is_known_to_own_is_listed(stage: Stage, sim: Simulator) -> None:
    store = made(stage.http(stage.shared_gateway()).post(VECTOR_STORES, json={}))
    clients = a_pair(stage)
    shown = clients.other.get(VECTOR_STORES).json()["data"]
    assert [item["id"] for item in shown] == [store]


def test_a9_a_list_that_shows_all_is_passed_on_byte_for_byte(stage: Stage) -> None:
    items = b'{ "data" : [ {"id":"vs_1", "n": 12345678901234567890} ], "has_more":false }'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(items)
    with RawServer([(head, items)]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        assert client.get(VECTOR_STORES).content == items


def stores(client: httpx.Client, count: int) -> list[str]:
    return [made(client.post(VECTOR_STORES, json={})) for _ in range(count)]


def test_a9_a_page_leads_on_from_what_it_shows(stage: Stage) -> None:
    clients = a_pair(stage)
    theirs = stores(clients.maker, 1)
    own = stores(clients.other, 2)
    stores(clients.maker, 2)
    page = clients.other.get(VECTOR_STORES, params={"limit": 4}).json()
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (own, True)
    assert (page["first_id"], page["last_id"]) == (own[0], own[1])
    assert theirs[0] not in json.dumps(page)


def test_a9_the_official_client_pages_over_what_it_may_not_see(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **CLIENTS)
    clients = pair(stage, gateway)
    own = stores(clients.other, 1)
    stores(clients.maker, 6)
    own += stores(clients.other, 3)
    stores(clients.maker, 3)
    own += stores(clients.other, 1)
    stores(clients.maker, 2)
    sdk = stage.openai(gateway, api_key=OTHER_KEY)
    for limit in (1, 2, 5, 100):
        assert [store.id for store in sdk.vector_stores.list(limit=limit)] == own


def test_a9_paging_back_works_likewise(stage: Stage) -> None:
    clients = a_pair(stage)
    own = stores(clients.other, 3)
    stores(clients.maker, 4)
    last = stores(clients.other, 1)[0]
    page = clients.other.get(VECTOR_STORES, params={"limit": 2, "before": last}).json()
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (own[1:], True)


def test_a9_a_list_of_nothing_ends(stage: Stage) -> None:
    clients = a_pair(stage)
    stores(clients.maker, 5)
    page = clients.other.get(VECTOR_STORES, params={"limit": 2}).json()
    assert (page["data"], page["first_id"], page["last_id"], page["has_more"]) == ([], None, None, False)


def test_a9_a_page_that_cannot_be_fetched_ends_no_list(stage: Stage, sim: Simulator) -> None:
    clients = pair(stage, stage.gateway(["eastus"], **CLIENTS))
    stores(clients.maker, 3)
    sim.fail("eastus", slow_first_byte=0.001, count=1)
    sim.fail("eastus", status=500)
    page = clients.other.get(VECTOR_STORES, params={"limit": 1}).json()
    assert (page["data"], page["has_more"], page["last_id"] is None) == ([], True, False)


def test_a9_a_list_can_begin_behind_another_clients_resource(stage: Stage) -> None:
    clients = a_pair(stage)
    [theirs], own = stores(clients.maker, 1), stores(clients.other, 1)
    page = clients.other.get(VECTOR_STORES, params={"after": theirs}).json()
    assert [item["id"] for item in page["data"]] == own


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 11\r\n\r\n{'data': []}",
        b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n[{"id":"vs_1"}]',
        b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"data":[',
    ],
    ids=["too large", "no JSON", "of another form", "broken"],
)
def test_a9_a_list_that_cannot_be_read_is_not_shown(stage: Stage, answer: bytes) -> None:
    with RawServer([(answer,)]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        assert client.get(VECTOR_STORES).status_code == 502


def test_a9_an_answer_about_another_id_than_the_asked_one_is_not_shown(stage: Stage) -> None:
    body = b'{"id":"vs_of_team_a"}'
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    with RawServer([(answer, body)] * 3) as backend:
        clients = a_pair(stage, AZURE_OPENAI_ENDPOINT_0=backend.url)
        made(clients.maker.post(VECTOR_STORES, json={}))
        assert clients.other.get(f"{VECTOR_STORES}/vs_alias").status_code == 404
        assert clients.maker.get(f"{VECTOR_STORES}/vs_alias").status_code == 200


def test_a9_who_made_an_id_first_keeps_it(stage: Stage) -> None:
    body = b'{"id":"vs_twice"}'
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    with RawServer([(answer, body)] * 4) as backend:
        clients = a_pair(stage, AZURE_OPENAI_ENDPOINT_0=backend.url)
        made(clients.maker.post(VECTOR_STORES, json={}))
        made(clients.other.post(VECTOR_STORES, json={}))
        answers = [client.get(f"{VECTOR_STORES}/vs_twice") for client in (clients.maker, clients.other)]
    assert [answer.status_code for answer in answers] == [200, 404]


def test_a9_a_streamed_response_is_its_makers(stage: Stage) -> None:
    clients = a_pair(stage)
    events = respond(clients.maker, stream=True).text
    created = json.loads(events.split("data: ", 1)[1].split("\n", 1)[0])["response"]["id"]
    answers = [client.get(f"{V1_RESPONSES}/{created}") for client in (clients.maker, clients.other)]
    assert [answer.status_code for answer in answers] == [200, 404]


def test_a9_a_streamed_completion_is_its_makers(stage: Stage) -> None:
    clients = a_pair(stage)
    clients.maker.post(V1_CHAT, json=CHAT | {"store": True, "stream": True})
    shown = [client.get(V1_CHAT).json()["data"] for client in (clients.maker, clients.other)]
    assert [len(items) for items in shown] == [1, 0]


def test_a9_the_output_of_a_batch_is_its_makers(stage: Stage) -> None:
    clients = a_pair(stage)
    batch = KINDS["batches"](clients.maker)
    output = clients.maker.get(f"{BATCHES}/{batch}").json()["output_file_id"]
    answers = [client.get(f"{FILES}/{output}/content") for client in (clients.maker, clients.other)]
    assert [answer.status_code for answer in answers] == [200, 404]


def test_a9_nobody_finds_the_output_of_a_batch_before_its_maker_does(stage: Stage, sim: Simulator) -> None:
    clients = a_pair(stage)
    batch = KINDS["batches"](clients.maker)
    # Completes the batch, as Azure does after a while, without the gateway.
    direct = stage.http(stage.shared_gateway())
    output = direct.get(f"{BATCHES}/{batch}").json()["output_file_id"]
    assert output not in clients.other.get(FILES).text


def test_a9_the_thread_of_a_run_is_its_makers(stage: Stage) -> None:
    clients = pair(stage, stage.gateway(["eastus"], **CLIENTS))
    body = {"assistant_id": KINDS["assistants"](clients.maker)}
    thread = clients.maker.post(f"{V1}/threads/runs", json=body).json()["thread_id"]
    answers = [client.get(f"{V1}/threads/{thread}") for client in (clients.maker, clients.other)]
    assert [answer.status_code for answer in answers] == [200, 404]


def test_a9_the_file_of_an_upload_is_its_makers(stage: Stage) -> None:
    clients = a_pair(stage)
    target = f"{V1}/uploads/{KINDS['uploads'](clients.maker)}/complete"
    file = clients.maker.post(target, json={"part_ids": []}).json()["file"]["id"]
    answers = [client.get(f"{FILES}/{file}") for client in (clients.maker, clients.other)]
    assert [answer.status_code for answer in answers] == [200, 404]


@pytest.mark.parametrize("kind", KINDS)
def test_a9_after_a_restart_every_client_can_use_what_it_knows(stage: Stage, kind: str) -> None:
    target = f"{V1}/{kind}/{KINDS[kind](stage.http(stage.shared_gateway()))}"
    clients = a_pair(stage)
    # Reading makes it nobody's.
    answers = [client.get(target) for client in (clients.other, clients.maker, clients.other)]
    assert {answer.status_code for answer in answers} == {200}


def test_a9_nothing_that_names_a_resource_takes_it(stage: Stage) -> None:
    first = stage.http(stage.gateway(["eastus"]))
    file, response = upload(first), made(respond(first, background=True))
    store, batch = KINDS["vector_stores"](first), KINDS["batches"](first)
    clients = a_pair(stage)
    taken = [
        clients.other.post(f"{VECTOR_STORES}/{store}/files", json={"file_id": file}),
        clients.other.post(f"{VECTOR_STORES}/{store}", json={"name": "mine"}),
        clients.other.post(f"{V1_RESPONSES}/{response}/cancel"),
        clients.other.post(f"{BATCHES}/{batch}/cancel"),
        respond(clients.other, previous_response_id=response),
    ]
    assert {answer.status_code for answer in taken} == {200}
    targets = [
        f"{FILES}/{file}",
        f"{VECTOR_STORES}/{store}",
        f"{V1_RESPONSES}/{response}",
        f"{BATCHES}/{batch}",
    ]
    assert {clients.maker.get(target).status_code for target in targets} == {200}


def test_a9_clients_of_a_group_share(stage: Stage) -> None:
    clients = a_pair(stage, **GROUP)
    created = made(respond(clients.maker))
    assert respond(clients.other, previous_response_id=created).status_code == 200
    store = KINDS["vector_stores"](clients.maker)
    assert [item["id"] for item in clients.other.get(VECTOR_STORES).json()["data"]] == [store]


def test_a9_a_group_is_no_client_of_its_name(stage: Stage) -> None:
    clients = a_pair(stage, GATEWAY_CLIENT_GROUP_0="team-b")
    created = made(respond(clients.maker))
    assert clients.other.get(f"{V1_RESPONSES}/{created}").status_code == 404


def test_a9_who_joins_a_group_keeps_what_was_its_own(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **CLIENTS)
    clients = pair(stage, gateway)
    created = made(respond(clients.maker))
    gateway.reload(stage.environment(["eastus"], **CLIENTS, **GROUP))
    answers = [client.get(f"{V1_RESPONSES}/{created}") for client in (clients.maker, clients.other)]
    assert [answer.status_code for answer in answers] == [200, 404]


def test_a9_all_share_where_that_is_configured(stage: Stage) -> None:
    clients = a_pair(stage, STORED_RESOURCES="shared")
    created = made(respond(clients.maker))
    assert respond(clients.other, previous_response_id=created).status_code == 200
    store = KINDS["vector_stores"](clients.maker)
    assert [item["id"] for item in clients.other.get(VECTOR_STORES).json()["data"]] == [store]


def test_a9_all_share_where_nobody_signs_in(stage: Stage) -> None:
    gateway = stage.gateway(
        ["eastus"], GATEWAY_REQUIRE_AUTH="false", GATEWAY_CLIENT_KEY_0="", GATEWAY_CLIENT_NAME_0=""
    )
    first, second = stage.http(gateway, None), stage.http(gateway)
    created = made(respond(first))
    assert second.get(f"{V1_RESPONSES}/{created}").status_code == 200


def replicas(stage: Stage, redis: RedisServer, **settings: Any) -> tuple[Pair, Pair]:
    """The two clients at each of two replicas."""
    first, second = (a_pair(stage, **redis.settings, **settings) for _ in range(2))
    return first, second


@needs_redis
@pytest.mark.parametrize("stream", [False, True])
def test_a9_another_replica_knows_the_owner_as_soon_as_the_client_knows_the_id(
    stage: Stage, redis: RedisServer, stream: bool
) -> None:
    here, there = replicas(stage, redis)
    for _ in range(20):
        answer = respond(here.maker, stream=stream)
        body = answer.text.split("data: ", 1)[1].split("\n", 1)[0] if stream else answer.text
        document = json.loads(body)
        created = document.get("response", document)["id"]
        assert there.other.get(f"{V1_RESPONSES}/{created}").status_code == 404
        assert there.maker.get(f"{V1_RESPONSES}/{created}").status_code == 200


@needs_redis
def test_a9_a_restart_forgets_no_owner_with_redis(stage: Stage, redis: RedisServer) -> None:
    first = stage.gateway(["eastus"], **CLIENTS, **redis.settings)
    target = f"{FILES}/{upload(stage.http(first))}"
    first.stop()
    clients = a_pair(stage, **redis.settings)
    assert [client.get(target).status_code for client in (clients.other, clients.maker)] == [404, 200]
    assert clients.other.get(FILES).json()["data"] == []


@needs_redis
def test_a9_reading_takes_no_resource_whose_owner_redis_knows(stage: Stage, redis: RedisServer) -> None:
    here, there = replicas(stage, redis)
    file = upload(here.maker)
    # As after an outage of Redis, in which this replica has only learned where the file is.
    [key] = [key for key in _keys(redis) if file in key]
    owned = str(redis.command("GET", key))
    redis.command("DEL", key)
    assert there.other.get(f"{FILES}/{file}").status_code == 200
    redis.command("SET", key, owned)
    assert there.other.get(f"{FILES}/{file}").status_code == 404


@needs_redis
def test_a9_of_two_replicas_that_hear_one_id_at_once_one_client_gets_it(
    stage: Stage, redis: RedisServer
) -> None:
    def answer(request: Request) -> Reply:
        id = request.path.rpartition("/")[2] if request.method == "GET" else request.body["name"]
        return 200, {"id": id}, {}

    with LoopbackServer(answer) as backend, ThreadPoolExecutor() as pool:
        here, there = replicas(stage, redis, AZURE_OPENAI_ENDPOINT_0=backend.url)
        for name in (f"vs_twin_{number}" for number in range(25)):
            twin = pool.submit(there.other.post, VECTOR_STORES, json={"name": name})
            here.maker.post(VECTOR_STORES, json={"name": name})
            twin.result()
            target = f"{VECTOR_STORES}/{name}"
            makers, others = (
                {client.get(target).status_code for client in clients}
                for clients in ((here.maker, there.maker), (here.other, there.other))
            )
            assert sorted([*makers, *others]) == [200, 404]


def _keys(redis: RedisServer) -> list[str]:
    keys = redis.command("KEYS", "*")
    assert isinstance(keys, list)
    return [str(key) for key in keys]


# A backend may take either of two ids, and may not tell upper from lower case.
TWO_IDS = {
    "an id in another case": '{"conversation":{"id":"VICTIM","ID":"OWN"}}',
    "the same name twice": '{"conversation":{"id":"VICTIM","id":"OWN"}}',
    "between two of one's own": '{"conversation":{"id":"OWN","Id":"VICTIM","ID":"OWN"}}',
    "a reference with an ID": '{"input":[{"type":"item_reference","id":"VICTIM","ID":"OWN"}]}',
    "a reference with two types": '{"input":[{"type":"item_reference","id":"VICTIM","Type":"message"}]}',
}


@pytest.mark.parametrize("body", TWO_IDS.values(), ids=list(TWO_IDS))
def test_a9_an_id_beside_ones_own_is_looked_at_too(stage: Stage, sim: Simulator, body: str) -> None:
    clients = pair(stage, stage.gateway(["eastus"], **CLIENTS))
    victim, own = (
        client.post(CONVERSATIONS, json={}).json()["id"] for client in (clients.maker, clients.other)
    )
    before = len(sim.requests("eastus"))
    text = body.replace("VICTIM", victim).replace("OWN", own).replace("{", '{"model":"gpt-4o",', 1)
    answer = clients.other.post(V1_RESPONSES, content=text, headers={"content-type": "application/json"})
    assert (answer.status_code, len(sim.requests("eastus")) - before) == (404, 0)


STRICT: dict[str, Any] = {"STORED_RESOURCES": "strict"}


@needs_redis
def test_a9_strict_shows_only_what_is_known_to_be_ones_own(stage: Stage, redis: RedisServer) -> None:
    direct = stage.http(stage.shared_gateway())
    unknown = [upload(direct), made(respond(direct))]
    here, there = replicas(stage, redis, **STRICT)
    assert here.maker.get(f"{FILES}/{unknown[0]}").status_code == 404
    assert respond(here.maker, previous_response_id=unknown[1]).status_code == 400
    assert here.maker.get(FILES).json()["data"] == []
    own = upload(here.maker)
    assert there.maker.get(f"{FILES}/{own}/content").status_code == 200
    assert [item["id"] for item in there.maker.get(FILES).json()["data"]] == [own]


@needs_redis
def test_a9_strict_guesses_nothing_while_redis_is_away(stage: Stage, redis: RedisServer) -> None:
    here, there = replicas(stage, redis, **STRICT)
    target = f"{FILES}/{upload(here.maker)}"
    redis.stop()
    answers = [there.maker.get(target), there.maker.get(FILES), here.maker.get(target)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["retry-after"] == "2"


def _is_named(redis: RedisServer, id: str) -> bool:
    return any(id in key for key in _keys(redis))


@needs_redis
def test_a9_deleting_forgets(stage: Stage, redis: RedisServer) -> None:
    clients = a_pair(stage, **redis.settings)
    file = upload(clients.maker)
    assert _is_named(redis, file)
    clients.maker.delete(f"{FILES}/{file}")
    eventually(lambda: not _is_named(redis, file))


def test_a9_taking_a_file_out_of_a_store_forgets_no_owner(stage: Stage) -> None:
    clients = a_pair(stage)
    file, store = upload(clients.maker), KINDS["vector_stores"](clients.maker)
    target = f"{VECTOR_STORES}/{store}/files"
    clients.maker.post(target, json={"file_id": file})
    assert clients.maker.delete(f"{target}/{file}").status_code == 200
    assert clients.other.get(f"{FILES}/{file}").status_code == 404


def _invented(count: int) -> dict[str, Any]:
    part = [{"type": "input_file", "file_id": f"file-invented-{number}"} for number in range(count)]
    return {"model": "gpt-4o", "input": [{"role": "user", "content": part}], "store": False}


@needs_redis
def test_r1_invented_ids_are_not_written_to_redis(stage: Stage, redis: RedisServer) -> None:
    client = stage.http(stage.gateway(["eastus"], **redis.settings))
    assert client.post(V1_RESPONSES, json=_invented(16)).status_code == 200
    kept = made(respond(client))
    assert [key for key in _keys(redis) if "owner:" in key] == [f"azure-openai-gateway:owner:{kept}"]


@needs_redis
def test_r1_where_an_id_of_a_path_was_found_is_written_to_redis(stage: Stage, redis: RedisServer) -> None:
    store = made(stage.http(stage.gateway(["westus"])).post(VECTOR_STORES, json={}))
    target = f"{VECTOR_STORES}/{store}"
    here, there = (stage.http(stage.gateway(REGIONS[:2], **redis.settings)) for _ in range(2))
    assert attempts(here.get(target)) == ["eastus:404", "westus:200"]
    eventually(lambda: _is_named(redis, store))
    assert attempts(there.get(target)) == ["westus:200"]


def test_r1_what_one_client_mentions_leads_no_other_astray(stage: Stage, sim: Simulator) -> None:
    conversation = made(stage.http(stage.gateway(["westus"])).post(CONVERSATIONS, json={}))
    clients = pair(stage, stage.gateway(REGIONS[:2], **CLIENTS, AZURE_OPENAI_PRIORITY_0=10))
    part = {"type": "input_file", "file_id": conversation}
    body = {"model": "gpt-4o", "input": [{"role": "user", "content": [part]}], "store": False}
    assert attempts(clients.other.post(V1_RESPONSES, json=body)) == ["eastus:200"]
    sim.fail("eastus", status=429, retry_after=60, count=1)
    respond(clients.other)
    assert respond(clients.maker, conversation=conversation).status_code == 200


def test_t6_no_id_that_a_client_sends_hides_the_usage_of_a_response(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    client = stage.http(gateway)
    created = made(respond(client, background=True))
    part = [{"type": "input_file", "file_id": f"{prefix}{created}"} for prefix in ("reported|", "reported:")]
    client.post(V1_RESPONSES, json={"model": "gpt-4o", "input": [{"role": "user", "content": part}]})
    target = f"{V1_RESPONSES}/{created}"
    assert eventually(lambda: client.get(target).json()["status"] == "completed")
    read = eventually(lambda: [record for record in records(gateway, 3)[2:] if "tokens" in record])
    assert len(read) == 1


SEEDS = range(int(os.environ.get("A9_HISTORIES", "3")))


class History:
    """Random requests of three clients, of which the first two share a group, on what they have made."""

    def __init__(self, seed: int, clients: list[httpx.Client]) -> None:
        self.random = random.Random(seed)
        self.clients = clients
        self.made: dict[str, tuple[str, int]] = {}
        """Kind and maker by id."""

    def makers(self, client: int) -> set[int]:
        return {0, 1} if client < 2 else {2}

    def step(self) -> str | None:
        """One request; what is wrong with its answer, if anything."""
        client = self.random.randrange(3)
        action = self.random.choice(
            [self.make, self.make, self.read, self.read, self.refer, self.list, self.delete]
        )
        return action(client)

    def make(self, client: int) -> str | None:
        kind = self.random.choice(list(KINDS))
        self.made[KINDS[kind](self.clients[client])] = kind, client
        return None

    def pick(self) -> tuple[str, str, int]:
        id = self.random.choice(list(self.made))
        return id, *self.made[id]

    def read(self, client: int) -> str | None:
        if not self.made:
            return None
        id, kind, maker = self.pick()
        spelled = self.random.choice([id, id, id.upper(), f"{id}%20"])
        status = self.clients[client].get(f"{V1}/{kind}/{spelled}").status_code
        is_own = maker in self.makers(client)
        if status == 200 and not is_own:
            return f"{client} reads {spelled} of {maker}"
        return (
            f"{client} cannot read {spelled} of {maker}"
            if status != 200 and is_own and spelled == id
            else None
        )

    def refer(self, client: int) -> str | None:
        if not self.made:
            return None
        id, kind, maker = self.pick()
        member = {"responses": "previous_response_id", "conversations": "conversation"}.get(kind, "file_ids")
        body = ASK | {"store": False, member: [id] if member == "file_ids" else id}
        status = self.clients[client].post(V1_RESPONSES, json=body).status_code
        is_own = maker in self.makers(client)
        return f"{client} refers to {id} of {maker}: {status}" if (status == 200) != is_own else None

    def list(self, client: int) -> str | None:
        kind = self.random.choice(LISTED)
        wanted = {id for id, (of, maker) in self.made.items() if of == kind and maker in self.makers(client)}
        seen: set[str] = set()
        query: dict[str, Any] = {"limit": self.random.randint(1, 4)}
        while True:
            page = self.clients[client].get(f"{V1}/{kind}", params=query).json()
            seen |= {item["id"] for item in page["data"]}
            if not page["has_more"]:
                break
            query["after"] = page["last_id"]
        # A batch takes a file of its own that is not noted here.
        extra = {id for id in seen - wanted if id in self.made}
        return (
            f"{client} lists {kind}: {extra} too much, {wanted - seen} too little"
            if extra or wanted - seen
            else None
        )

    def delete(self, client: int) -> str | None:
        if not self.made:
            return None
        id, kind, maker = self.pick()
        status = self.clients[client].delete(f"{V1}/{kind}/{id}").status_code
        if maker not in self.makers(client):
            return f"{client} deletes {id} of {maker}: {status}" if status != 404 else None
        if status == 200:
            del self.made[id]
        return None


@pytest.mark.parametrize("seed", SEEDS)
def test_a9_no_history_shows_a_client_what_another_one_made(stage: Stage, seed: int) -> None:
    third: dict[str, Any] = {
        "GATEWAY_CLIENT_NAME_2": "team-c",
        "GATEWAY_CLIENT_KEY_2": "client-key-of-team-c-0003",
    }
    gateway = stage.gateway(["eastus"], workers=2, **CLIENTS, **GROUP, **third)
    keys = (CLIENT_KEY, OTHER_KEY, third["GATEWAY_CLIENT_KEY_2"])
    history = History(seed, [stage.http(gateway, key) for key in keys])
    print(f"A9 history of seed {seed}")
    wrong = [problem for _ in range(150) if (problem := history.step())]
    assert wrong == []


def test_a9_an_unknown_answer_is_recorded_as_it_was(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **CLIENTS)
    stage.http(gateway, OTHER_KEY).get(f"{FILES}/file-unknown")
    assert record_of(gateway)["outcome"] == "client_error"


def test_a9_the_official_client_sees_a_404(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **CLIENTS)
    created = made(respond(stage.http(gateway)))
    with pytest.raises(openai.NotFoundError):
        stage.openai(gateway, api_key=OTHER_KEY).responses.retrieve(created)


def naming(file_id: str) -> str:
    return json.dumps({"file_ids": [file_id]})


# What a backend may read and the gateway does not.
UNREADABLE: dict[str, Callable[[str], bytes]] = {
    "comment": lambda text: b"/* */" + text.encode(),
    "trailing comma": lambda text: text.replace("}", ",}").encode(),
    "NaN": lambda text: text.replace("{", '{"x":NaN,').encode(),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "gzip": lambda text: gzip.compress(text.encode()),
    "deep": lambda text: text.replace("{", '{"x":' + "[" * 200 + "]" * 200 + ",").encode(),
    "too many": lambda text: text.replace("[", "[" + '"file-x",' * 2048).encode(),
}


@pytest.mark.parametrize("change", UNREADABLE.values(), ids=UNREADABLE)
def test_a9_a_body_whose_references_cannot_be_read_is_400(
    stage: Stage, sim: Simulator, change: Callable[[str], bytes]
) -> None:
    clients = a_pair(stage)
    file_id = upload(clients.maker)
    asked = len(sim.requests("eastus"))
    for client in (clients.other, clients.maker):
        answer = client.post(
            VECTOR_STORES, content=change(naming(file_id)), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 400
    assert len(sim.requests("eastus")) == asked


def test_a9_where_clients_share_it_is_the_backends_business(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(["eastus"], STORED_RESOURCES="shared"))
    body = UNREADABLE["comment"](naming("file-1"))
    client.post(VECTOR_STORES, content=body, headers={"content-type": "application/json"})
    assert [request.body for request in sim.requests("eastus")] == [body]


@pytest.mark.parametrize("content_type", ["text/json", "application/merge-patch+json; charset=utf-8"])
def test_a9_json_by_another_name_is_read_too(stage: Stage, content_type: str) -> None:
    clients = a_pair(stage)
    content = naming(upload(clients.maker))
    answer = clients.other.post(VECTOR_STORES, content=content, headers={"content-type": content_type})
    assert answer.status_code == 404


NO_JSON_BY_ITS_TYPE = ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream", "*/*"]


@pytest.mark.parametrize("content_type", NO_JSON_BY_ITS_TYPE)
def test_a9_a_body_that_only_a_backend_might_read_is_400(
    stage: Stage, sim: Simulator, content_type: str
) -> None:
    clients = a_pair(stage)
    content = naming(upload(clients.maker))
    asked = len(sim.requests("eastus"))
    answer = clients.other.post(VECTOR_STORES, content=content, headers={"content-type": content_type})
    assert (answer.status_code, len(sim.requests("eastus"))) == (400, asked)


def test_a9_a_list_in_place_of_an_object_is_400(stage: Stage, sim: Simulator) -> None:
    clients = a_pair(stage)
    body = [{"file_ids": [upload(clients.maker)]}]
    assert clients.other.post(VECTOR_STORES, json=body).status_code == 400


def test_a9_a_form_cannot_refer_to_what_another_client_made(stage: Stage, sim: Simulator) -> None:
    clients = a_pair(stage)
    file = upload(clients.maker)
    target = f"{V1}/containers/{made(clients.other.post(f'{V1}/containers', json={}))}/files"
    asked = len(sim.requests("eastus"))
    named = clients.other.post(target, files={"file_id": (None, file)})
    content = f'--R\nContent-Disposition: form-data; name="file_id"\n\n{file}\n--R--'
    odd = clients.other.post(
        target, content=content, headers={"content-type": "multipart/form-data; boundary=R"}
    )
    assert (named.status_code, odd.status_code) == (404, 400)
    assert len(sim.requests("eastus")) == asked


def test_a9_a_file_for_a_container_passes(stage: Stage, sim: Simulator) -> None:
    clients = a_pair(stage)
    target = f"{V1}/containers/{made(clients.other.post(f'{V1}/containers', json={}))}/files"
    asked = len(sim.requests("eastus"))
    clients.other.post(target, files={"file": ("a.txt", b"file_id")})
    assert len(sim.requests("eastus")) == asked + 1


def test_a9_the_last_of_many_references_counts_as_the_first(stage: Stage) -> None:
    clients = a_pair(stage)
    ids = [f"file-unknown-{number}" for number in range(500)] + [upload(clients.maker)]
    assert clients.other.post(VECTOR_STORES, json={"file_ids": ids}).status_code == 404
