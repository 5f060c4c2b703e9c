"""F2: for which requests a cool-down holds, and how it ends."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from e2e.simulator import Quota, Simulator
from tests.behaviour.conftest import CLIENT_KEY, REGIONS, Stage
from tests.behaviour.support import attempts, chat
from tests.behaviour.test_evidence import OTHER_KEY, TWO_CLIENTS, say

QUOTA = Quota(tpm=10_000)
SMALL = {"max_tokens": 100}


def large(client: httpx.Client, max_tokens: int, **members: object) -> httpx.Response:
    return chat(client, max_tokens=max_tokens, **members)


def limit_all(sim: Simulator, quota: Quota) -> None:
    for region in REGIONS[:2]:
        sim.quota(region, "gpt-4o", quota)


def test_f2_a_request_that_does_not_fit_sends_smaller_ones_nowhere_else(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", QUOTA)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    chat(client, **SMALL)
    trails = [attempts(large(client, 9_950)), attempts(large(client, 9_950)), attempts(chat(client, **SMALL))]
    assert trails == [["eastus:429", "westus:200"], ["westus:200"], ["eastus:200"]]


def test_f2_a_cooldown_holds_from_half_the_size_that_was_refused(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", QUOTA)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    large(client, 1_000)
    large(client, 9_500)
    assert [attempts(large(client, size))[0] for size in (5_000, 4_000)] == ["westus:200", "eastus:200"]


def test_f2_what_is_left_counts_when_it_is_less(stage: Stage, sim: Simulator) -> None:
    sim.quota("eastus", "gpt-4o", QUOTA)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    large(client, 8_900)
    large(client, 9_500)
    trails = [attempts(large(client, size))[0] for size in (2_000, 500, 700)]
    assert trails == ["westus:200", "eastus:200", "westus:200"]


def test_f2_a_huge_request_that_is_refused_leaves_the_small_ones_alone(stage: Stage, sim: Simulator) -> None:
    left = {"x-ratelimit-remaining-tokens": "100000"}
    sim.fail("eastus", status=200, body={"choices": []}, headers=left, count=1)
    sim.fail("eastus", status=429, retry_after=60, contains="200000")
    client = stage.http(stage.gateway(["eastus"]))
    statuses = [large(client, size).status_code for size in (100, 200_000, 2_000, 2_000)]
    assert statuses == [200, 429, 200, 200]


def test_f2_without_a_report_of_what_is_left_a_cooldown_holds_for_all(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=30, count=1)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    large(client, 9_000)
    assert attempts(chat(client, **SMALL)) == ["westus:200"]


def test_f2_a_used_up_limit_of_requests_holds_for_all(stage: Stage, sim: Simulator) -> None:
    left = {"x-ratelimit-remaining-tokens": "9000", "x-ratelimit-remaining-requests": "0"}
    sim.fail("eastus", status=429, retry_after=30, headers=left, count=1)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    large(client, 8_000)
    assert attempts(chat(client, **SMALL)) == ["westus:200"]


def test_f2_a_429_to_a_smaller_request_lowers_the_size(stage: Stage, sim: Simulator) -> None:
    left = {"x-ratelimit-remaining-tokens": "9000"}
    sim.fail("eastus", status=429, retry_after=30, headers=left, count=2)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    trails = [attempts(large(client, size))[0] for size in (8_000, 2_000, 3_000, 100)]
    assert trails == ["eastus:429", "eastus:429", "westus:200", "eastus:200"]


@pytest.mark.parametrize("times", ["n", "best_of"])
def test_f2_the_answers_that_are_asked_for_count(stage: Stage, sim: Simulator, times: str) -> None:
    sim.quota("eastus", "gpt-4o", QUOTA)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    large(client, 1_000)
    large(client, 9_500)
    assert attempts(large(client, 1_000, **{times: 6})) == ["westus:200"]


def test_f2_a_request_above_the_whole_limit_is_told_what_would_fit(stage: Stage, sim: Simulator) -> None:
    limit_all(sim, QUOTA)
    client = stage.http(stage.gateway())
    answer = large(client, 20_000)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false")
    assert "10000 a minute at most" in answer.json()["error"]["message"]


def test_f2_a_limit_that_is_configured_counts_where_none_is_reported(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=30)
    settings = {"AZURE_OPENAI_TOKENS_PER_MINUTE_0": "gpt-4o=10000", "AZURE_OPENAI_DEPLOYMENTS_0": "gpt-4o"}
    answer = large(stage.http(stage.gateway(["eastus"], **settings)), 20_000)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false")
    assert "10000 a minute at most" in answer.json()["error"]["message"]


def test_f2_nor_is_it_sent_again(stage: Stage, sim: Simulator) -> None:
    limit_all(sim, QUOTA)
    client = stage.http(stage.gateway(AI_PROXY_MAX_WAIT_MS=5000))
    large(client, 20_000)
    answer = large(client, 20_001)
    assert (answer.headers["x-should-retry"], len(sim.requests("eastus"))) == ("false", 1)


def test_f2_it_takes_nothing_from_other_clients(stage: Stage, sim: Simulator) -> None:
    limit_all(sim, QUOTA)
    gateway = stage.gateway(**TWO_CLIENTS)
    client, other = stage.http(gateway, CLIENT_KEY), stage.http(gateway, OTHER_KEY)
    large(client, 20_000)
    answers = [large(other, 3_000) for _ in range(4)]
    assert [(answer.status_code, len(attempts(answer))) for answer in answers] == [(200, 1)] * 4


def test_f2_a_request_for_which_another_deployment_is_large_enough_is_to_be_tried_again(
    stage: Stage, sim: Simulator
) -> None:
    sim.quota("eastus", "gpt-4o", QUOTA)
    sim.fail("westus", status=429, retry_after=7)
    client = stage.http(stage.gateway())
    answer = large(client, 20_000)
    assert (answer.headers["retry-after"], answer.headers.get("x-should-retry")) == ("7", None)


def test_f2_one_of_those_that_wait_goes_first_when_a_cooldown_ends(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after_ms=1000)
    client = stage.http(stage.gateway(["eastus"], AI_PROXY_MAX_WAIT_MS=1500))
    say(client, "Starts the cool-down")
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda number: say(client, str(number)), range(32)))
    assert {answer.status_code for answer in answers} == {429}
    assert len(sim.requests("eastus")) - 1 <= 3


def test_f2_an_answer_opens_the_pair_for_all(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after_ms=300, count=1)
    client = stage.http(stage.gateway(["eastus"], AI_PROXY_MAX_WAIT_MS=3000))
    say(client, "Starts the cool-down")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: say(client, str(number)), range(16)))
    assert Counter(answer.status_code for answer in answers) == {200: 16}


def test_f2_while_the_first_is_not_answered_more_may_go(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after_ms=300, count=1)
    gateway = stage.gateway(["eastus"], AI_PROXY_MAX_WAIT_MS=5000)
    client = stage.http(gateway)
    say(client, "Starts the cool-down")
    sim.fail("eastus", hang=3)
    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(say, client, str(number))
        sim.wait_for_requests("eastus", 4)
        sim.reset()
    assert json.loads(chat(client).content)["choices"]


ABOVE: dict[str, object] = {
    "contains": "20000",
    "status": 429,
    "retry_after": 60,
    "headers": {"x-ratelimit-limit-tokens": "10000", "x-ratelimit-remaining-tokens": "9000"},
}


def after_a_request_above_the_limit(stage: Stage, sim: Simulator) -> httpx.Client:
    """A client of a gateway with one backend, after another client has asked for more than its limit."""
    sim.fail("eastus", **ABOVE)
    gateway = stage.gateway(["eastus"], **TWO_CLIENTS)
    assert large(stage.http(gateway, OTHER_KEY), 20_000).status_code == 429
    return stage.http(gateway)


def test_f2_what_is_left_later_has_nothing_to_do_with_a_request_above_the_limit(
    stage: Stage, sim: Simulator
) -> None:
    client = after_a_request_above_the_limit(stage, sim)
    sim.fail("eastus", status=200, body={"choices": []}, headers={"x-ratelimit-remaining-tokens": "0"})
    assert [say(client, str(number)).status_code for number in range(3)] == [200, 200, 200]


def test_f2_a_short_cooldown_of_small_requests_is_not_made_longer_by_large_ones(
    stage: Stage, sim: Simulator
) -> None:
    client = after_a_request_above_the_limit(stage, sim)
    sim.fail("eastus", status=429, retry_after=2, count=1)
    assert say(client, "Hello").headers["retry-after"] == "2"


def test_f2_nor_by_large_ones_that_come_later(stage: Stage, sim: Simulator) -> None:
    left = {"x-ratelimit-remaining-tokens": "9000"}
    sim.fail("eastus", status=429, retry_after=2, headers=left, contains="2000")
    sim.fail("eastus", status=429, retry_after=30, headers=left, contains="900")
    client = stage.http(stage.gateway(["eastus"]))
    answers = [large(client, size) for size in (9_000, 2_000, 2_000, 9_000)]
    assert [int(answer.headers["retry-after"]) > 2 for answer in answers] == [True, False, False, True]
