"""A7: budgets of clients, in tokens and money, in an hour, a day and a month of the calendar."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import pytest

from e2e.redis_server import RedisServer, is_installed
from e2e.simulator import Simulator
from e2e.waiting import eventually
from renderer.parsers.prices import shipped_prices
from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, Stage
from tests.behaviour.support import (
    USAGE,
    V1_CHAT,
    V1_RESPONSES,
    chat,
    leave_before_the_answer,
    logged,
    records,
    samples,
    value,
)
from tests.behaviour.test_configuration_changes import stopping
from tests.support.live import watching

needs_redis = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")

LOCAL: dict[str, Any] = {"GATEWAY_LIVE_PAGE": "local"}
LEFT = "x-gateway-budget-remaining"
REASON = "x-gw-ratelimit-reason"
TEAM_B_KEY = "client-key-of-team-b-0001"
TEAM_B: dict[str, Any] = {"GATEWAY_CLIENT_NAME_1": "team-b", "GATEWAY_CLIENT_KEY_1": TEAM_B_KEY}
MANY_TOKENS: dict[str, Any] = {"GATEWAY_CLIENT_TOKENS_PER_MONTH_0": 10**9}
MUCH_MONEY: dict[str, Any] = {"GATEWAY_CLIENT_USD_PER_MONTH_0": 1000}
JSON = {"content-type": "application/json"}
# Of `USAGE`, by the shipped prices of gpt-4o.
TOKENS, USD = 1200, Decimal("0.004")
UNITS_PER_USD = Decimal(10**10)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def report_usage(sim: Simulator, **changes: object) -> None:
    """Lets both regions report the same usage with every chat."""
    body = {"model": "gpt-4o", "choices": [], "usage": USAGE} | changes
    for region in ("eastus", "westus"):
        sim.fail(region, method="POST", status=200, body=body, headers=JSON)


def used(gateway: Gateway, period: str, unit: str, client: str = "team-a") -> float:
    """What the live page shows of a budget."""
    with watching(gateway.url) as watcher:
        budgets = watcher.look()["budgets"]
    names = {"period": period, "unit": unit, "client": client}
    [found] = [each for each in budgets if names.items() <= each.items()]
    return float(found["used"])


def keys_of(redis: RedisServer, pattern: str = "*budget:*") -> list[str]:
    """The names under which Redis holds budgets."""
    found = redis.command("KEYS", pattern)
    assert isinstance(found, list)
    return found


def shared(redis: RedisServer, unit: str, client: str = "team-a") -> Decimal:
    """What Redis holds of a client's month, in tokens or USD."""
    total = Decimal(0)
    for key in keys_of(redis, f"*budget:{unit}|*|{client}"):
        total += sum(Decimal(str(redis.command("HGET", key, name) or 0)) for name in ("floor", "sum"))
    return total / UNITS_PER_USD if unit == "usd" else total


def shows(gateway: Gateway, tokens: int) -> bool:
    """Waits until the live page shows so many tokens of the month."""
    return bool(eventually(lambda: used(gateway, "month", "tokens") == tokens, seconds=20))


def cost_of(usage: dict[str, Any], model: str = "gpt-4o") -> Decimal:
    price = {kind: Decimal(str(amount)) for kind, amount in shipped_prices()[model].items()}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    prompt = usage["prompt_tokens"] - cached
    parts = ((prompt, "prompt"), (cached, "cached"), (usage["completion_tokens"], "completion"))
    return sum((tokens * price[kind] for tokens, kind in parts), Decimal(0)) / 10**6


# ---- a budget is used up


@pytest.mark.parametrize("unit", ["TOKENS", "USD"])
@pytest.mark.parametrize("period", ["HOUR", "DAY", "MONTH"])
def test_a7_a_budget_that_is_used_up_is_429(stage: Stage, sim: Simulator, unit: str, period: str) -> None:
    report_usage(sim, usage=USAGE | {"prompt_tokens": 1_000_000, "total_tokens": 1_000_200})
    settings: dict[str, Any] = {f"GATEWAY_CLIENT_{unit}_PER_{period}_0": 1}
    client = stage.http(stage.gateway(**settings))
    answers = [chat(client), chat(client)]
    assert [(each.status_code, each.headers.get(REASON)) for each in answers] == [
        (200, None),
        (429, "client-budget"),
    ]


