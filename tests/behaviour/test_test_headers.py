"""The headers and limits that only the routes of end-to-end tests have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from e2e.redis_server import RedisServer, is_installed
from e2e.simulator import Quota, Simulator
from e2e.waiting import eventually
from tests.behaviour.conftest import API_VERSION, CHAT, Stage
from tests.behaviour.e2e_stage import PAYG_1, PTU, chat, e2e_gateway
from tests.behaviour.support import DEPLOYMENT_CHAT, V1_CHAT, record_of

needs_redis = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")

TRACKING = "prioritization-token-tracking"
CALCULATING = "prioritization-token-calculating"
LOW = {"x-priority": "low"}
LARGE = "gpt-35-turbo-100k-token"
SMALL = "gpt-35-turbo-10k-token"
TEST_HEADERS = ("x-apim-", "x-gw-")


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def of_tests(answer: httpx.Response) -> dict[str, str]:
    """The headers of an answer that only test routes have."""
    return {name: value for name, value in answer.headers.items() if name.startswith(TEST_HEADERS)}


def remaining(answer: httpx.Response) -> tuple[str, str]:
    """The tokens and the requests that an answer shows as left."""
    return answer.headers["x-gw-remaining-tokens"], answer.headers["x-gw-remaining-requests"]


def why_refused(answer: httpx.Response) -> tuple[str, str]:
    """The reason of a refusal, and the number that was too small."""
    return answer.headers["x-gw-ratelimit-reason"], answer.headers["x-gw-ratelimit-value"]


def report(sim: Simulator, **left: int) -> None:
    """Lets the provisioned backend report what is left, and no limits, as the toolkit's simulator does."""
    sim.clear_faults(PTU)
    headers = {f"x-ratelimit-remaining-{kind}": str(number) for kind, number in left.items()}
    sim.fail(PTU, status=200, headers=headers, body={"choices": []})


def ask(
    client: httpx.Client, prefix: str, deployment: str = LARGE, *, low: bool = False, **members: object
) -> httpx.Response:
    """A completion as the toolkit's load tests send it."""
    target = f"/{prefix}/openai/deployments/{deployment}/chat/completions?api-version=2023-05-15"
    body = CHAT | {"model": "gpt-35-turbo"} | members
    return client.post(target, json=body, headers=LOW if low else {})


def test_an_answer_names_backend_lane_and_what_is_left(stage: Stage, sim: Simulator) -> None:
    report(sim, tokens=90_000, requests=80)
    answer = ask(stage.http(e2e_gateway(stage)), TRACKING)
    assert (answer.status_code, of_tests(answer)) == (
        200,
        {
            "x-apim-backend": "ptu-backend-1",
            "x-gw-priority": "high",
            "x-gw-remaining-tokens": "90000",
            "x-gw-remaining-requests": "80",
        },
    )


def test_what_no_backend_has_reported_is_shown_as_minus_one(stage: Stage, sim: Simulator) -> None:
    report(sim)
    answer = ask(stage.http(e2e_gateway(stage)), TRACKING)
    assert remaining(answer) == (
        "-1",
        "-1",
    )


@pytest.mark.parametrize(
    ("answer_of", "status"),
    [
        (lambda stage, gateway: chat(stage.http(gateway, key=None), "usage-tracking"), 401),
        (lambda stage, gateway: stage.http(gateway).post(f"/usage-tracking{V1_CHAT}", content=b"{"), 400),
        (lambda stage, gateway: chat(stage.http(gateway), "usage-tracking"), 429),
    ],
    ids=["no key", "no JSON", "throttled"],
)
def test_refusals_have_them_too(stage: Stage, sim: Simulator, answer_of: Any, status: int) -> None:
    sim.fail(PAYG_1, status=429, retry_after=60)
    answer = answer_of(stage, e2e_gateway(stage))
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in ("x-gw-priority", "x-apim-backend")} == {
        "x-gw-priority": "high",
        "x-apim-backend": None,
    }


