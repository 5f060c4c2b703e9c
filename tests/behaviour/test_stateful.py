"""Section 6 of the gateway's behaviour: stored resources live in one backend only."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from e2e.redis_server import RedisServer, is_installed
from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import API_VERSION, REGIONS, Stage
from tests.behaviour.support import V1_CHAT, V1_RESPONSES, attempts, chat, winner
from tests.engines.raw_server import RawServer
from tests.support.ports import refusing_port

needs_redis = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")

EASTUS_FIRST: dict[str, Any] = {"AZURE_OPENAI_PRIORITY_0": 10}
WESTUS_FIRST: dict[str, Any] = {"AZURE_OPENAI_PRIORITY_1": 10}
ASK: dict[str, Any] = {"model": "gpt-4o", "input": "Hello"}
STREAM: dict[str, Any] = ASK | {"stream": True}
CONVERSATIONS = "/openai/v1/conversations"
FILES = "/openai/v1/files"
BATCHES = "/openai/v1/batches"
VECTOR_STORES = "/openai/v1/vector_stores"
# Far more than one time-out of 100 ms and what a busy machine adds; sockets of nginx wait 60 s by default.
NOTICEABLE_SECONDS = 10
SEALED: dict[str, Any] = {"include": ["reasoning.encrypted_content"], "store": False}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def respond(client: httpx.Client, **members: Any) -> httpx.Response:
    """A response on the v1 surface."""
    return client.post(V1_RESPONSES, json=ASK | members)


def response_id(answer: httpx.Response) -> str:
    """The id of a response, from JSON or from the first event of a stream."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        first = next(line for line in answer.text.splitlines() if line.startswith("data: "))
        return str(json.loads(first.removeprefix("data: "))["response"]["id"])
    return str(answer.json()["id"])


def on_westus(stage: Stage) -> httpx.Client:
    """A client of a gateway that prefers westus for requests without an owner."""
    return stage.http(stage.gateway(**WESTUS_FIRST))


def on_eastus(stage: Stage, **settings: object) -> httpx.Client:
    """A client of another gateway, which knows nothing of the first and prefers eastus."""
    return stage.http(stage.gateway(**(EASTUS_FIRST | settings)))


def continued(client: httpx.Client, previous: str, times: int = 3) -> set[str]:
    """The attempt trails of several requests that continue a response."""
    return {",".join(attempts(respond(client, previous_response_id=previous))) for _ in range(times)}


def upload(client: httpx.Client) -> httpx.Response:
    line = {"custom_id": "1", "method": "POST", "url": "/chat/completions", "body": {"model": "gpt-4o"}}
    content = json.dumps(line).encode()
    return client.post(FILES, data={"purpose": "batch"}, files={"file": ("in.jsonl", content)})


def test_r1_a_response_is_continued_where_it_was_created(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS))
    first = respond(client)
    assert continued(client, first.json()["id"]) == {f"{winner(first)}:200"}


def test_r1_so_it_is_on_the_path_with_an_api_version(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS))
    target = "/openai/responses?api-version=2025-03-01-preview"
    first = client.post(target, json=ASK)
    body = ASK | {"previous_response_id": first.json()["id"]}
    follow_ups = [client.post(target, json=body) for _ in range(3)]
    assert {winner(answer) for answer in follow_ups} == {winner(first)}


def test_r1_every_worker_knows_the_owner(stage: Stage) -> None:
    gateway = stage.gateway(REGIONS, workers=2)
    first = respond(stage.http(gateway))
    # Each connection may meet another worker.
    trails = [continued(stage.http(gateway), first.json()["id"], times=1) for _ in range(8)]
    assert set.union(*trails) == {f"{winner(first)}:200"}