def test_a7_the_answer_says_which_budget_it_is_and_when_the_next_one_begins(stage: Stage) -> None:
    client = stage.http(stage.gateway(GATEWAY_CLIENT_TOKENS_PER_MONTH_0=1))
    chat(client)
    error = chat(client).json()["error"]
    assert error["code"] == "insufficient_quota"
    assert error["message"].startswith(
        "This client's budget of 1 tokens a month is used up. The next one begins at 2"
    )
    assert "-01 00:00 UTC, in " in error["message"]


def test_a7_a_client_that_has_to_wait_for_hours_shall_not_try_again(stage: Stage) -> None:
    client = stage.http(stage.gateway(GATEWAY_CLIENT_TOKENS_PER_MONTH_0=1))
    chat(client)
    headers = chat(client).headers
    assert (headers["retry-after"], headers["x-should-retry"]) == ("120", "false")


def test_a7_a_client_whose_next_hour_is_near_may_try_again(stage: Stage) -> None:
    client = stage.http(stage.gateway(GATEWAY_CLIENT_TOKENS_PER_HOUR_0=1))
    chat(client)
    headers = chat(client).headers
    assert (1 <= int(headers["retry-after"]) <= 120, headers.get("x-should-retry")) == (True, None)


def test_a7_of_two_budgets_that_are_used_up_the_answer_names_the_longer_one(stage: Stage) -> None:
    gateway = stage.gateway(GATEWAY_CLIENT_TOKENS_PER_HOUR_0=1, GATEWAY_CLIENT_TOKENS_PER_MONTH_0=1)
    client = stage.http(gateway)
    chat(client)
    assert "tokens a month" in chat(client).json()["error"]["message"]


def test_a7_on_the_anthropic_surface_the_answer_has_its_shape(stage: Stage) -> None:
    gateway = stage.gateway(
        ["eastus"], AZURE_OPENAI_SURFACES_0="openai,anthropic", GATEWAY_CLIENT_TOKENS_PER_MONTH_0=1
    )
    client = stage.http(gateway)
    chat(client)
    body = {"model": "claude", "max_tokens": 10, "messages": CHAT["messages"]}
    answer = client.post("/anthropic/v1/messages", json=body)
    assert (answer.status_code, answer.json()["type"], answer.json()["error"]["type"]) == (
        429,
        "error",
        "rate_limit_error",
    )


def test_a7_a_refused_request_reaches_no_backend(stage: Stage, sim: Simulator) -> None:
    client = stage.http(stage.gateway(["eastus"], GATEWAY_CLIENT_TOKENS_PER_MONTH_0=1))
    for _ in range(3):
        chat(client)
    assert len(sim.requests("eastus")) == 1


def test_a7_what_uses_nothing_is_served_all_the_same(stage: Stage) -> None:
    client = stage.http(stage.gateway(["eastus"], GATEWAY_CLIENT_TOKENS_PER_MONTH_0=1))
    made = client.post(V1_RESPONSES, json={"model": "gpt-4o", "input": "Hello"}).json()["id"]
    assert chat(client).status_code == 429
    calls = [
        ("GET", "/openai/v1/models"),
        ("GET", f"{V1_RESPONSES}/{made}"),
        ("DELETE", f"{V1_RESPONSES}/{made}"),
    ]
    assert [client.request(method, path).status_code for method, path in calls] == [200, 200, 200]


def test_a7_another_client_is_not_concerned(stage: Stage) -> None:
    gateway = stage.gateway(
        **TEAM_B, GATEWAY_CLIENT_TOKENS_PER_MONTH_0=1, GATEWAY_CLIENT_TOKENS_PER_MONTH_1=1000
    )
    for _ in range(2):
        chat(stage.http(gateway))
    assert chat(stage.http(gateway, TEAM_B_KEY)).status_code == 200


def test_a7_both_keys_of_a_client_share_its_budget(stage: Stage) -> None:
    second = "client-key-of-team-a-0002"
    gateway = stage.gateway(GATEWAY_CLIENT_KEY_SECONDARY_0=second, GATEWAY_CLIENT_TOKENS_PER_MONTH_0=1)
    assert [chat(client).status_code for client in (stage.http(gateway), stage.http(gateway, second))] == [
        200,
        429,
    ]


