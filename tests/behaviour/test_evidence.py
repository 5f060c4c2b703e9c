"""F8: what one request causes is not held against a backend that others can use."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import time
from typing import Any

import httpx
import openai
import pytest

from e2e.simulator import Simulator
from e2e.waiting import eventually
from tests.behaviour.conftest import CHAT, CLIENT_KEY, REGIONS, Stage
from tests.behaviour.support import attempts, chat, logged, record_of, records, winner
from tests.behaviour.test_coding_agents import NOT_VERIFIED, REFUSALS, SEALED
from tests.behaviour.test_stateful import respond

OTHER_KEY = "client-key-of-team-b-0002"
TWO_CLIENTS = {"GATEWAY_CLIENT_NAME_1": "team-b", "GATEWAY_CLIENT_KEY_1": OTHER_KEY}
HEAVY_EASTUS = {"AZURE_OPENAI_PRIORITY_0": 10}
EVERYWHERE = REGIONS[:2]
WRONG_PATH = "/openai/nosuch/x"
WRONG_ENDPOINT = "Access denied due to invalid subscription key or wrong API endpoint."


def clients(stage: Stage, **settings: object) -> tuple[httpx.Client, httpx.Client]:
    """Two clients of one gateway, whose breakers open after two failures."""
    gateway = stage.gateway(**{"BREAKER_FAILURES": 2} | TWO_CLIENTS | settings)
    return stage.http(gateway, CLIENT_KEY), stage.http(gateway, OTHER_KEY)


def fail_everywhere(sim: Simulator, **fault: Any) -> None:
    for region in EVERYWHERE:
        sim.fail(region, **fault)


def say(client: httpx.Client, text: str) -> httpx.Response:
    return chat(client, messages=[{"role": "user", "content": text}])


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 408}, {"reset": True}], ids=str)
def test_f8b_the_repeats_of_one_request_count_once(
    stage: Stage, sim: Simulator, fault: dict[str, Any]
) -> None:
    sim.fail("eastus", **fault, count=3)
    client, other = clients(stage, **HEAVY_EASTUS)
    for _ in range(3):
        chat(client)
    assert winner(say(other, "Something else")) == "eastus"


def test_f8b_different_requests_count_each(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=500, count=2)
    client, other = clients(stage, **HEAVY_EASTUS)
    say(client, "One")
    say(client, "Two")
    assert attempts(say(other, "Three")) == ["westus:200"]


def test_f8b_the_same_request_of_another_client_counts(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=500, count=2)
    client, other = clients(stage, **HEAVY_EASTUS)
    chat(client)
    chat(other)
    assert attempts(chat(client)) == ["westus:200"]


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 403}, {"status": 408}, {"reset": True}], ids=str
)
def test_f8b_what_all_candidates_say_of_one_clients_requests_counts_for_nobody_while_others_are_served(
    stage: Stage, sim: Simulator, fault: dict[str, Any]
) -> None:
    client, other = clients(stage)
    for number in range(2):
        say(other, f"Well {number}")
    fail_everywhere(sim, **fault, count=4)
    for number in range(4):
        say(client, f"Bad {number}")
    answers = [say(other, f"Still well {number}") for number in range(2)]
    assert {winner(answer) for answer in answers} == set(EVERYWHERE)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 403},
        {"status": 500},
        {"status": 408},
        {"reset": True},
        {"cut": 8},
        {"stream_error": "auto", "code": "server_error"},
    ],
    ids=str,
)
def test_f8b_requests_that_every_backend_fails_cost_another_client_no_answer(
    stage: Stage, sim: Simulator, fault: dict[str, Any]
) -> None:
    gateway = stage.gateway(REGIONS, **TWO_CLIENTS)
    client, other = stage.http(gateway), stage.http(gateway, OTHER_KEY)
    for region in REGIONS:
        sim.fail(region, **fault, contains="Bad")
    answers = []
    for number in range(10):
        # A stream that is cut ends so.
        with suppress(httpx.RemoteProtocolError):
            chat(client, messages=[{"role": "user", "content": f"Bad {number}"}], stream=True)
        answers += [say(other, f"Well {number} {text}") for text in range(8)]
    assert {answer.status_code for answer in answers} == {200}


def test_f8b_a_prompt_that_crashes_every_backend_is_no_concern_of_another_client(
    stage: Stage, sim: Simulator
) -> None:
    fail_everywhere(sim, status=500, code="model_error", contains="Bad")
    gateway = stage.gateway(**TWO_CLIENTS)
    bad: Any = [{"role": "user", "content": "Bad"}]
    with pytest.raises(openai.InternalServerError):
        stage.openai(gateway, max_retries=2).chat.completions.create(model="gpt-4o", messages=bad)
    answer = say(stage.http(gateway, OTHER_KEY), "Well")
    assert (answer.status_code, len(attempts(answer))) == (200, 1)


def test_f8b_streams_that_are_not_allowed_leave_plain_requests(stage: Stage, sim: Simulator) -> None:
    reason = "Streaming requests are not yet allowed."
    fail_everywhere(sim, status=403, message=reason, contains='"stream":true')
    client = stage.http(stage.gateway())
    answers = [chat(client, stream=is_stream) for is_stream in (True, False) * 3]
    assert [answer.status_code for answer in answers] == [403, 200] * 3
    assert answers[0].json()["error"]["message"] == reason


@pytest.mark.parametrize(
    "error",
    [
        {"status": 400, "code": "invalid_encrypted_content"},
        {"status": 404, "message": "Item with id 'rs_1' not found."},
        {"status": 404, "code": "DeploymentNotFound"},
        {"status": 429, "retry_after_ms": 1},
    ],
    ids=str,
)
def test_f8b_a_backend_that_has_not_worked_on_a_request_says_nothing_of_it(
    stage: Stage, sim: Simulator, error: dict[str, Any]
) -> None:
    client, other = clients(stage, **HEAVY_EASTUS)
    respond(other, input="Well")
    sim.fail("eastus", status=500, contains="Bad")
    sim.fail("westus", **error, contains="Bad")
    for number in range(2):
        respond(client, input=[SEALED, {"role": "user", "content": f"Bad {number}"}])
    assert winner(respond(other, input="Still well")) == "eastus"


# What a backend says of items that it cannot read.
UNFOUNDED: list[dict[str, Any]] = [
    *({"status": status, "body": {"error": error}} for status, error in REFUSALS.values()),
    {"stream_error": "auto", "code": "invalid_encrypted_content"},
]


@pytest.mark.parametrize("error", UNFOUNDED, ids=[*REFUSALS, "in a stream"])
def test_f3_a_backend_that_misses_what_no_request_refers_to_fails(
    stage: Stage, sim: Simulator, error: dict[str, Any]
) -> None:
    sim.fail("eastus", **error)
    client, _ = clients(stage, **HEAVY_EASTUS)
    answers = [chat(client, user=f"user-{number}", stream=True) for number in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [len(attempts(answer)) for answer in answers] == [2, 2, 1]


def test_f3_so_it_does_while_others_send_what_it_may_miss(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", **UNFOUNDED[0])
    client, agent = clients(stage, **HEAVY_EASTUS)
    for number in range(2):
        chat(client, user=f"user-{number}")
        respond(agent, input=[SEALED, {"role": "user", "content": f"Go on {number}"}])
    assert attempts(chat(client)) == ["westus:200"]


def test_f3_what_all_say_without_a_reason_is_the_clients_answer(stage: Stage, sim: Simulator) -> None:
    fail_everywhere(sim, **UNFOUNDED[3])
    answer = chat(clients(stage)[0])
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, NOT_VERIFIED)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "rs_" + "x" * 600},
        {"id": "rs_" + "x" * 600},
        {"type": "message", "role": "user", "content": [{"type": "x", "thing_id": "t" * 600}]},
        {"role": "user", "content": [{"type": "x", "Encrypted_Content": "sealed.westus.1"}]},
    ],
    ids=["reference", "bare", "mention", "seal"],
)
def test_f8b_a_request_that_refers_to_something_odd_may_miss_it(
    stage: Stage, sim: Simulator, item: dict[str, Any]
) -> None:
    client, other = clients(stage, **HEAVY_EASTUS)
    sim.fail("eastus", **UNFOUNDED[0], contains="Odd")
    for number in range(3):
        respond(client, input=[item, {"role": "user", "content": f"Odd {number}"}])
    assert winner(respond(other, input="Well")) == "eastus"


def test_f8b_nor_has_one_served_it_that_finds_fault_with_it(stage: Stage, sim: Simulator) -> None:
    client, other = clients(stage, **HEAVY_EASTUS)
    say(other, "Well")
    sim.fail("eastus", status=500, contains="Bad")
    sim.fail("westus", status=400, contains="Bad")
    for number in range(2):
        say(client, f"Bad {number}")
    assert winner(say(other, "Still well")) == "eastus"


def test_f8b_what_all_candidates_say_counts_when_a_second_client_meets_it(
    stage: Stage, sim: Simulator
) -> None:
    gateway = stage.gateway(["eastus"], BREAKER_FAILURES=1, **TWO_CLIENTS)
    client, other = stage.http(gateway), stage.http(gateway, OTHER_KEY)
    say(other, "Well")
    sim.fail("eastus", status=500, count=2)
    say(client, "One")
    say(other, "Two")
    assert "rests for 10 s: 500" in logged(gateway, "'eastus'")


def test_f8b_what_all_candidates_say_counts_when_nobody_was_served_lately(
    stage: Stage, sim: Simulator
) -> None:
    gateway = stage.gateway(["eastus"], BREAKER_FAILURES=1)
    sim.fail("eastus", status=500, count=1)
    say(stage.http(gateway), "One")
    assert "rests for 10 s" in logged(gateway, "'eastus'")


@pytest.mark.parametrize("served_before", [False, True])
def test_f8c_a_401_of_a_wrong_path_closes_nothing(stage: Stage, sim: Simulator, served_before: bool) -> None:
    fail_everywhere(sim, status=401, message=WRONG_ENDPOINT, path="/nosuch/")
    gateway = stage.gateway()
    client = stage.http(gateway)
    if served_before:
        assert chat(client).status_code == 200
    for path in (WRONG_PATH, WRONG_PATH, "/openai/nosuch/y"):
        client.get(path)
    statuses = [say(client, str(number)).status_code for number in range(2)]
    assert (statuses, "AZURE_OPENAI_KEY" in gateway.error_log.read_text()) == ([200, 200], False)


@pytest.mark.parametrize(("path", "reason"), [("/nosuch/", "forbidden"), ("/chat/", "credential")])
def test_f8c_o2_the_record_calls_a_credential_refused_only_when_it_is(
    stage: Stage, sim: Simulator, path: str, reason: str
) -> None:
    fail_everywhere(sim, status=401, message=WRONG_ENDPOINT, path=path)
    gateway = stage.gateway(["eastus"], GATEWAY_LOG_MODE="test")
    client = stage.http(gateway)
    client.get(WRONG_PATH) if reason == "forbidden" else say(client, "Hello")
    assert [attempt["reason"] for attempt in record_of(gateway)["attempts"]] == [reason]


def test_f8c_a_wrong_path_again_and_again_costs_another_client_no_answer(
    stage: Stage, sim: Simulator
) -> None:
    fail_everywhere(sim, status=401, message=WRONG_ENDPOINT, path="/nosuch/")
    gateway = stage.gateway(**TWO_CLIENTS)
    client, other = stage.http(gateway), stage.http(gateway, OTHER_KEY)
    statuses = []
    for number in range(12):
        assert client.get(WRONG_PATH).status_code == 403
        statuses += [say(other, f"{number} {text}").status_code for text in range(16)]
    assert (set(statuses), "AZURE_OPENAI_KEY" in gateway.error_log.read_text()) == ({200}, False)


@pytest.mark.parametrize("path", ["/openai/chat/completions", "/openai/deployments/gpt-4o/responses"])
def test_f8c_nor_does_that_of_a_wrong_base_url(stage: Stage, sim: Simulator, path: str) -> None:
    gateway = stage.gateway()
    client = stage.http(gateway)
    client.post("/openai/v1/responses", json={"model": "gpt-4o", "input": "Hello"})
    say(client, "Hello")
    fail_everywhere(sim, status=401, message=WRONG_ENDPOINT, count=1)
    answer = client.post(path, json=CHAT)
    assert (answer.status_code, "AZURE_OPENAI_KEY" in gateway.error_log.read_text()) == (403, False)


def test_f8d_a_request_that_all_candidates_refuse_is_403_with_their_reason(
    stage: Stage, sim: Simulator
) -> None:
    fail_everywhere(sim, status=401, message=WRONG_ENDPOINT, path="/nosuch/")
    answer = stage.http(stage.gateway()).get(WRONG_PATH)
    assert (answer.status_code, answer.json()["error"]["message"]) == (403, WRONG_ENDPOINT)


def test_f8d_so_is_one_that_all_refuse_with_403(stage: Stage, sim: Simulator) -> None:
    fail_everywhere(sim, status=403, code="Forbidden", message="Streaming requests are not yet allowed.")
    error = chat(stage.http(stage.gateway())).json()["error"]
    assert (error["code"], error["message"]) == ("Forbidden", "Streaming requests are not yet allowed.")


def test_f8c_a_key_that_is_wrong_from_the_start_is_found_at_once(stage: Stage) -> None:
    gateway = stage.gateway(**HEAVY_EASTUS, AZURE_OPENAI_KEY_0="not-the-key-of-eastus")
    client = stage.http(gateway)
    assert [attempts(say(client, text)) for text in ("One", "Two")] == [
        ["eastus:401", "westus:200"],
        ["westus:200"],
    ]
    assert "'eastus'" in logged(gateway, "AZURE_OPENAI_KEY_0")


def test_f8c_a_key_that_becomes_wrong_is_found_at_once(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(**HEAVY_EASTUS)
    client = stage.http(gateway)
    chat(client)
    sim.fail("eastus", status=401)
    trails = [attempts(say(client, text)) for text in ("One", "Two")]
    assert trails == [["eastus:401", "westus:200"], ["westus:200"]]
    logged(gateway, "AZURE_OPENAI_KEY_0")


def test_f8c_a_right_that_is_missing_for_one_operation_leaves_the_others(
    stage: Stage, sim: Simulator
) -> None:
    sim.fail("eastus", status=401, code="PermissionDenied", path="/images/")
    client = stage.http(stage.gateway(**HEAVY_EASTUS))
    client.post("/openai/v1/images/generations", json={"model": "gpt-4o", "prompt": "A cat"})
    assert attempts(client.post("/openai/v1/chat/completions", json=CHAT)) == ["eastus:200"]


def test_f8c_a_401_of_another_operation_than_the_last_that_worked_rests_that_operation(
    stage: Stage, sim: Simulator
) -> None:
    sim.fail("eastus", status=401, path="/embeddings")
    client = stage.http(stage.gateway(**HEAVY_EASTUS))
    chat(client)
    embeddings = [
        client.post("/openai/v1/embeddings", json={"model": "text-embedding-3-small", "input": text})
        for text in ("One", "Two")
    ]
    trails = [attempts(response) for response in (*embeddings, say(client, "Hello"))]
    assert trails == [["eastus:401", "westus:200"], ["westus:200"], ["eastus:200"]]


def test_f8c_the_log_names_the_variable_also_where_a_401_may_be_about_one_operation(
    stage: Stage, sim: Simulator
) -> None:
    gateway = stage.gateway(**HEAVY_EASTUS)
    client = stage.http(gateway)
    chat(client)
    client.get("/openai/v1/models")
    sim.fail("eastus", status=401)
    say(client, "Hello")
    assert "rests for" in logged(gateway, "AZURE_OPENAI_KEY_0")


def open_all(sim: Simulator, client: httpx.Client) -> None:
    """Opens the breakers of all backends, which open after one failure."""
    fail_everywhere(sim, status=500, count=1)
    say(client, "The request that opens them")


def test_f9_backends_behind_breakers_are_asked_when_nobody_else_is_left(stage: Stage, sim: Simulator) -> None:
    client, _ = clients(stage, BREAKER_FAILURES=1)
    open_all(sim, client)
    assert say(client, "Hello").status_code == 200


def test_f9_a_success_closes_the_breaker(stage: Stage, sim: Simulator) -> None:
    client, _ = clients(stage, BREAKER_FAILURES=1, **HEAVY_EASTUS)
    open_all(sim, client)
    assert [winner(say(client, text)) for text in ("One", "Two")] == ["eastus", "eastus"]


def test_f9_the_first_breaker_to_close_is_the_first_to_be_passed(stage: Stage, sim: Simulator) -> None:
    client, _ = clients(stage, BREAKER_FAILURES=1, **HEAVY_EASTUS)
    sim.fail("westus", status=500)
    sim.fail("eastus", status=429, retry_after_ms=300, count=1)
    say(client, "Opens the breaker of westus")
    sim.fail("eastus", status=500)
    eventually(lambda: "eastus:500" in attempts(say(client, str(time()))))
    sim.reset()
    assert attempts(say(client, "Hello")) == ["westus:200"]


def test_f9_a_failure_does_not_lengthen_the_back_off(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"], BREAKER_FAILURES=1, BREAKER_OPEN_SECONDS=1)
    client = stage.http(gateway)
    sim.fail("eastus", status=500, count=4)
    for number in range(4):
        say(client, f"Bad {number}")
    assert logged(gateway, "rests for")
    assert gateway.error_log.read_text().count("rests for") == 1


def test_f9_a_throttled_backend_is_not_passed_by(stage: Stage, sim: Simulator) -> None:
    client, _ = clients(stage, BREAKER_FAILURES=1, **HEAVY_EASTUS)
    sim.fail("eastus", status=500)
    sim.fail("westus", status=429, retry_after=30)
    say(client, "One")
    answer = say(client, "Two")
    assert (answer.status_code, attempts(answer)) == (429, ["eastus:500"])


def test_f9_beyond_the_bound_the_answer_is_503_with_a_time(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"], BREAKER_FAILURES=1, BREAKER_OVERRIDE_CONCURRENCY=1)
    client = stage.http(gateway)
    sim.fail("eastus", status=500, count=1)
    say(client, "Bad")
    sim.fail("eastus", slow_first_byte=3)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(say, client, "Slow")
        sim.wait_for_requests("eastus", 2)
        answer = say(client, "One too many")
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
        assert slow.result().status_code == 200


def test_b1_a_single_backend_whose_deployment_seemed_to_be_missing_is_asked_again(
    stage: Stage, sim: Simulator
) -> None:
    sim.fail("eastus", status=404, code="DeploymentNotFound", count=1)
    client = stage.http(stage.gateway(["eastus"]))
    assert [chat(client).status_code for _ in range(2)] == [404, 200]


def test_b1_of_a_deployment_that_all_miss_one_is_asked_and_the_others_once_a_second(
    stage: Stage, sim: Simulator
) -> None:
    fail_everywhere(sim, status=404, code="DeploymentNotFound")
    client = stage.http(stage.gateway())
    asked = [len(attempts(say(client, str(number)))) for number in range(10)]
    assert (asked[:2], min(asked)) == ([2, 2], 1)


@pytest.mark.parametrize("backends", [2, 3])
def test_b1_where_all_seem_to_miss_it_a_client_is_served_by_the_one_that_does_not(
    stage: Stage, sim: Simulator, backends: int
) -> None:
    names = REGIONS[:backends]
    gateway = stage.gateway(names, **TWO_CLIENTS)
    for name in names[:-1]:
        sim.fail(name, status=404, code="DeploymentNotFound")
    sim.fail(names[-1], status=404, code="DeploymentNotFound", contains="odd")
    say(stage.http(gateway), "odd")
    other = stage.http(gateway, OTHER_KEY)
    assert {say(other, str(number)).status_code for number in range(3)} == {200}


def test_b1_what_a_client_does_without_a_model_does_not_hide_that_one_is_missing(
    stage: Stage, sim: Simulator
) -> None:
    client, other = clients(stage, **HEAVY_EASTUS)
    sim.fail("eastus", status=404, code="DeploymentNotFound", path="/chat")
    conversation = other.post("/openai/v1/conversations", json={}).json()["id"]
    say(client, "Found missing")
    named = {"model": CHAT["model"], "metadata": {}}
    assert other.post(f"/openai/v1/conversations/{conversation}", json=named).status_code == 200
    assert attempts(say(client, "Hello")) == ["westus:200"]


def test_b1_f9_one_that_seems_to_be_missing_stays_behind_its_breaker(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(["eastus"], BREAKER_FAILURES=1, BREAKER_OVERRIDE_CONCURRENCY=1))
    sim.fail("eastus", status=404, code="DeploymentNotFound", count=1)
    say(client, "Found missing")
    sim.fail("eastus", status=500, count=1)
    say(client, "Opens the breaker")
    sim.fail("eastus", slow_first_byte=2)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(say, client, "Slow")
        sim.wait_for_requests("eastus", 3)
        assert say(client, "One too many").status_code == 503
        assert slow.result().status_code == 200


MISSING_ON_EASTUS: dict[str, Any] = {"status": 404, "code": "DeploymentNotFound", "contains": "odd"}


def test_b1_a_deployment_that_seems_to_be_missing_is_looked_for_when_others_are_throttled(
    stage: Stage, sim: Simulator
) -> None:
    client, other = clients(stage, **HEAVY_EASTUS)
    sim.fail("eastus", **MISSING_ON_EASTUS)
    say(client, "odd")
    sim.fail("westus", status=429, retry_after=30)
    trails = [attempts(say(other, text)) for text in ("One", "Two")]
    assert trails == [["westus:429", "eastus:200"], ["eastus:200"]]


def test_b1_the_look_of_one_client_takes_none_from_another_of_its_group(stage: Stage, sim: Simulator) -> None:
    group = {"GATEWAY_CLIENT_GROUP_0": "research", "GATEWAY_CLIENT_GROUP_1": "research"}
    client, other = clients(stage, **HEAVY_EASTUS, **group)
    sim.fail("eastus", **MISSING_ON_EASTUS)
    say(client, "odd")
    sim.fail("westus", status=429, retry_after=30)
    say(client, "odd again")
    assert say(other, "Hello").status_code == 200


def test_b1_it_is_looked_for_by_one_request_a_second(stage: Stage, sim: Simulator) -> None:
    client, other = clients(stage, **HEAVY_EASTUS)
    sim.fail("eastus", status=404, code="DeploymentNotFound")
    say(client, "Found missing")
    sim.fail("westus", status=429, retry_after=30)
    answers = [say(other, str(number)) for number in range(5)]
    asked = sum(trail.startswith("eastus") for answer in answers for trail in attempts(answer))
    assert ({answer.status_code for answer in answers}, 1 <= asked < 5) == ({429}, True)


def test_b1_what_one_request_misses_everywhere_is_there_for_others(stage: Stage, sim: Simulator) -> None:
    client, other = clients(stage, **HEAVY_EASTUS)
    respond(other)
    fail_everywhere(sim, status=404, code="DeploymentNotFound", contains="image_generation")
    for _ in range(2):
        answer = respond(client, tools=[{"type": "image_generation"}])
        assert attempts(answer) == ["eastus:404", "westus:404"]
    sim.fail("eastus", status=429, retry_after=30)
    assert attempts(respond(other)) == ["eastus:429", "westus:200"]


def test_b1_a_deployment_that_has_just_served_is_not_missing(stage: Stage, sim: Simulator) -> None:
    client, other = clients(stage, **HEAVY_EASTUS)
    respond(other)
    sim.fail("eastus", status=404, code="DeploymentNotFound", contains="image_generation")
    assert attempts(respond(client, tools=[{"type": "image_generation"}])) == ["eastus:404", "westus:200"]
    assert attempts(respond(other)) == ["eastus:200"]


@pytest.mark.parametrize("status", [400, 404])
def test_b1_an_unknown_model_moves_on(stage: Stage, sim: Simulator, status: int) -> None:
    sim.fail("eastus", status=status, code="unknown_model", message="Unknown model: gpt-4o")
    client = stage.http(stage.gateway(**HEAVY_EASTUS))
    assert attempts(chat(client)) == [f"eastus:{status}", "westus:200"]


def test_b1_a_404_of_another_operation_leaves_chat(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=404, code="DeploymentNotFound", path="/embeddings")
    client = stage.http(stage.gateway(**HEAVY_EASTUS))
    embedding = {"model": "gpt-4o", "input": "Hello"}
    trails = [attempts(client.post("/openai/v1/embeddings", json=embedding)) for _ in range(2)]
    assert [trail[0] for trail in trails] == ["eastus:404", trails[1][0]]
    assert trails[1][0].startswith("westus")
    assert attempts(chat(client)) == ["eastus:200"]


def test_f3_a_503_that_says_how_long_rests_so_long(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=503, retry_after=30)
    gateway = stage.gateway(**HEAVY_EASTUS)
    client = stage.http(gateway)
    assert [attempts(chat(client)) for _ in range(2)] == [["eastus:503", "westus:200"], ["westus:200"]]
    assert "rests for 30 s: 503" in logged(gateway, "'eastus'")


def test_f2_the_only_backend_is_asked_although_its_quota_is_used_up(stage: Stage, sim: Simulator) -> None:
    headers = {"x-ratelimit-remaining-requests": "0"}
    sim.fail("eastus", status=200, body={"choices": []}, headers=headers)
    client = stage.http(stage.gateway(["eastus"]))
    assert [chat(client).status_code for _ in range(3)] == [200, 200, 200]


def test_f8_a_realtime_session_that_needs_another_key_is_refused_for_itself(
    stage: Stage, sim: Simulator
) -> None:
    fail_everywhere(sim, status=401, message="requires ephemeral authentication", path="/realtime")
    gateway = stage.gateway()
    client = stage.http(gateway)
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    answer = client.get("/openai/v1/realtime?model=gpt-4o", headers=upgrade)
    assert (answer.status_code, say(client, "Hello").status_code) == (403, 200)
    assert "AZURE_OPENAI_KEY" not in gateway.error_log.read_text()


def test_f9_an_outage_of_all_backends_ends_with_one_trial(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(REGIONS, **TWO_CLIENTS)
    client, other = stage.http(gateway), stage.http(gateway, OTHER_KEY)
    for region in REGIONS:
        sim.fail(region, status=500)
    for number in range(6):
        say(client, f"Down {number}")
        say(other, f"Down too {number}")
    asked = [len(sim.requests(region)) for region in REGIONS]
    sim.reset()
    answer = say(other, "Well again")
    assert (max(asked) <= 12, answer.status_code, len(attempts(answer))) == (True, 200, 1)


def test_f9_meanwhile_each_backend_is_asked_by_so_many_at_a_time(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(REGIONS, BREAKER_FAILURES=1, BREAKER_OVERRIDE_CONCURRENCY=1))
    for region in REGIONS:
        sim.fail(region, status=500, count=1)
    say(client, "Opens all breakers")
    for region in REGIONS:
        sim.fail(region, slow_first_byte=3)
    with ThreadPoolExecutor(len(REGIONS)) as pool:
        for number in range(len(REGIONS)):
            pool.submit(say, client, f"Slow {number}")
        for region in REGIONS:
            sim.wait_for_requests(region, 2)
        answer = say(client, "One too many")
    assert (answer.status_code, attempts(answer), int(answer.headers["retry-after"]) > 0) == (503, [""], True)


@pytest.fixture
def black_hole() -> Iterator[int]:
    """The port of a server that accepts no connection: the queue of those that wait is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for connection in waiting:
            connection.close()