@pytest.mark.parametrize("split", [None, 3])
@pytest.mark.parametrize("probe_ms", [1000, 0])
def test_r1_the_owner_is_learned_from_the_first_event_of_a_stream(
    stage: Stage, sim: Simulator, probe_ms: int, split: int | None
) -> None:
    client = stage.http(stage.gateway(REGIONS, AI_PROXY_STREAM_PROBE_MS=probe_ms))
    if split:
        for region in REGIONS:
            sim.fail(region, split=split)
    first = client.post(V1_RESPONSES, json=STREAM)
    assert continued(client, response_id(first)) == {f"{winner(first)}:200"}


def test_r1_the_owner_is_known_while_the_stream_still_runs(stage: Stage, sim: Simulator) -> None:
    sim.fail("westus", stall=20, after=1, count=1)
    client = stage.http(stage.gateway(**WESTUS_FIRST, AI_PROXY_RESPONSES_PROBE_MS=100))
    with client.stream("POST", V1_RESPONSES, json=STREAM) as stream:
        data = next(line for line in stream.iter_lines() if line.startswith("data: "))
        created = json.loads(data.removeprefix("data: "))["response"]["id"]
        assert attempts(client.get(f"{V1_RESPONSES}/{created}")) == ["westus:200"]


@pytest.mark.parametrize("form", [str, lambda conversation: {"id": conversation}], ids=["text", "object"])
def test_r1_a_conversation_stays_with_its_backend(stage: Stage, form: Any) -> None:
    client = stage.http(stage.gateway(REGIONS))
    created = client.post(CONVERSATIONS, json={})
    answers = [respond(client, conversation=form(created.json()["id"])) for _ in range(3)]
    assert {",".join(attempts(answer)) for answer in answers} == {f"{winner(created)}:200"}


@pytest.mark.parametrize(("method", "below"), [("GET", ""), ("GET", "/input_items"), ("DELETE", "")])
def test_r1_an_id_in_a_path_leads_to_its_owner(stage: Stage, method: str, below: str) -> None:
    client = stage.http(stage.gateway(REGIONS))
    first = [respond(client) for _ in range(3)]
    answers = [client.request(method, f"{V1_RESPONSES}/{one.json()['id']}{below}") for one in first]
    assert [attempts(answer) for answer in answers] == [[f"{winner(one)}:200"] for one in first]


def test_r1_a_background_response_is_cancelled_where_it_runs(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS))
    first = respond(client, background=True)
    cancelled = client.post(f"{V1_RESPONSES}/{first.json()['id']}/cancel")
    assert (attempts(cancelled), cancelled.json()["status"]) == ([f"{winner(first)}:200"], "cancelled")


@pytest.mark.parametrize(
    "members",
    [
        lambda file: {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": file}]}]},
        lambda file: {
            "tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": [file]}}]
        },
    ],
    ids=["input part", "container"],
)
def test_r1_a_file_that_a_request_mentions_leads_to_its_owner(stage: Stage, members: Any) -> None:
    client = stage.http(stage.gateway(REGIONS, GATEWAY_HOME_BACKEND="westus"))
    file = upload(client).json()["id"]
    answers = [respond(client, **members(file)) for _ in range(3)]
    assert {",".join(attempts(answer)) for answer in answers} == {"westus:200"}


def test_r1_a_file_in_a_chat_message_leads_to_its_owner(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS, GATEWAY_HOME_BACKEND="westus"))
    part = {"type": "file", "file": {"file_id": upload(client).json()["id"]}}
    answers = [chat(client, messages=[{"role": "user", "content": [part]}]) for _ in range(3)]
    assert {winner(answer) for answer in answers} == {"westus"}


