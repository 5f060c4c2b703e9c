"""B7: among equals the faster backends get more.

The simulated times are far apart and the bounds of the shares wide, so a busy machine changes no verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from e2e.simulator import Latency, Simulator
from tests.behaviour.conftest import REGIONS, Stage
from tests.behaviour.support import chat, winner

SLOW = Latency(first_byte_ms=400)
EQUAL = Latency(first_byte_ms=150)
FAST = Latency(first_byte_ms=20)
LATENCY: dict[str, Any] = {"LB_ALG": "latency"}


@pytest.fixture
def swift(sim: Simulator) -> Simulator:
    """Regions that all answer after 20 ms."""
    for region in REGIONS:
        sim.latency(region, FAST)
    return sim


def winners(client: httpx.Client, count: int, **members: object) -> Counter[str]:
    return Counter(winner(chat(client, **members)) for _ in range(count))


def asked_until(client: httpx.Client, is_reached: Callable[[Counter[str]], bool], most: int = 30) -> bool:
    """Whether ten requests in a row come to be spread as wanted."""
    return any(is_reached(winners(client, 10)) for _ in range(most))


def test_b7_the_faster_of_two_equals_gets_more_and_the_slower_keeps_a_little(
    stage: Stage, swift: Simulator
) -> None:
    swift.latency("eastus", SLOW)
    found = winners(stage.http(stage.gateway(**LATENCY)), 46)
    assert 2 <= found["eastus"] <= 12, found


def test_b7_without_it_speed_changes_no_share(stage: Stage, swift: Simulator) -> None:
    swift.latency("eastus", SLOW)
    assert winners(stage.http(stage.gateway()), 8) == {"eastus": 4, "westus": 4}


def test_b7_weights_still_count(stage: Stage, swift: Simulator) -> None:
    for region in REGIONS:
        swift.latency(region, EQUAL)
    found = winners(stage.http(stage.gateway(AZURE_OPENAI_WEIGHT_0=3, **LATENCY)), 40)
    assert 24 <= found["eastus"] <= 35, found


def test_b7_priorities_come_before_speed(stage: Stage, swift: Simulator) -> None:
    swift.latency("eastus", SLOW)
    client = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=1, **LATENCY))
    assert winners(client, 6) == {"eastus": 6}


def test_b7_the_preference_follows_when_two_backends_swap_their_speed(stage: Stage, swift: Simulator) -> None:
    swift.latency("eastus", SLOW)
    client = stage.http(stage.gateway(**LATENCY))
    assert asked_until(client, lambda found: found["westus"] >= 8)
    swift.latency("eastus", FAST)
    swift.latency("westus", SLOW)
    assert asked_until(client, lambda found: found["eastus"] >= 8)


def test_b7_a_stream_is_as_fast_as_its_first_output(stage: Stage, swift: Simulator) -> None:
    # The whole stream of westus takes longer than that of eastus.
    swift.latency("eastus", SLOW)
    swift.latency("westus", Latency(per_token_ms=40))
    client = stage.http(stage.gateway(**LATENCY))
    found = winners(client, 12, stream=True)
    assert found["westus"] >= 9, found


def test_b7_what_streams_take_says_nothing_of_other_answers(stage: Stage, swift: Simulator) -> None:
    swift.latency("eastus", SLOW)
    client = stage.http(stage.gateway(**LATENCY))
    winners(client, 10, stream=True)
    swift.latency("eastus", FAST)
    found = winners(client, 10)
    assert found["eastus"] >= 3, found


def test_b7_a_quick_refusal_of_a_request_does_not_look_fast(stage: Stage, swift: Simulator) -> None:
    for region in REGIONS:
        swift.latency(region, EQUAL)
    swift.fail("eastus", status=400, count=3)
    client = stage.http(stage.gateway(**LATENCY))
    for _ in range(6):
        chat(client)
    found = winners(client, 8)
    assert found["westus"] >= 3, found


def test_b7_a_quick_throttling_does_not_look_fast(stage: Stage, swift: Simulator) -> None:
    for region in REGIONS:
        swift.latency(region, EQUAL)
    client = stage.http(stage.gateway(COOLDOWN_DEFAULT_SECONDS=1, COOLDOWN_MAX_SECONDS=1, **LATENCY))
    winners(client, 2)
    swift.fail("eastus", status=429, count=1)
    winners(client, 2)
    assert asked_until(client, lambda found: 3 <= found["westus"] <= 7, most=3)


def test_b7_all_workers_know_the_speeds(stage: Stage, swift: Simulator) -> None:
    swift.latency("eastus", SLOW)
    gateway = stage.gateway(workers=2, **LATENCY)
    found: Counter[str] = Counter()
    for _ in range(30):
        # A connection of its own, so that both workers serve.
        found += winners(stage.http(gateway), 1)
    assert found["eastus"] <= 10, found