def test_backends_cannot_set_the_gateways_counts(stage: Stage, sim: Simulator) -> None:
    names = ("x-apim-remaining-tokens", "x-apim-total-requests", "x-apim-tokens-retry-after")
    sim.fail(PAYG_1, status=200, headers=dict.fromkeys(names, "7"), body={"choices": []})
    answer = chat(stage.http(e2e_gateway(stage)), "usage-tracking")
    assert [name for name in names if name in answer.headers] == []


@pytest.mark.parametrize("members", ['"max_tokens": 1e999, "best_of": 0', '"max_tokens": 0.5'])
def test_an_odd_maximum_costs_whole_tokens(stage: Stage, members: str) -> None:
    client = stage.http(e2e_gateway(stage))
    path = f"/{CALCULATING}/openai/deployments/{LARGE}/chat/completions?api-version=2023-05-15"
    client.post(path, content=f'{{"messages": [{{"role": "user", "content": "Hello"}}], {members}}}')
    left = ask(client, CALCULATING, max_tokens=10).headers["x-gw-remaining-tokens"]
    assert left in ("99990", "99989")


@needs_redis
def test_an_endless_maximum_uses_the_limit_up_for_all_replicas(stage: Stage, redis: RedisServer) -> None:
    one, other = (stage.http(e2e_gateway(stage, **redis.settings)) for _ in range(2))
    ask(one, CALCULATING, max_tokens=1e308, best_of=2)
    assert eventually(lambda: ask(other, CALCULATING).status_code == 429)


@pytest.mark.parametrize("path", ["", "/usage-tracking"])
def test_backends_cannot_set_them(stage: Stage, sim: Simulator, path: str) -> None:
    for region in (PTU, PAYG_1):
        sim.fail(region, status=200, headers={"x-gw-priority": "none"}, body={"choices": []})
    answer = stage.http(e2e_gateway(stage)).post(path + V1_CHAT, json=CHAT)
    assert answer.headers.get("x-gw-priority") == ("high" if path else None)


def test_l1_the_query_may_name_the_low_lane(stage: Stage, sim: Simulator) -> None:
    gateway = e2e_gateway(stage)
    answer = stage.http(gateway).post(f"/usage-tracking{DEPLOYMENT_CHAT}&priority=low&a=%2F", json=CHAT)
    assert (answer.headers["x-gw-priority"], record_of(gateway)["lane"]) == ("low", "low")
    assert sim.requests(PAYG_1)[0].path == f"{DEPLOYMENT_CHAT}&a=%2F"
    assert sim.requests(PAYG_1)[0].header("x-priority") is None


def test_l1_the_header_names_it_as_ever(stage: Stage) -> None:
    answer = ask(stage.http(e2e_gateway(stage)), TRACKING, low=True)
    assert answer.headers["x-gw-priority"] == "low"


def test_routes_of_production_have_neither_the_headers_nor_the_query(stage: Stage, sim: Simulator) -> None:
    gateway = e2e_gateway(stage)
    answer = stage.http(gateway).post(f"{DEPLOYMENT_CHAT}&priority=low", json=CHAT)
    assert (answer.status_code, of_tests(answer), record_of(gateway)["lane"]) == (200, {}, "high")
    assert sim.requests(PTU)[0].path == f"{DEPLOYMENT_CHAT}&priority=low"


def test_routes_of_production_refuse_with_their_own_reason(stage: Stage, sim: Simulator) -> None:
    report(sim, tokens=100)
    gateway = e2e_gateway(
        stage,
        LOW_LANE_RESERVE_PERCENT=30,
        AZURE_OPENAI_TOKENS_PER_MINUTE_0="gpt-4o=1000",
        AZURE_OPENAI_WEIGHT_1=0,
        AZURE_OPENAI_WEIGHT_2=0,
    )
    client = stage.http(gateway)
    client.post(V1_CHAT, json=CHAT)
    answer = client.post(V1_CHAT, json=CHAT, headers=LOW)
    assert (answer.status_code, of_tests(answer)) == (429, {"x-gw-ratelimit-reason": "low-lane-reserve"})