def test_r1_an_owner_serves_deployments_that_it_does_not_list(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o-mini", AZURE_OPENAI_PRIORITY_0=10))
    created = respond(client, model="gpt-4o-mini").json()["id"]
    assert attempts(respond(client, previous_response_id=created)) == ["eastus:200"]


def test_r1_metadata_takes_nothing_from_its_owner(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway())
    answers = [respond(client) for _ in range(2)]
    mine, other = (answer.json()["id"] for answer in answers)
    respond(client, previous_response_id=mine, metadata={"file_id": other})
    respond(client, previous_response_id=mine, input=[{"type": "item_reference", "id": other}])
    assert attempts(respond(client, previous_response_id=other)) == [f"{winner(answers[1])}:200"]


def test_r1_a_comment_before_the_first_event_hides_no_owner(stage: Stage) -> None:
    created = b'data: {"type":"response.created","response":{"id":"resp_of_eastus"}}\n\n'
    completed = b'data: {"type":"response.completed","response":{"id":"resp_of_eastus"}}\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    plain = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    with RawServer([(head, b": hello\n\n", created, completed)], [(plain,)]) as backend:
        gateway = stage.gateway(AZURE_OPENAI_ENDPOINT_0=backend.url, **EASTUS_FIRST, BREAKER_FAILURES=5)
        client = stage.http(gateway)
        client.post(V1_RESPONSES, json=STREAM)
        assert attempts(respond(client, previous_response_id="resp_of_eastus")) == ["eastus:200"]


def test_r1_any_number_of_references_is_served(stage: Stage) -> None:
    files = [{"type": "input_file", "file_id": f"file-{number}"} for number in range(5000)]
    client = stage.http(stage.gateway(["eastus"]))
    assert respond(client, input=[{"role": "user", "content": files}]).status_code < 500


@needs_redis
def test_r1_replicas_share_owners_through_redis(stage: Stage, redis: RedisServer) -> None:
    created = respond(stage.http(stage.gateway(**WESTUS_FIRST, **redis.settings))).json()["id"]
    replica = on_eastus(stage, **redis.settings)
    assert continued(replica, created) == {"westus:200"}


@needs_redis
def test_r1_redis_may_ask_for_a_password(stage: Stage) -> None:
    with RedisServer(password="a-password-of-redis") as redis:
        created = respond(stage.http(stage.gateway(**WESTUS_FIRST, **redis.settings))).json()["id"]
        assert continued(on_eastus(stage, **redis.settings), created) == {"westus:200"}


@needs_redis
def test_r1_a_restarted_gateway_finds_owners_in_redis(stage: Stage, redis: RedisServer) -> None:
    first = stage.gateway(**WESTUS_FIRST, **redis.settings)
    created = respond(stage.http(first)).json()["id"]
    first.stop()
    assert continued(on_eastus(stage, **redis.settings), created) == {"westus:200"}


@needs_redis
def test_r1_what_is_too_long_for_an_id_is_not_looked_up(stage: Stage, redis: RedisServer) -> None:
    client = stage.http(stage.gateway(["eastus"], **redis.settings))
    respond(client, previous_response_id="resp_" + "x" * 1_000_000)
    assert "cmdstat_mget" not in str(redis.command("INFO", "commandstats"))


@needs_redis
def test_r1_redis_keeps_no_body_and_no_key(stage: Stage, redis: RedisServer) -> None:
    respond(stage.http(stage.gateway(["eastus"], **redis.settings)), input="a very private question")
    keys = eventually(lambda: redis.command("KEYS", "*"))
    assert isinstance(keys, list)
    read = {"string": "GET", "hash": "HGETALL"}
    stored = " ".join(
        [*keys, *(str(redis.command(read[str(redis.command("TYPE", key))], key)) for key in keys)]
    )
    assert [text for text in ("private", "key-of-eastus", "client-key") if text in stored] == []


def test_r2_a_conversation_survives_a_restart(stage: Stage) -> None:
    first = stage.gateway(**WESTUS_FIRST)
    created = respond(stage.http(first)).json()["id"]
    first.stop()
    answer = respond(on_eastus(stage), previous_response_id=created)
    assert attempts(answer) == ["eastus:400", "westus:200"]


def test_r2_a_second_replica_continues_a_conversation(stage: Stage) -> None:
    created = respond(on_westus(stage)).json()["id"]
    assert respond(on_eastus(stage), previous_response_id=created).status_code == 200


def test_r2_what_probing_found_is_remembered(stage: Stage) -> None:
    created = respond(on_westus(stage)).json()["id"]
    replica = on_eastus(stage)
    respond(replica, previous_response_id=created)
    assert continued(replica, created) == {"westus:200"}


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (V1_CHAT, {"messages": [{"role": "user", "content": [{"file": {"file_id": "file-1"}}]}]}),
        (
            V1_RESPONSES,
            {
                "store": False,
                "input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}],
            },
        ),
    ],
    ids=["chat", "responses"],
)
def test_r2_a_file_that_was_found_is_remembered_whatever_answer_it_was_for(
    stage: Stage, sim: Simulator, target: str, body: dict[str, Any]
) -> None:
    sim.fail("eastus", status=404, code="not_found", message="No such file.")
    client = on_eastus(stage)
    answers = [client.post(target, json={"model": "gpt-4o", **body}) for _ in range(2)]
    assert [attempts(answer) for answer in answers] == [["eastus:404", "westus:200"], ["westus:200"]]


