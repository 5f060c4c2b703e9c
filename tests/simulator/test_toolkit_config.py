"""`/++/config`, which the tests of the APIM GenAI gateway toolkit call."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from e2e.simulator import Quota, Region, Simulator

KEY = "k1"
VERSION = {"api-version": "2023-05-15"}


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator([Region("payg", key=KEY)]) as simulator:
        yield simulator


@pytest.fixture
def client(sim: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sim.endpoint("payg"), headers={"api-key": KEY}, trust_env=False) as made:
        yield made


def _complete(client: httpx.Client, **body: object) -> httpx.Response:
    path = "/openai/deployments/d/completions"
    return client.post(path, params=VERSION, json={"prompt": "Once", "max_tokens": 10, **body})


def _change(client: httpx.Client, operation: str, mean: object) -> httpx.Response:
    return client.patch("/++/config", json={"latency": {operation: {"mean": mean}}})


def test_a_change_is_shown_and_leaves_the_rest(client: httpx.Client) -> None:
    _change(client, "open_ai_chat_completions", 7)
    shown = _change(client, "open_ai_completions", 10).json()["latency"]
    assert shown["open_ai_completions"]["mean"] == 10
    assert shown["open_ai_chat_completions"]["mean"] == 7
    assert client.get("/++/config").json()["latency"] == shown


def test_completions_wait_the_mean_once_and_others_do_not(client: httpx.Client) -> None:
    assert _change(client, "open_ai_completions", 300).status_code == 200
    assert _complete(client).elapsed.total_seconds() >= 0.3
    path = "/openai/deployments/d/embeddings"
    answer = client.post(path, params=VERSION, json={"input": "x"})
    assert answer.elapsed.total_seconds() < 0.3


def test_chat_waits_the_mean_for_each_token(client: httpx.Client) -> None:
    _change(client, "open_ai_chat_completions", 60)
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
    answer = client.post("/openai/deployments/d/chat/completions", params=VERSION, json=body)
    assert answer.elapsed.total_seconds() >= 0.3


def test_a_change_empties_the_quota(sim: Simulator, client: httpx.Client) -> None:
    sim.quota("payg", "d", Quota(rpm=1))
    assert [_complete(client).status_code for _ in range(2)] == [200, 429]
    _change(client, "open_ai_completions", 0)
    assert _complete(client).status_code == 200


def test_it_needs_the_key(client: httpx.Client) -> None:
    assert client.get("/++/config", headers={"api-key": "wrong"}).status_code == 401


@pytest.mark.parametrize("content", ["{", '{"latency": {"open_ai_completions": {"mean": -1}}}', "[]"])
def test_a_wrong_change_is_refused(client: httpx.Client, content: str) -> None:
    assert client.patch("/++/config", content=content).status_code == 422


def test_another_method_is_refused(client: httpx.Client) -> None:
    assert client.post("/++/config", json={}).status_code == 405


def test_its_calls_are_not_recorded(sim: Simulator, client: httpx.Client) -> None:
    client.get("/++/config")
    assert sim.requests("payg") == []