@pytest.mark.parametrize(
    ("left", "reason", "value"),
    [
        ({"tokens": 29_999, "requests": 100}, "tokens-below-low-priority-threshold", "29999"),
        ({"tokens": 100_000, "requests": 29}, "requests-below-low-priority-threshold", "29"),
    ],
    ids=["tokens", "requests"],
)
def test_l3_tracking_refuses_low_requests_below_its_thresholds(
    stage: Stage, sim: Simulator, left: dict[str, int], reason: str, value: str
) -> None:
    report(sim, **left)
    client = stage.http(e2e_gateway(stage))
    ask(client, TRACKING)
    answer = ask(client, TRACKING, low=True)
    assert (answer.status_code, answer.headers["x-gw-priority"]) == (429, "low")
    assert why_refused(answer) == (
        reason,
        value,
    )


def test_l3_tracking_lets_low_requests_pass_at_the_threshold(stage: Stage, sim: Simulator) -> None:
    report(sim, tokens=30_000, requests=30)
    client = stage.http(e2e_gateway(stage))
    ask(client, TRACKING)
    assert ask(client, TRACKING, low=True).status_code == 200


def test_l3_tracking_goes_by_its_own_limit_even_when_a_backend_names_one(
    stage: Stage, sim: Simulator
) -> None:
    sim.quota(PTU, LARGE, Quota(tpm=40_000))
    client = stage.http(e2e_gateway(stage))
    ask(client, TRACKING, max_tokens=12_000)
    assert ask(client, TRACKING, low=True).status_code == 429


def test_l3_tracking_lets_high_requests_pass(stage: Stage, sim: Simulator) -> None:
    report(sim, tokens=1, requests=1)
    client = stage.http(e2e_gateway(stage))
    assert [ask(client, TRACKING).status_code for _ in range(3)] == [200, 200, 200]


def test_l3_tracking_knows_that_a_throttled_backend_has_nothing_left(stage: Stage, sim: Simulator) -> None:
    sim.fail(PTU, status=429, retry_after=60, headers={"x-ratelimit-reset-tokens": "60"})
    client = stage.http(e2e_gateway(stage))
    ask(client, TRACKING)
    answer = ask(client, TRACKING, low=True)
    assert why_refused(answer) == (
        "tokens-below-low-priority-threshold",
        "0",
    )


def test_l3_tracking_names_the_reason_also_when_low_requests_are_alone(stage: Stage, sim: Simulator) -> None:
    sim.fail(PTU, status=429, retry_after=60, headers={"x-ratelimit-reset-tokens": "60"})
    client = stage.http(e2e_gateway(stage))
    ask(client, TRACKING, low=True)
    answer = ask(client, TRACKING, low=True)
    assert why_refused(answer) == ("tokens-below-low-priority-threshold", "0")


def test_l3_one_low_request_finds_out_what_is_left_when_high_ones_do_not(
    stage: Stage, sim: Simulator
) -> None:
    report(sim, tokens=100)
    edits = {"low_lane_probe_seconds: 10": "low_lane_probe_seconds: 1"}
    client = stage.http(e2e_gateway(stage, edits=edits))
    ask(client, TRACKING)
    assert ask(client, TRACKING, low=True).status_code == 429
    report(sim, tokens=90_000)
    assert eventually(lambda: ask(client, TRACKING, low=True).status_code == 200)
    assert ask(client, TRACKING, low=True).status_code == 200


def left_by_count(answer: httpx.Response) -> tuple[str, str]:
    return answer.headers["x-apim-remaining-tokens"], answer.headers["x-apim-remaining-requests"]


def test_calculating_counts_what_requests_may_take(stage: Stage) -> None:
    answer = ask(stage.http(e2e_gateway(stage)), CALCULATING, max_tokens=100)
    assert left_by_count(answer) == ("99900", "99")
    assert (answer.headers["x-apim-total-tokens"], answer.headers["x-apim-total-requests"]) == (
        "100000",
        "100",
    )
    assert remaining(answer) == (
        "99900",
        "99",
    )


@pytest.mark.parametrize(
    ("members", "tokens"), [({}, 16), ({"max_tokens": 10, "best_of": 3}, 30), ({"max_tokens": None}, 16)]
)
def test_calculating_takes_best_of_into_account_and_16_for_no_maximum(
    stage: Stage, members: dict[str, object], tokens: int
) -> None:
    answer = ask(stage.http(e2e_gateway(stage)), CALCULATING, **members)
    assert left_by_count(answer)[0] == str(100_000 - tokens)