def test_r2_so_a_stream_finds_its_predecessor(stage: Stage) -> None:
    created = response_id(on_westus(stage).post(V1_RESPONSES, json=STREAM))
    answer = on_eastus(stage).post(V1_RESPONSES, json=STREAM | {"previous_response_id": created})
    assert (attempts(answer), "response.completed" in answer.text) == (["eastus:400", "westus:200"], True)


@pytest.mark.parametrize(("method", "below"), [("GET", ""), ("GET", "/input_items"), ("DELETE", "")])
def test_r2_an_unknown_id_in_a_path_is_looked_for(stage: Stage, method: str, below: str) -> None:
    created = respond(on_westus(stage)).json()["id"]
    answer = on_eastus(stage).request(method, f"{V1_RESPONSES}/{created}{below}")
    assert (answer.status_code, attempts(answer)) == (200, ["eastus:404", "westus:200"])


def test_r2_an_unknown_conversation_is_looked_for(stage: Stage) -> None:
    created = on_westus(stage).post(CONVERSATIONS, json={}).json()["id"]
    assert attempts(respond(on_eastus(stage), conversation=created)) == ["eastus:404", "westus:200"]


def test_r2_looking_around_harms_no_backend(stage: Stage) -> None:
    created = respond(on_westus(stage)).json()["id"]
    replica = on_eastus(stage, BREAKER_FAILURES=1)
    respond(replica, previous_response_id=created)
    assert attempts(respond(replica)) == ["eastus:200"]


def test_r2_an_item_that_another_backend_sealed_moves_on(stage: Stage) -> None:
    sealed = respond(on_westus(stage), **SEALED).json()["output"][0]
    question = {"role": "user", "content": "And then?"}
    answer = respond(on_eastus(stage), input=[sealed, question])
    assert (answer.status_code, attempts(answer)) == (200, ["eastus:400", "westus:200"])


def test_r2_not_found_anywhere_is_the_backends_own_404(stage: Stage) -> None:
    answer = on_eastus(stage).get(f"{V1_RESPONSES}/resp_unknown")
    expected = "Response with id 'resp_unknown' not found."
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, expected)


def test_r2_an_unknown_predecessor_is_the_backends_own_400(stage: Stage) -> None:
    answer = respond(on_eastus(stage), previous_response_id="resp_unknown")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "previous_response_not_found")


def test_r2_not_found_anywhere_asks_each_backend_once(stage: Stage, sim: Simulator) -> None:
    stage.http(stage.gateway(REGIONS)).get(f"{V1_RESPONSES}/resp_unknown")
    assert [len(sim.requests(region)) for region in REGIONS] == [1, 1, 1]


