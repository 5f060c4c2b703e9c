"""Budgets of clients (A7): tokens and money in an hour, a day and a month of the calendar."""

from __future__ import annotations

from typing import Any

from tests.behaviour.conftest import Stage
from tests.behaviour.support import chat


def test_a7_a_budget_of_tokens_that_is_used_up_is_429(stage: Stage) -> None:
    client = stage.http(stage.gateway(GATEWAY_CLIENT_TOKENS_PER_DAY_0=1, GATEWAY_CLIENT_USD_PER_MONTH_0=100))
    a = chat(client)
    b = chat(client)
    print(a.headers, b.headers, b.text)
    assert [a.status_code, b.status_code] == [200, 429]
    assert 0
