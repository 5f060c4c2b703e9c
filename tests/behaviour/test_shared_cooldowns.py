"""Cool-downs that replicas share through Redis (B3 and F2 over replicas)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.redis_server import RedisServer, is_installed
from e2e.simulator import Simulator
from e2e.waiting import eventually
from tests.behaviour.conftest import Stage
from tests.behaviour.support import chat, winner
from tests.behaviour.test_cooldowns import SMALL, large

pytestmark = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")

EASTUS_FIRST: dict[str, Any] = {"AZURE_OPENAI_PRIORITY_0": 10}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_f2_a_replica_heeds_what_another_was_told(stage: Stage, sim: Simulator, redis: RedisServer) -> None:
    one, other = (stage.http(stage.gateway(**EASTUS_FIRST, **redis.settings)) for _ in range(2))
    sim.fail("eastus", status=429, retry_after=60, count=1)
    chat(one)
    assert eventually(lambda: winner(chat(other)) == "westus")


def test_f2_the_remaining_time_is_the_same(stage: Stage, sim: Simulator, redis: RedisServer) -> None:
    one, other = (stage.http(stage.gateway(["eastus"], **redis.settings)) for _ in range(2))
    sim.fail("eastus", status=429, retry_after=60, count=1)
    chat(one)
    refused = eventually(lambda: answer if (answer := chat(other)).status_code == 429 else None)
    assert refused is not None
    assert 40 <= int(refused.headers["retry-after"]) <= 60


def test_b3_other_deployments_stay_available(stage: Stage, sim: Simulator, redis: RedisServer) -> None:
    one, other = (stage.http(stage.gateway(**EASTUS_FIRST, **redis.settings)) for _ in range(2))
    sim.fail("eastus", status=429, retry_after=60, count=1)
    chat(one)
    eventually(lambda: winner(chat(other)) == "westus")
    assert winner(chat(other, model="gpt-4o-mini")) == "eastus"


def test_f2_a_replica_that_starts_later_heeds_it_too(
    stage: Stage, sim: Simulator, redis: RedisServer
) -> None:
    sim.fail("eastus", status=429, retry_after=60, count=1)
    chat(stage.http(stage.gateway(**EASTUS_FIRST, **redis.settings)))
    later = stage.http(stage.gateway(**EASTUS_FIRST, **redis.settings))
    assert eventually(lambda: winner(chat(later)) == "westus")


def test_f2_a_cooldown_that_is_over_is_forgotten(stage: Stage, sim: Simulator, redis: RedisServer) -> None:
    one = stage.http(stage.gateway(**EASTUS_FIRST, **redis.settings))
    sim.fail("eastus", status=429, retry_after=1, count=1)
    chat(one)
    assert eventually(lambda: winner(chat(one)) == "eastus")


def test_f2_the_size_is_the_same(stage: Stage, sim: Simulator, redis: RedisServer) -> None:
    one, other = (stage.http(stage.gateway(**EASTUS_FIRST, **redis.settings)) for _ in range(2))
    left = {"x-ratelimit-remaining-tokens": "9000"}
    sim.fail("eastus", status=429, retry_after=60, headers=left, count=1)
    large(one, 8_000)
    assert eventually(lambda: winner(large(other, 8_000)) == "westus")
    assert winner(chat(other, **SMALL)) == "eastus"


def test_f2_a_size_above_the_limit_is_rounded_up_so_none_that_would_fit_rests(
    stage: Stage, sim: Simulator, redis: RedisServer
) -> None:
    one, other = (stage.http(stage.gateway(**EASTUS_FIRST, **redis.settings)) for _ in range(2))
    limit = {"x-ratelimit-limit-tokens": "19000", "x-ratelimit-remaining-tokens": "19000"}
    sim.fail("eastus", status=429, retry_after=60, headers=limit, count=1)
    large(one, 20_000)
    # The next power of two is 32,768.
    assert eventually(lambda: winner(large(other, 33_000)) == "westus")
    assert winner(large(other, 30_000)) == "eastus"