def test_r2_a_deleted_response_is_404(stage: Stage) -> None:
    client = stage.http(stage.gateway())
    target = f"{V1_RESPONSES}/{respond(client).json()['id']}"
    client.delete(target)
    assert client.get(target).status_code == 404


def test_r2_a_404_that_concerns_no_stored_resource_is_answered_at_once(stage: Stage) -> None:
    answer = on_eastus(stage).get("/openai/v1/no-such-collection")
    assert (answer.status_code, attempts(answer)) == (404, ["eastus:404"])


def test_r2_a_throttled_backend_among_those_to_look_in_makes_it_429(stage: Stage, sim: Simulator) -> None:
    created = respond(on_westus(stage)).json()["id"]
    sim.fail("westus", status=429, retry_after=9)
    # The resource may be stored there, so "not found" would be wrong.
    answer = respond(on_eastus(stage), previous_response_id=created)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "9")


def throttled_owner(stage: Stage, sim: Simulator) -> tuple[httpx.Client, str]:
    """A response of westus, which is throttled from now on."""
    client = on_westus(stage)
    created = respond(client).json()["id"]
    sim.fail("westus", status=429, retry_after=9)
    return client, created


@needs_redis
def test_r1_a_response_that_is_not_stored_is_not_remembered(stage: Stage, redis: RedisServer) -> None:
    client = stage.http(stage.gateway(["eastus"], **redis.settings))
    respond(client, store=False)
    kept = respond(client).json()["id"]
    assert eventually(lambda: redis.command("KEYS", "*owner:*")) == [f"azure-openai-gateway:owner:{kept}"]


def test_r2_an_item_that_is_unknown_here_is_looked_for_elsewhere(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=404, code="not_found", message="Item with id 'msg_1' not found.")
    reference = {"type": "item_reference", "id": "msg_1"}
    answer = respond(on_eastus(stage), input=[reference, {"role": "user", "content": "Hello"}])
    assert attempts(answer) == ["eastus:404", "westus:200"]


def test_r2_a_stored_completion_is_looked_for_everywhere(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=404, code="not_found")
    answer = on_eastus(stage).get("/openai/v1/chat/completions/chatcmpl-1")
    assert (attempts(answer)[0], len(attempts(answer))) == ("eastus:404", 2)


def test_r3_a_throttled_owner_is_429_with_its_cooldown(stage: Stage, sim: Simulator) -> None:
    client, created = throttled_owner(stage, sim)
    answer = respond(client, previous_response_id=created)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "9")


def test_r3_a_cooling_owner_is_429_without_a_request(stage: Stage, sim: Simulator) -> None:
    client, created = throttled_owner(stage, sim)
    respond(client, previous_response_id=created)
    answer = respond(client, previous_response_id=created)
    assert (answer.status_code, len(sim.requests("westus"))) == (429, 2)


def test_r3_nobody_else_is_asked(stage: Stage, sim: Simulator) -> None:
    client, created = throttled_owner(stage, sim)
    continued(client, created)
    assert sim.requests("eastus") == []


def test_r3_reading_is_not_stopped_by_a_throttled_deployment(stage: Stage, sim: Simulator) -> None:
    client, created = throttled_owner(stage, sim)
    respond(client, previous_response_id=created)
    sim.clear_faults("westus")
    assert client.get(f"{V1_RESPONSES}/{created}").status_code == 200


def reloaded(stage: Stage, gateway: Gateway, *backends: str, **settings: object) -> None:
    gateway.reload(stage.environment(backends, **settings))


def test_r3_what_a_removed_owner_held_is_unknown(stage: Stage) -> None:
    gateway = stage.gateway(**WESTUS_FIRST)
    client = stage.http(gateway)
    created = respond(client).json()["id"]
    reloaded(stage, gateway, "eastus", "swedencentral")
    answer = respond(client, previous_response_id=created)
    assert sorted(attempts(answer)) == ["eastus:400", "swedencentral:400"]