def test_a7_the_workers_share_a_budget(stage: Stage) -> None:
    gateway = stage.gateway(workers=2, GATEWAY_CLIENT_TOKENS_PER_MONTH_0=1)
    assert chat(stage.http(gateway)).status_code == 200
    # It counts when the client has its answer already, and each connection may meet another worker.
    assert eventually(lambda: chat(stage.http(gateway)).status_code == 429)
    assert {chat(stage.http(gateway)).status_code for _ in range(6)} == {429}


# ---- what is told before


def test_a7_little_that_is_left_stands_in_a_header(stage: Stage, sim: Simulator) -> None:
    report_usage(sim)
    gateway = stage.gateway(
        GATEWAY_CLIENT_TOKENS_PER_DAY_0=TOKENS * 5 // 4,
        GATEWAY_CLIENT_TOKENS_PER_MONTH_0=10**6,
        GATEWAY_CLIENT_USD_PER_MONTH_0="0.01",
    )
    client = stage.http(gateway)
    headers = [chat(client).headers.get(LEFT) for _ in range(3)]
    assert headers == [
        None,
        "20%; period=day; unit=tokens",
        "0%; period=day; unit=tokens, 20%; period=month; unit=usd",
    ]


def test_a7_it_is_logged_once(stage: Stage, sim: Simulator) -> None:
    report_usage(sim)
    gateway = stage.gateway(workers=2, GATEWAY_CLIENT_TOKENS_PER_MONTH_0=TOKENS * 5 // 4)
    chat(stage.http(gateway))
    assert "client 'team-a' has used 80 % of its budget of 1500 tokens a month" in logged(
        gateway, "has used 80 %"
    )
    chat(stage.http(gateway))
    logged(gateway, "has used up its budget")
    for _ in range(3):
        chat(stage.http(gateway))
    log = gateway.error_log.read_text()
    assert (log.count("has used 80 %"), log.count("has used up")) == (1, 1)


def test_o1_the_used_share_is_a_metric(stage: Stage, sim: Simulator) -> None:
    report_usage(sim)
    gateway = stage.gateway(
        **TEAM_B, GATEWAY_CLIENT_TOKENS_PER_DAY_0=TOKENS * 2, GATEWAY_CLIENT_USD_PER_MONTH_0=1
    )
    chat(stage.http(gateway))
    assert value(gateway, "budget_used_ratio", client="team-a", period="day", unit="tokens") == 0.5
    assert value(gateway, "budget_used_ratio", period="month", unit="usd") == pytest.approx(0.004)
    assert len(samples(gateway, "budget_used_ratio")) == 2


# ---- what counts


def test_a7_money_counts_as_the_record_says_it(stage: Stage, sim: Simulator) -> None:
    report_usage(sim)
    gateway = stage.gateway(**LOCAL, **MUCH_MONEY, GATEWAY_LOG_MODE="test")
    chat(stage.http(gateway))
    [record] = records(gateway)
    assert used(gateway, "month", "usd") == record["cost_usd"] == pytest.approx(float(USD))


def test_a7_provisioned_throughput_costs_no_budget(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **LOCAL, **MUCH_MONEY, AZURE_OPENAI_PROVISIONED_USD_PER_HOUR_0=10)
    assert chat(stage.http(gateway), model="brand-new").status_code == 200
    assert used(gateway, "month", "usd") == 0


def test_a7_all_choices_count(stage: Stage) -> None:
    gateway = stage.gateway(**LOCAL, **MANY_TOKENS)
    usage = chat(stage.http(gateway), n=4).json()["usage"]
    assert used(gateway, "month", "tokens") == usage["total_tokens"]


def test_a7_a_stream_that_is_cut_counts(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=20, after=3, count=1)
    gateway = stage.gateway(["eastus"], **LOCAL, **MANY_TOKENS, **MUCH_MONEY, GATEWAY_LOG_MODE="test")
    with stage.http(gateway).stream("POST", V1_CHAT, json=CHAT | {"stream": True}) as stream:
        next(stream.iter_text())
    [record] = records(gateway)
    assert used(gateway, "month", "tokens") == record["tokens"]["total"] > 0
    assert used(gateway, "month", "usd") == record["cost_usd"] > 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (V1_CHAT, CHAT),
        (V1_RESPONSES, {"model": "gpt-4o", "input": "Hello"}),
        ("/openai/v1/audio/speech", {"model": "tts-1", "input": "Hello", "voice": "alloy"}),
        ("/openai/v1/images/generations", {"model": "dall-e-3", "prompt": "a cat", "n": 2}),
    ],
    ids=["chat", "response", "speech", "images"],
)
def test_a7_a_client_that_leaves_before_the_answer_pays(
    stage: Stage, sim: Simulator, path: str, body: dict[str, Any]
) -> None:
    sim.fail("eastus", slow_first_byte=1.0)
    gateway = stage.gateway(["eastus"], **LOCAL, **MUCH_MONEY, GATEWAY_LOG_MODE="test")
    leave_before_the_answer(gateway, sim, body, path)
    [record] = records(gateway)
    assert used(gateway, "month", "usd") == record["cost_usd"] > 0


