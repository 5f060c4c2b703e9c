"""R1-R3: what a coding agent sends again with each turn leads to the backend that made it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from e2e.redis_server import RedisServer, is_installed
from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import CLIENT_KEY, REGIONS, Stage
from tests.behaviour.support import V1_RESPONSES, attempts, winner
from tests.behaviour.test_stateful import EASTUS_FIRST, on_eastus, respond

NOT_VERIFIED = "The encrypted content gAAA for item rs_1 could not be verified."
REFUSALS: dict[str, Any] = {
    "404 without a code": (404, {"message": "Item with id 'rs_1' not found.", "code": None}),
    "400 without a code": (400, {"message": "Item with id 'rs_1' not found.", "code": None}),
    "404 with the status as its code": (404, {"message": "Item with id 'rs_1' not found.", "code": "404"}),
    "not verified": (400, {"message": NOT_VERIFIED, "code": None}),
    "invalid_encrypted_content": (400, {"message": NOT_VERIFIED, "code": "invalid_encrypted_content"}),
}
SEALED: dict[str, Any] = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "encrypted_content": "sealed.westus.1",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_r2_an_item_that_one_backend_refuses_is_offered_to_the_next(
    stage: Stage, sim: Simulator, name: str
) -> None:
    status, error = REFUSALS[name]
    sim.fail("eastus", status=status, body={"error": {"type": "invalid_request_error", **error}})
    assert attempts(respond(on_eastus(stage), input=[SEALED])) == [f"eastus:{status}", "westus:200"]


@pytest.mark.parametrize("name", REFUSALS)
def test_r2_so_is_one_that_is_refused_inside_of_a_stream(stage: Stage, sim: Simulator, name: str) -> None:
    _, error = REFUSALS[name]
    failed = {"type": "response.failed", "response": {"id": "resp_1", "error": error}}
    events = [{"type": "response.created", "response": {"id": "resp_1"}}, failed]
    text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    sim.fail("eastus", status=200, body=text, headers={"content-type": "text/event-stream"}, count=1)
    answer = respond(on_eastus(stage), input=[SEALED], stream=True)
    assert attempts(answer) == ["eastus:400", "westus:200"]


USER: dict[str, Any] = {"role": "user", "content": "And now?"}
THOUGHT: dict[str, Any] = {"type": "reasoning", "id": "rs_9", "summary": []}
CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "fc_9",
    "call_id": "call_1",
    "name": "look",
    "arguments": "{}",
}
RESULT: dict[str, Any] = {"type": "function_call_output", "call_id": "call_1", "output": "it is there"}


def sealed(sim: Simulator, stage: Stage, stream: bool, **settings: Any) -> tuple[httpx.Client, list[Any]]:
    """A client of a gateway that prefers eastus, and the items that westus has answered it with."""
    client = on_eastus(stage, **settings)
    sim.fail("eastus", status=429, retry_after_ms=1, count=1)
    answer = respond(client, store=False, include=["reasoning.encrypted_content"], stream=stream)
    assert winner(answer) == "westus"
    if not stream:
        return client, answer.json()["output"]
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    return client, [event["item"] for event in events if event["type"] == "response.output_item.done"]


def without_ids(items: list[Any]) -> list[Any]:
    return [{name: value for name, value in item.items() if name != "id"} for item in items]


def made_by(sim: Simulator, region: str, *items: Any) -> None:
    """Scripts the next answer of a region, with these items in its output."""
    body = {"id": f"resp_of_{region}", "object": "response", "output": list(items)}
    sim.fail(region, status=200, body=body, count=1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shape", [list, without_ids], ids=["with ids", "without ids"])
def test_r1_items_that_are_sent_again_lead_to_their_maker(
    stage: Stage, sim: Simulator, stream: bool, shape: Any
) -> None:
    client, items = sealed(sim, stage, stream)
    assert attempts(respond(client, input=[*shape(items), USER])) == ["westus:200"]


@pytest.mark.parametrize("split", [1, 7, 100])
def test_r1_t7_so_they_do_however_the_stream_is_cut(stage: Stage, sim: Simulator, split: int) -> None:
    sim.fail("westus", split=split)
    client, items = sealed(sim, stage, stream=True)
    assert attempts(respond(client, input=[*items, USER])) == ["westus:200"]


@pytest.mark.parametrize("item", [THOUGHT, CALL], ids=["reasoning", "call"])
def test_r1_items_of_every_kind_lead_to_their_maker(stage: Stage, sim: Simulator, item: Any) -> None:
    client = on_eastus(stage)
    made_by(sim, "eastus", item)
    sim.fail("eastus", status=404, code=None, message="Item with id 'x' not found.")
    respond(client)
    sim.clear_faults("eastus")
    assert attempts(respond(client, input=[item, RESULT])) == ["eastus:200"]


@pytest.mark.parametrize("name", REFUSALS)
def test_r2_case_9_the_next_turn_goes_straight_to_the_backend_that_took_the_items(
    stage: Stage, sim: Simulator, name: str
) -> None:
    status, error = REFUSALS[name]
    sim.fail("eastus", status=status, body={"error": error})
    client = on_eastus(stage)
    trails = [attempts(respond(client, input=[SEALED, USER])) for _ in range(2)]
    assert trails == [[f"eastus:{status}", "westus:200"], ["westus:200"]]


def test_r3_in_a_history_of_several_owners_the_last_item_decides(stage: Stage, sim: Simulator) -> None:
    client = on_eastus(stage)
    made_by(sim, "eastus", CALL)
    respond(client)
    sim.fail("eastus", status=429, retry_after_ms=1, count=1)
    made_by(sim, "westus", {"type": "message", "id": "msg_9", "content": []})
    respond(client)
    message = {"type": "message", "id": "msg_9", "role": "assistant", "content": "Yes."}
    assert attempts(respond(client, input=[CALL, RESULT, message, USER])) == ["westus:200"]
    assert attempts(respond(client, input=[message, CALL, RESULT, USER])) == ["eastus:200"]


@pytest.mark.parametrize("fault", [{"status": 429, "retry_after": 60}, {"refuse": True}])
def test_r3_items_that_carry_their_content_are_offered_to_others(
    stage: Stage, sim: Simulator, fault: dict[str, Any]
) -> None:
    client = on_eastus(stage)
    made_by(sim, "eastus", CALL)
    respond(client)
    sim.fail("eastus", **fault)
    trails = [attempts(respond(client, input=[CALL, RESULT])) for _ in range(2)]
    assert (trails[0][1], trails[1][-1]) == ("westus:200", "westus:200")


def test_r3_when_others_cannot_read_them_it_is_429_with_the_makers_cooldown(
    stage: Stage, sim: Simulator
) -> None:
    client, items = sealed(sim, stage, stream=False)
    sim.fail("westus", status=429, retry_after=60)
    for trail in (["westus:429", "eastus:400"], ["eastus:400"]):
        answer = respond(client, input=[*items, USER])
        assert (answer.status_code, attempts(answer)) == (429, trail)
        assert 50 < int(answer.headers["retry-after"]) <= 60


def test_r3_a_shorter_cooldown_of_another_backend_does_not_count_then(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(REGIONS, **EASTUS_FIRST, AZURE_OPENAI_PRIORITY_1=5))
    sim.fail("eastus", status=429, retry_after_ms=1, count=1)
    answer = respond(client, store=False, include=["reasoning.encrypted_content"])
    assert winner(answer) == "westus"
    sim.fail("westus", status=429, retry_after=60)
    sim.fail("swedencentral", status=429, retry_after=5)
    answer = respond(client, input=[*answer.json()["output"], USER])
    assert (answer.status_code, 50 < int(answer.headers["retry-after"]) <= 60) == (429, True)


def test_r3_reasoning_that_is_not_sent_along_waits_for_its_owner(stage: Stage, sim: Simulator) -> None:
    client = on_eastus(stage)
    made_by(sim, "eastus", THOUGHT)
    respond(client)
    sim.fail("eastus", status=429, retry_after=60)
    answers = [respond(client, input=[THOUGHT, USER]) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [429, 429]
    assert sim.requests("westus") == []


def test_r3_an_owner_that_was_removed_is_as_good_as_unknown(stage: Stage, sim: Simulator) -> None:
    error = {"message": "Item with id 'rs_9' not found.", "code": None}
    client = on_eastus(stage)
    made_by(sim, "eastus", THOUGHT)
    respond(client)
    sim.fail("eastus", status=404, body={"error": error})
    assert attempts(respond(client, input=[THOUGHT, USER])) == ["eastus:404", "westus:200"]


def test_r2_items_that_nobody_has_are_the_backends_own_error(stage: Stage, sim: Simulator) -> None:
    for region in ("eastus", "westus"):
        error = {"message": f"Item with id 'rs_9' not found. {region}", "code": None}
        sim.fail(region, status=404, body={"error": error})
    answer = respond(on_eastus(stage), input=[THOUGHT, USER])
    assert (answer.status_code, len(attempts(answer))) == (404, 2)


OTHER = "key-of-another-team-0001"


def test_a9_an_item_of_another_client_reveals_no_place(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(**EASTUS_FIRST, GATEWAY_CLIENT_NAME_1="team-b", GATEWAY_CLIENT_KEY_1=OTHER)
    mine, other = stage.http(gateway), stage.http(gateway, OTHER)
    sim.fail("eastus", status=429, retry_after_ms=1, count=1)
    made_by(sim, "westus", CALL)
    respond(mine)
    assert attempts(respond(other, input=[CALL, RESULT])) == ["eastus:200"]
    assert attempts(respond(mine, input=[CALL, RESULT])) == ["westus:200"]


def test_a9_clients_of_a_group_share_what_is_known_of_items(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(
        **EASTUS_FIRST,
        GATEWAY_CLIENT_NAME_1="team-b",
        GATEWAY_CLIENT_KEY_1=OTHER,
        GATEWAY_CLIENT_GROUP_0="all",
        GATEWAY_CLIENT_GROUP_1="all",
    )
    sim.fail("eastus", status=429, retry_after_ms=1, count=1)
    made_by(sim, "westus", CALL)
    respond(stage.http(gateway))
    assert attempts(respond(stage.http(gateway, OTHER), input=[CALL, RESULT])) == ["westus:200"]


def strict(stage: Stage, redis: RedisServer) -> Gateway:
    """A gateway for two clients that may each use only what is known to be their own."""
    return stage.gateway(
        ["eastus"],
        GATEWAY_CLIENT_NAME_1="team-b",
        GATEWAY_CLIENT_KEY_1=OTHER,
        STORED_RESOURCES="strict",
        **redis.settings,
    )


@pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")
def test_a9_a_strict_gateway_takes_references_to_a_clients_own_items_only(
    stage: Stage, sim: Simulator
) -> None:
    with RedisServer() as redis:
        gateway = strict(stage, redis)
        made_by(sim, "eastus", CALL)
        respond(stage.http(gateway))
        reference = {"type": "item_reference", "id": "fc_9"}
        respond(stage.http(gateway, OTHER), input=[CALL, RESULT])
        answers = [respond(stage.http(gateway, key), input=[reference]) for key in (CLIENT_KEY, OTHER)]
    assert [answer.status_code for answer in answers] == [200, 404]


@pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("named", [CALL, {**CALL, "id": "FC_9"}], ids=["as it is", "in another case"])
def test_a9_an_item_that_an_answer_only_repeats_is_not_the_clients_own(
    stage: Stage, sim: Simulator, stream: bool, named: dict[str, Any]
) -> None:
    with RedisServer() as redis:
        client = stage.http(strict(stage, redis))
        if stream:
            done = {"type": "response.output_item.done", "item": CALL}
            end = {"type": "response.completed", "response": {"id": "resp_1"}}
            text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in (done, end))
            sim.fail("eastus", status=200, body=text, headers={"content-type": "text/event-stream"}, count=1)
        else:
            made_by(sim, "eastus", CALL)
        assert respond(client, input=[named, RESULT], stream=stream).status_code == 200
        answer = respond(client, input=[{"type": "item_reference", "id": "fc_9"}])
    assert answer.status_code == 404


# References to an item of another client. A backend may take that one although one's own stands beside it.
REFERENCES = {
    "as usual": '{"type":"item_reference","id":"VICTIM"}',
    "without a type": '{"id":"VICTIM"}',
    "with null for a type": '{"type":null,"id":"VICTIM"}',
    "with a type in another case": '{"type":"item_reference","id":"VICTIM","Type":"message"}',
    "with an id in another case": '{"type":"item_reference","id":"VICTIM","ID":"rs_own"}',
    "with two ids": '{"type":"item_reference","id":"VICTIM","id":"rs_own"}',
    "reasoning without content": '{"type":"reasoning","id":"VICTIM","summary":[]}',
    "reasoning with null": '{"type":"reasoning","id":"VICTIM","encrypted_content":null}',
    "reasoning with empty content": '{"type":"reasoning","id":"VICTIM","encrypted_content":""}',
    "reasoning with content in another case": '{"type":"reasoning","id":"VICTIM","Encrypted_Content":"g"}',
    "compaction without content": '{"type":"compaction","id":"VICTIM"}',
}


@pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")
@pytest.mark.parametrize("reference", REFERENCES.values(), ids=list(REFERENCES))
def test_a9_a_strict_gateway_takes_no_spelling_of_a_reference_to_another_clients_item(
    stage: Stage, sim: Simulator, reference: str
) -> None:
    with RedisServer() as redis:
        gateway = strict(stage, redis)
        for key, name in ((CLIENT_KEY, "rs_victim"), (OTHER, "rs_own")):
            made_by(sim, "eastus", {**THOUGHT, "id": name})
            respond(stage.http(gateway, key))
        before = len(sim.requests("eastus"))
        body = f'{{"model":"gpt-4o","input":[{reference.replace("VICTIM", "rs_victim")}]}}'
        answer = stage.http(gateway, OTHER).post(
            V1_RESPONSES, content=body, headers={"content-type": "application/json"}
        )
    assert (answer.status_code, len(sim.requests("eastus")) - before) == (404, 0)


@pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")
@pytest.mark.parametrize("others", [16, 3000])
def test_a9_so_it_is_however_many_items_the_request_has(stage: Stage, sim: Simulator, others: int) -> None:
    with RedisServer() as redis:
        client = stage.http(strict(stage, redis))
        made_by(sim, "eastus", CALL)
        more = [{**USER, "type": "message", "id": f"msg_{number}"} for number in range(others)]
        assert respond(client, input=[CALL, RESULT, *more]).status_code == 200
        answer = respond(client, input=[{"type": "item_reference", "id": "fc_9"}])
    assert answer.status_code == 404


@pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")
def test_a9_a_strict_gateway_knows_each_of_a_clients_last_thousand_items(
    stage: Stage, sim: Simulator
) -> None:
    with RedisServer() as redis:
        client = stage.http(strict(stage, redis))
        made_by(sim, "eastus", *({**CALL, "id": f"fc_{number}"} for number in range(1000)))
        respond(client)
        references = [{"type": "item_reference", "id": f"fc_{number}"} for number in range(1000)]
        answer = respond(client, input=references)
    assert answer.status_code == 200


@pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shape", [list, without_ids], ids=["with ids", "without ids"])
def test_r1_items_lead_to_their_maker_over_any_replica(
    stage: Stage, sim: Simulator, stream: bool, shape: Any
) -> None:
    with RedisServer() as redis:
        _, items = sealed(sim, stage, stream, **redis.settings)
        eventually(lambda: redis.command("KEYS", "*items:*"))
        again = [*shape(items), USER]
        answers = [respond(on_eastus(stage, **redis.settings), input=again) for _ in range(2)]
    assert [attempts(answer) for answer in answers] == [["westus:200"], ["westus:200"]]


@pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")
def test_a9_a_strict_gateway_knows_a_clients_own_items_over_any_replica(stage: Stage, sim: Simulator) -> None:
    with RedisServer() as redis:
        made_by(sim, "eastus", *({**CALL, "id": f"fc_{number}"} for number in range(40)))
        respond(stage.http(strict(stage, redis)))
        eventually(lambda: redis.command("KEYS", "*items:*"))
        replica = strict(stage, redis)
        references = [{"type": "item_reference", "id": f"fc_{number}"} for number in range(40)]
        answers = [respond(stage.http(replica, key), input=references) for key in (CLIENT_KEY, OTHER)]
    assert [answer.status_code for answer in answers] == [200, 404]


def test_r1_a_clients_items_push_out_no_others(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(
        **EASTUS_FIRST,
        GATEWAY_CLIENT_NAME_1="team-b",
        GATEWAY_CLIENT_KEY_1=OTHER,
        edits={"azure-openai-items: 3m": "azure-openai-items: 2m"},
    )
    mine, other = stage.http(gateway), stage.http(gateway, OTHER)
    sim.fail("eastus", status=429, retry_after_ms=1, count=1)
    made_by(sim, "westus", CALL)
    respond(mine)
    for turn in range(20):
        flood = [{"type": "message", "id": f"msg_{turn}_{number}", "content": []} for number in range(2000)]
        made_by(sim, "eastus", *flood)
        respond(other)
    assert attempts(respond(mine, input=[CALL, RESULT])) == ["westus:200"]