def test_r3_a_drained_owner_still_serves_what_it_owns(stage: Stage) -> None:
    gateway = stage.gateway(**WESTUS_FIRST)
    client = stage.http(gateway)
    created = respond(client).json()["id"]
    reloaded(stage, gateway, "eastus", "westus", AZURE_OPENAI_WEIGHT_1=0)
    assert (continued(client, created), winner(respond(client))) == ({"westus:200"}, "eastus")


def test_r3_a_drained_owner_is_looked_in_last(stage: Stage) -> None:
    created = respond(on_westus(stage)).json()["id"]
    replica = on_eastus(stage, AZURE_OPENAI_WEIGHT_1=0)
    assert attempts(respond(replica, previous_response_id=created)) == ["eastus:400", "westus:200"]


def test_r3_a_drained_backend_gets_nothing_else(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=500)
    client = on_eastus(stage, AZURE_OPENAI_WEIGHT_1=0)
    assert (attempts(respond(client)), sim.requests("westus")) == (["eastus:500"], [])


CREATIONS = [
    pytest.param(
        FILES, {"files": {"file": ("a.txt", b"text")}, "data": {"purpose": "assistants"}}, id="files"
    ),
    pytest.param(VECTOR_STORES, {"json": {"name": "store"}}, id="vector_stores"),
]


@pytest.mark.parametrize(("target", "content"), CREATIONS)
def test_r4_resources_are_created_in_the_home_backend(
    stage: Stage, target: str, content: dict[str, Any]
) -> None:
    client = stage.http(stage.gateway(REGIONS, GATEWAY_HOME_BACKEND="westus"))
    assert {winner(client.post(target, **content)) for _ in range(3)} == {"westus"}


def test_r4_the_first_backend_is_home_by_default(stage: Stage) -> None:
    assert winner(upload(on_westus(stage))) == "eastus"


@pytest.mark.parametrize("target", [FILES, BATCHES, VECTOR_STORES])
def test_r4_lists_come_from_the_home_backend(stage: Stage, target: str) -> None:
    client = stage.http(stage.gateway(REGIONS, GATEWAY_HOME_BACKEND="westus"))
    assert {winner(client.get(target)) for _ in range(3)} == {"westus"}


def test_r4_a_batch_runs_where_its_file_is(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS, GATEWAY_HOME_BACKEND="westus"))
    asked = {"input_file_id": upload(client).json()["id"], "endpoint": "/chat/completions"}
    batch = client.post(BATCHES, json=asked)
    assert (batch.status_code, winner(batch)) == (200, "westus")


def test_r4_the_output_of_a_batch_is_found(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS, GATEWAY_HOME_BACKEND="westus"))
    asked = {"input_file_id": upload(client).json()["id"], "endpoint": "/chat/completions"}
    batch = client.get(f"{BATCHES}/{client.post(BATCHES, json=asked).json()['id']}").json()
    assert attempts(client.get(f"{FILES}/{batch['output_file_id']}/content")) == ["westus:200"]


def test_r4_a_vector_store_is_created_where_its_files_are(stage: Stage) -> None:
    gateway = stage.gateway(REGIONS, GATEWAY_HOME_BACKEND="westus")
    client = stage.http(gateway)
    file_id = upload(client).json()["id"]
    reloaded(stage, gateway, *REGIONS, GATEWAY_HOME_BACKEND="eastus")
    store = client.post(VECTOR_STORES, json={"file_ids": [file_id]})
    assert attempts(store) == ["westus:200"]


def test_r4_a_response_that_searches_a_vector_store_runs_where_it_is(stage: Stage) -> None:
    client = stage.http(stage.gateway(REGIONS, GATEWAY_HOME_BACKEND="westus"))
    store = client.post(VECTOR_STORES, json={}).json()["id"]
    tools = [{"type": "file_search", "vector_store_ids": [store]}]
    assert {winner(respond(client, tools=tools)) for _ in range(3)} == {"westus"}