def test_f9_a_backend_that_accepts_no_connection_is_waited_for_a_tenth_of_the_time(
    stage: Stage, sim: Simulator, black_hole: int
) -> None:
    gateway = stage.gateway(
        AZURE_OPENAI_PRIORITY_0=10,
        AZURE_OPENAI_ENDPOINT_0=f"http://127.0.0.1:{black_hole}",
        AI_PROXY_CONNECT_TIMEOUT_MS=3000,
        BREAKER_FAILURES=1,
    )
    client = stage.http(gateway)
    sim.fail("westus", status=500, count=1)
    say(client, "Opens both breakers")
    sim.fail("westus", status=500)
    say(client, "Asks both, behind their breakers")
    trails = [record["attempts"] for record in records(gateway, 2)]
    waited = [attempt["ms"] for trail in trails for attempt in trail if attempt["backend"] == "eastus"]
    assert (len(waited), waited[1] < waited[0] / 2) == (2, True)


def test_f9_who_waits_for_such_a_backend_is_served_by_the_other(
    stage: Stage, sim: Simulator, black_hole: int
) -> None:
    gateway = stage.gateway(
        AZURE_OPENAI_PRIORITY_0=10,
        AZURE_OPENAI_ENDPOINT_0=f"http://127.0.0.1:{black_hole}",
        AI_PROXY_CONNECT_TIMEOUT_MS=500,
        BREAKER_FAILURES=1,
    )
    client = stage.http(gateway)
    sim.fail("westus", status=500, count=1)
    say(client, "Opens both breakers")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: say(client, str(number)), range(4)))
    assert [(answer.status_code, winner(answer)) for answer in answers] == [(200, "westus")] * 4