def test_a7_a_background_response_counts_when_it_is_done(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **LOCAL, **MANY_TOKENS, **MUCH_MONEY)
    client = stage.http(gateway)
    client.post(V1_RESPONSES, json={"model": "gpt-4o", "input": "Hello", "background": True})
    assert eventually(lambda: used(gateway, "month", "usd"), seconds=30)
    assert used(gateway, "month", "tokens") > 0


def test_a7_a_background_response_of_an_alias_is_priced_when_its_client_reads_it(
    stage: Stage, sim: Simulator
) -> None:
    price = {"our-model": {"prompt": 1000, "completion": 1000}}
    gateway = stage.gateway(["eastus"], **LOCAL, **MUCH_MONEY, MODEL_PRICING=json.dumps(price))
    client = stage.http(gateway)
    body = {"model": "our-model", "input": "Hello", "background": True}
    path = f"{V1_RESPONSES}/{client.post(V1_RESPONSES, json=body).json()['id']}"
    eventually(lambda: client.get(path).json()["status"] == "completed", seconds=20)
    assert eventually(lambda: used(gateway, "month", "usd"), seconds=30)


# ---- what cannot be counted


def refusal(answer: httpx.Response) -> tuple[int, object]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("batches", {"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}),
        ("Batches", {"input_file_id": "file-1"}),
        ("evals", {"name": "e"}),
        ("evals/eval_1/runs", {"name": "e"}),
        ("fine_tuning/jobs", {"model": "gpt-4o", "training_file": "file-1"}),
        ("videos", {"model": "sora", "prompt": "a cat"}),
        ("video/generations/jobs", {"model": "sora", "prompt": "a cat"}),
        ("realtime/client_secrets", {"session": {"type": "realtime", "model": "gpt-realtime"}}),
        ("realtime/sessions", {"model": "gpt-4o-realtime-preview"}),
        ("realtime/calls", {"sdp": "v=0"}),
        ("chat/Completions/../batches", {"model": "gpt-4o"}),
        ("something/new", {"model": "gpt-4o"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("budget", [MANY_TOKENS, MUCH_MONEY], ids=["tokens", "usd"])
def test_a7_what_the_gateway_cannot_count_is_refused(
    stage: Stage, sim: Simulator, budget: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    client = stage.http(stage.shared_gateway(**budget))
    answer = client.post(f"/openai/v1/{path}", json=body)
    assert (answer.status_code in (400, 403, 404), sim.requests("eastus")) == (True, [])


def test_a7_that_has_a_code_of_its_own(stage: Stage) -> None:
    answer = stage.http(stage.shared_gateway(**MANY_TOKENS)).post("/openai/v1/batches", json={})
    assert refusal(answer) == (403, "not_countable")


def test_a7_clients_without_budgets_may_do_it(stage: Stage, sim: Simulator) -> None:
    stage.http(stage.shared_gateway()).post("/openai/v1/batches", json={"input_file_id": "file-1"})
    assert len(sim.requests("eastus")) == 1


def test_a7_a_deployment_without_a_price_is_refused_before_a_backend_is_asked(
    stage: Stage, sim: Simulator
) -> None:
    answer = chat(stage.http(stage.gateway(["eastus"], **MUCH_MONEY)), model="brand-new")
    assert (refusal(answer), sim.requests("eastus")) == ((403, "cost_unknown"), [])
    assert "'brand-new' has no price" in answer.json()["error"]["message"]


def test_a7_budgets_of_tokens_need_no_price(stage: Stage) -> None:
    assert chat(stage.http(stage.gateway(**MANY_TOKENS)), model="brand-new").status_code == 200


@pytest.mark.parametrize(
    "settings",
    [
        {"MODEL_PRICING": '{"brand-new":{"prompt":1}}'},
        {"AZURE_OPENAI_DEPLOYMENTS_0": "brand-new=gpt-4o"},
        {"AZURE_OPENAI_PROVISIONED_USD_PER_HOUR_0": 10},
    ],
    ids=["its own price", "the backend's name", "provisioned"],
)
def test_a7_a_price_can_be_the_deployments_or_its_models(stage: Stage, settings: dict[str, Any]) -> None:
    client = stage.http(stage.gateway(["eastus"], **MUCH_MONEY, **settings))
    assert chat(client, model="brand-new").status_code == 200


def test_a7_a_date_in_a_deployments_name_is_that_of_its_model(stage: Stage) -> None:
    assert chat(stage.http(stage.gateway(**MUCH_MONEY)), model="gpt-4o-mini-2024-07-18").status_code == 200


def test_a7_one_backend_without_a_price_is_enough(stage: Stage, sim: Simulator) -> None:
    settings: dict[str, Any] = {"AZURE_OPENAI_DEPLOYMENTS_0": "brand-new=gpt-4o"} | MUCH_MONEY
    answer = chat(stage.http(stage.gateway(**settings)), model="brand-new")
    assert refusal(answer) == (403, "cost_unknown")


def test_a7_b6_a_fallback_without_a_price_is_refused_too(stage: Stage) -> None:
    client = stage.http(stage.gateway(**MUCH_MONEY, DEPLOYMENT_FALLBACKS="gpt-4o=brand-new"))
    assert (refusal(chat(client)), chat(client, model="gpt-4o-mini").status_code) == (
        (403, "cost_unknown"),
        200,
    )


def test_a7_an_alias_costs_what_the_model_costs_that_answers(stage: Stage, sim: Simulator) -> None:
    report_usage(sim, model="gpt-4o-2024-08-06")
    price = '{"cheap":{"prompt":0.0001}}'
    gateway = stage.gateway(**LOCAL, **MUCH_MONEY, MODEL_PRICING=price)
    chat(stage.http(gateway), model="cheap")
    assert used(gateway, "month", "usd") == pytest.approx(float(USD))


@pytest.mark.parametrize(
    ("members", "headers"),
    [
        ({}, {"x-ms-spillover-deployment": "gpt-4o-mini"}),
        ({}, {"X_MS_Spillover-Deployment": "gpt-4o-mini"}),
        ({"tools": [{"type": "image_generation", "model": "gpt-image-1"}]}, {}),
        ({}, {"x-ms-oai-image-generation-deployment": "gpt-image-1"}),
        ({"model": None}, {}),
        ({"tools": [{"x": number} for number in range(20_000)]}, {}),
    ],
    ids=["spillover", "spillover in disguise", "tool", "header of a tool", "none", "out of sight"],
)
def test_a7_whatever_would_add_a_cost_that_no_answer_reports_is_refused(
    stage: Stage, sim: Simulator, members: dict[str, Any], headers: dict[str, str]
) -> None:
    client = stage.http(stage.shared_gateway(**MUCH_MONEY))
    answer = client.post(V1_RESPONSES, json={"model": "gpt-4o", "input": "Hi"} | members, headers=headers)
    assert (refusal(answer), sim.requests("eastus")) == ((403, "cost_unknown"), [])


@pytest.mark.parametrize(
    "body", ['{"model":"gpt-4o","model":"x","messages":[]}', '{"model":"gpt-4o","Model":"x"}']
)
def test_a7_a_request_that_can_be_read_in_two_ways_is_refused(
    stage: Stage, sim: Simulator, body: str
) -> None:
    answer = stage.http(stage.shared_gateway(**MUCH_MONEY)).post(V1_CHAT, content=body, headers=JSON)
    assert (refusal(answer), sim.requests("eastus")) == ((400, "ambiguous_request"), [])


# ---- over replicas


def spend(clients: list[httpx.Client], count: int) -> list[httpx.Response]:
    """So many different chats, in parallel, by turns at the replicas."""

    def one(number: int) -> httpx.Response:
        model = ("gpt-4o", "gpt-4o-mini")[number % 2]
        words = [{"role": "user", "content": "word " * (number * 7 % 50)}]
        return clients[number % len(clients)].post(V1_CHAT, json={"model": model, "messages": words})

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(one, range(count)))


def spent(answers: list[httpx.Response]) -> tuple[int, Decimal]:
    """What the answers say that they took: tokens and USD."""
    served = [each.json() for each in answers if each.status_code == 200]
    return (
        sum(each["usage"]["total_tokens"] for each in served),
        sum((cost_of(each["usage"], each["model"].rsplit("-20", 1)[0]) for each in served), Decimal(0)),
    )


@needs_redis
def test_a7_a_month_over_replicas_is_exact(stage: Stage, redis: RedisServer) -> None:
    settings: dict[str, Any] = MANY_TOKENS | MUCH_MONEY | LOCAL | redis.settings
    gateways = [stage.gateway(workers=2, **settings) for _ in range(2)]
    clients = [stage.http(gateway) for gateway in gateways for _ in range(4)]
    answers = spend(clients, 400)
    tokens, usd = spent(answers)
    assert {each.status_code for each in answers} == {200}
    assert eventually(lambda: shared(redis, "tokens") == tokens), (shared(redis, "tokens"), tokens)
    assert shared(redis, "usd") == usd
    for gateway in gateways:
        assert shows(gateway, tokens)
        assert math.isclose(used(gateway, "month", "usd"), float(usd), abs_tol=1e-9)


@needs_redis
def test_a7_a_month_that_ends_early_ends_at_every_replica(
    stage: Stage, sim: Simulator, redis: RedisServer
) -> None:
    report_usage(sim)
    settings: dict[str, Any] = {"GATEWAY_CLIENT_TOKENS_PER_MONTH_0": 20 * TOKENS} | redis.settings
    clients = [stage.http(stage.gateway(**settings)) for _ in range(2)]
    # One after the other, at the one and then at the other, as nobody would overdraw it.
    first = [chat(clients[0]).status_code for _ in range(15)]
    eventually(lambda: shared(redis, "tokens") == 15 * TOKENS)
    second = [chat(clients[1]).status_code for _ in range(10)]
    eventually(lambda: shared(redis, "tokens") == 20 * TOKENS)
    assert (first, second) == (15 * [200], 5 * [200] + 5 * [429])
    # The first replica looks once a second.
    assert eventually(lambda: chat(clients[0]).status_code == 429)


@needs_redis
def test_a7_a_replica_that_starts_anew_goes_on_where_it_was(stage: Stage, redis: RedisServer) -> None:
    settings: dict[str, Any] = {"GATEWAY_CLIENT_TOKENS_PER_MONTH_0": 1} | redis.settings
    first = stage.gateway(**settings)
    chat(stage.http(first))
    eventually(lambda: shared(redis, "tokens"))
    first.stop()
    assert chat(stage.http(stage.gateway(**settings))).status_code == 429


@needs_redis
def test_c3_a7_what_a_stopping_replica_still_serves_counts(
    stage: Stage, sim: Simulator, redis: RedisServer
) -> None:
    sim.fail("eastus", slow_first_byte=2)
    gateway = stage.gateway(["eastus"], **MANY_TOKENS, **redis.settings)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(chat, stage.http(gateway))
        sim.wait_for_requests("eastus")
        with stopping(gateway):
            usage = answer.result().json()["usage"]
    assert shared(redis, "tokens") == usage["total_tokens"]


def test_a7_without_redis_a_replica_counts_for_itself(stage: Stage) -> None:
    clients = [stage.http(stage.gateway(GATEWAY_CLIENT_TOKENS_PER_MONTH_0=1)) for _ in range(2)]
    assert [chat(client).status_code for client in clients] == [200, 200]


@needs_redis
def test_a7_redis_keeps_a_count_until_its_period_is_over(stage: Stage, redis: RedisServer) -> None:
    chat(stage.http(stage.gateway(GATEWAY_CLIENT_TOKENS_PER_HOUR_0=1, **redis.settings)))
    eventually(lambda: keys_of(redis))
    [key] = keys_of(redis)
    seconds = redis.command("TTL", key)
    assert isinstance(seconds, int)
    assert 3600 <= seconds <= 2 * 3600


# ---- Redis fails


@needs_redis
def test_a7_an_outage_of_redis_refuses_nobody_and_forgets_nothing(
    stage: Stage, sim: Simulator, redis: RedisServer
) -> None:
    report_usage(sim)
    settings: dict[str, Any] = {"GATEWAY_CLIENT_TOKENS_PER_MONTH_0": 6 * TOKENS} | LOCAL | redis.settings
    gateways = [stage.gateway(**settings) for _ in range(2)]
    clients = [stage.http(gateway) for gateway in gateways]
    before = [chat(client).status_code for client in clients]
    for gateway in gateways:
        shows(gateway, 2 * TOKENS)
    redis.stop()
    # Each goes on from what all had used, and counts its own.
    during = [chat(clients[0]).status_code for _ in range(5)]
    assert (before, during) == ([200, 200], [200] * 4 + [429])
    assert chat(clients[1]).status_code == 200
    redis.start_again()
    # What was lost comes back, and what was used meanwhile comes along.
    assert eventually(lambda: shared(redis, "tokens") == 7 * TOKENS, seconds=30), shared(redis, "tokens")
    assert eventually(lambda: chat(clients[1]).status_code == 429, seconds=20)


@needs_redis
def test_a7_what_redis_did_without_an_answer_counts_once(
    stage: Stage, sim: Simulator, redis: RedisServer
) -> None:
    report_usage(sim)
    gateway = stage.gateway(**MANY_TOKENS, **LOCAL, **redis.settings)
    client = stage.http(gateway)
    chat(client)
    eventually(lambda: shared(redis, "tokens") == TOKENS)
    redis.pause()
    try:
        statuses = {chat(client).status_code for _ in range(4)}
        logged(gateway, "Redis is not usable")
    finally:
        redis.resume()
    assert statuses == {200}
    assert eventually(lambda: shared(redis, "tokens") == 5 * TOKENS, seconds=30)
    chat(client)
    assert eventually(lambda: shared(redis, "tokens") == 6 * TOKENS, seconds=30)


@needs_redis
def test_a7_a_request_without_a_budget_asks_redis_nothing(stage: Stage, redis: RedisServer) -> None:
    gateway = stage.gateway(**redis.settings)
    chat(stage.http(gateway))
    assert keys_of(redis) == []


# ---- who sees it


def test_a7_a_client_sees_its_own_budgets_on_the_live_page(stage: Stage) -> None:
    gateway = stage.gateway(
        **TEAM_B,
        GATEWAY_LIVE_PAGE="keys",
        GATEWAY_CLIENT_TOKENS_PER_DAY_0=100,
        GATEWAY_CLIENT_TOKENS_PER_DAY_1=200,
    )
    with watching(gateway.url, TEAM_B_KEY) as watcher:
        budgets = watcher.look()["budgets"]
    assert [(each["client"], each["limit"]) for each in budgets] == [("team-b", 200)]


def test_c2_a7_another_limit_holds_at_once_for_what_was_used(stage: Stage, sim: Simulator) -> None:
    report_usage(sim)
    gateway = stage.gateway(GATEWAY_CLIENT_TOKENS_PER_MONTH_0=TOKENS)
    client = stage.http(gateway)
    before = [chat(client).status_code for _ in range(2)]
    gateway.reload(stage.environment(GATEWAY_CLIENT_TOKENS_PER_MONTH_0=TOKENS + 1))
    assert (before, [chat(client).status_code for _ in range(2)]) == ([200, 429], [200, 429])