def test_r4_after_a_restart_with_another_home_files_are_found(stage: Stage) -> None:
    file_id = upload(stage.http(stage.gateway(GATEWAY_HOME_BACKEND="westus"))).json()["id"]
    replica = stage.http(stage.gateway(GATEWAY_HOME_BACKEND="eastus"))
    assert attempts(replica.get(f"{FILES}/{file_id}")) == ["eastus:404", "westus:200"]


def test_r4_a_file_is_created_elsewhere_while_home_is_away(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=503, count=1)
    client = stage.http(stage.gateway())
    created = upload(client)
    found = client.get(f"{FILES}/{created.json()['id']}")
    assert (attempts(created), attempts(found)) == (["eastus:503", "westus:201"], ["westus:200"])


def test_r4_the_official_client_works_with_files(stage: Stage) -> None:
    client = stage.openai(stage.gateway(REGIONS))
    created = client.files.create(file=("a.txt", b"some text"), purpose="assistants")
    assert client.files.content(created.id).read() == b"some text"


def unanswering() -> socket.socket:
    """A server that accepts connections and never answers."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def timed_conversation(client: httpx.Client) -> tuple[set[int], float]:
    """The statuses of a short conversation, and the seconds of its slowest request."""
    previous, statuses, slowest = None, set(), 0.0
    for _ in range(4):
        started = time.monotonic()
        answer = respond(client, **({"previous_response_id": previous} if previous else {}))
        slowest = max(slowest, time.monotonic() - started)
        statuses.add(answer.status_code)
        previous = answer.json()["id"]
    return statuses, slowest


def test_r4_redis_that_is_not_there_fails_no_request(stage: Stage) -> None:
    with refusing_port() as port:
        client = stage.http(stage.gateway(REDIS_HOST="127.0.0.1", REDIS_PORT=port))
        statuses, slowest = timed_conversation(client)
    assert (statuses, slowest < NOTICEABLE_SECONDS) == ({200}, True)


def test_r4_redis_that_hangs_delays_no_request_noticeably(stage: Stage) -> None:
    with unanswering() as silent:
        port = silent.getsockname()[1]
        limits: dict[str, Any] = {"ENABLE_AI_RATE_LIMIT": "true", "AI_RATE_LIMIT_HIGH_LIMIT": 100_000}
        client = stage.http(stage.gateway(REDIS_HOST="127.0.0.1", REDIS_PORT=port, **limits))
        statuses, slowest = timed_conversation(client)
        assert (statuses, slowest < NOTICEABLE_SECONDS) == ({200}, True)


@needs_redis
def test_r4_redis_that_goes_away_fails_no_request(stage: Stage, redis: RedisServer) -> None:
    client = stage.http(stage.gateway(REGIONS, **redis.settings))
    first = respond(client)
    redis.stop()
    assert continued(client, first.json()["id"]) == {f"{winner(first)}:200"}


@needs_redis
def test_r4_a_wrong_password_of_redis_fails_no_request(stage: Stage, redis: RedisServer) -> None:
    client = stage.http(stage.gateway(**(redis.settings | {"REDIS_PASSWORD": "not-the-password"})))
    statuses, _ = timed_conversation(client)
    assert statuses == {200}


def test_r4_the_api_version_of_a_probe_is_kept(stage: Stage, sim: Simulator) -> None:
    file_id = upload(stage.http(stage.gateway(GATEWAY_HOME_BACKEND="westus"))).json()["id"]
    target = f"/openai/files/{file_id}?api-version={API_VERSION}"
    stage.http(stage.gateway(GATEWAY_HOME_BACKEND="eastus")).get(target)
    assert [sim.requests(region)[-1].path for region in REGIONS[:2]] == [target, target]


def test_r4_a_drained_backend_is_nobodys_home(stage: Stage) -> None:
    client = stage.http(stage.gateway(AZURE_OPENAI_WEIGHT_0=0))
    assert winner(upload(client)) == "westus"
