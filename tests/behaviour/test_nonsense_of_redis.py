"""A Redis that answers nonsense changes nothing (R4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from e2e.waiting import eventually
from tests.behaviour.conftest import Stage
from tests.behaviour.support import V1_RESPONSES, chat, winner
from tests.support.floods import Flood
from tests.support.nonsense import Nonsense
from tests.support.worker_memory import peak_growth

MOST_GROWTH_MIB = 64


@pytest.mark.parametrize(
    "answer", [b":5\r\n", b"$5\r\nhello\r\n", b"*1\r\n$-1\r\n", b"*1\r\n*1\r\n:1\r\n", b"!\r\n"]
)
@pytest.mark.parametrize(
    "limits",
    [{}, {"GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0": 1000}, {"GATEWAY_CLIENT_TOKENS_PER_MONTH_0": 1000}],
    ids=["owners", "limits", "budgets"],
)
def test_r4_redis_that_answers_nonsense_fails_no_request(
    stage: Stage, answer: bytes, limits: dict[str, Any]
) -> None:
    with Nonsense([answer]) as server:
        client = stage.http(stage.gateway(["eastus"], **server.as_redis, **limits))
        assert client.get(f"{V1_RESPONSES}/resp_unknown").status_code == 404


MEMBERS = [
    b"eastus|0|gpt-4o",
    b"eastus|+0|gpt-4o",
    b"eastus|inf|gpt-4o",
    b"eastus|gpt-4o",
    b"eastus",
    b"",
    b"|",
    b"||",
    b"\xff|0|\x00",
]


def listed(*texts: bytes) -> bytes:
    """A list of texts as Redis sends it."""
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(text), text) for text in texts)


@pytest.mark.parametrize("deadline", [b"inf", b"nan", b"1e300", b"99999999999", b"-1", b"hello", b""])
def test_f2_no_cooldown_that_redis_makes_up_rests_a_backend(stage: Stage, deadline: bytes) -> None:
    answer = listed(*(text for member in MEMBERS for text in (member, deadline)))
    with Nonsense([answer]) as server:
        gateway = stage.gateway(AZURE_OPENAI_PRIORITY_0=10, **server.as_redis)
        asked = server.asked
        eventually(lambda: server.asked >= asked + 2)
        assert winner(chat(stage.http(gateway))) == "eastus"


@pytest.mark.parametrize(
    "answer", [b"*2\r\n:inf\r\n:60\r\n", b"*2\r\n:nan\r\n:nan\r\n", b"*2\r\n:-5\r\n:-5\r\n"]
)
def test_a7_no_count_that_cannot_be_one_refuses_a_client(stage: Stage, answer: bytes) -> None:
    with Nonsense([answer]) as server:
        gateway = stage.gateway(GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0=1000, **server.as_redis)
        assert chat(stage.http(gateway)).status_code == 200


ENDLESS = {
    "a list of 99,999,999 items": [b"*99999999\r\n"],
    "a text of 999,999,999 bytes": Flood(b"$999999999\r\n", b"x"),
    "a line": Flood(b"+", b"x"),
    "lists in lists": Flood(b"", b"*100000\r\n"),
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
def test_r4_redis_that_answers_without_an_end_takes_no_memory(stage: Stage, answer: Iterable[bytes]) -> None:
    with Nonsense(answer) as server:
        gateway = stage.gateway(["eastus"], **server.as_redis)
        client = stage.http(gateway)
        with peak_growth(gateway) as growth:
            assert client.get(f"{V1_RESPONSES}/resp_unknown").status_code == 404
            asked = server.asked
            eventually(lambda: server.asked > asked)
    assert growth.mib < MOST_GROWTH_MIB