@pytest.mark.parametrize(("given", "tokens"), [("x" * 41, 11), (["x" * 20, "x" * 20], 10)])
def test_calculating_takes_a_quarter_of_the_characters_to_embed(
    stage: Stage, given: object, tokens: int
) -> None:
    target = f"/{CALCULATING}/openai/deployments/embedding100k/embeddings?api-version={API_VERSION}"
    answer = stage.http(e2e_gateway(stage)).post(target, json={"input": given, "model": "embedding"})
    assert left_by_count(answer)[0] == str(100_000 - tokens)


def test_calculating_counts_each_deployment_for_itself(stage: Stage) -> None:
    client = stage.http(e2e_gateway(stage))
    ask(client, CALCULATING, max_tokens=100)
    assert left_by_count(ask(client, CALCULATING, SMALL, max_tokens=100)) == ("9900", "9")


def test_calculating_refuses_low_requests_below_the_threshold_of_tokens(stage: Stage, sim: Simulator) -> None:
    client = stage.http(e2e_gateway(stage))
    ask(client, CALCULATING, max_tokens=70_001)
    answer = ask(client, CALCULATING, low=True)
    assert (answer.status_code, answer.headers["x-gw-priority"], len(sim.requests(PTU))) == (429, "low", 1)
    assert why_refused(answer) == (
        "tokens-below-low-priority-threshold",
        "29999",
    )
    assert int(answer.headers["x-apim-tokens-retry-after"]) > 0
    assert ask(client, CALCULATING).status_code == 200


def test_calculating_refuses_low_requests_below_the_threshold_of_requests(stage: Stage) -> None:
    client = stage.http(e2e_gateway(stage))
    for _ in range(8):
        ask(client, CALCULATING, SMALL)
    answer = ask(client, CALCULATING, SMALL, low=True)
    assert (answer.status_code, answer.headers["x-gw-ratelimit-reason"]) == (
        429,
        "requests-below-low-priority-threshold",
    )
    assert answer.headers["x-gw-ratelimit-value"] == "2"


def test_calculating_refuses_both_lanes_at_the_limit(stage: Stage) -> None:
    client = stage.http(e2e_gateway(stage))
    ask(client, CALCULATING, max_tokens=100_000)
    answer = ask(client, CALCULATING)
    assert (answer.status_code, answer.headers["x-gw-priority"], left_by_count(answer)[0]) == (
        429,
        "high",
        "0",
    )
    assert int(answer.headers["x-apim-tokens-retry-after"]) > 0


def test_calculating_names_the_threshold_to_low_requests_at_the_limit_too(stage: Stage) -> None:
    client = stage.http(e2e_gateway(stage))
    ask(client, CALCULATING, max_tokens=100_000)
    answer = ask(client, CALCULATING, low=True)
    assert why_refused(answer) == ("tokens-below-low-priority-threshold", "0")


def test_calculating_does_not_count_refusals_of_the_backend(stage: Stage, sim: Simulator) -> None:
    sim.fail(PTU, status=429, retry_after=60)
    answer = ask(stage.http(e2e_gateway(stage)), CALCULATING, max_tokens=100)
    assert (answer.status_code, left_by_count(answer)) == (429, ("100000", "100"))


def test_calculating_serves_the_deployments_of_its_list_only(stage: Stage, sim: Simulator) -> None:
    answer = ask(stage.http(e2e_gateway(stage)), CALCULATING, "gpt-4o")
    assert (answer.status_code, sim.requests(PTU)) == (404, [])


@needs_redis
def test_calculating_counts_for_all_replicas(stage: Stage, redis: RedisServer) -> None:
    one, other = [stage.http(e2e_gateway(stage, **redis.settings)) for _ in range(2)]
    ask(one, CALCULATING, max_tokens=100)
    # What a request takes is counted while its answer is under way.
    name = f"azure-openai-gateway:limit:test-requests|{LARGE}"
    eventually(lambda: redis.command("GET", name) not in (None, "0"))
    assert left_by_count(ask(other, CALCULATING, max_tokens=100)) == ("99800", "98")
