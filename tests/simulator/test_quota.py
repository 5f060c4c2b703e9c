"""Quotas are kept per deployment over sliding windows, and the hints are true."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import pytest

from e2e.simulator import Quota, Simulator
from e2e.simulator.quotas import QuotaMeter
from tests.simulator.conftest import CHAT, CHAT_PATH


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_tokens_are_refused_over_the_limit(clock: Clock) -> None:
    meter = QuotaMeter(Quota(tpm=100), clock)
    assert meter.charge(60).refused_by is None
    assert meter.charge(60).refused_by == "token"


def test_refused_tokens_are_not_counted(clock: Clock) -> None:
    meter = QuotaMeter(Quota(tpm=100), clock)
    meter.charge(60)
    meter.charge(60)
    assert meter.charge(40).refused_by is None


def test_token_hint_is_true_to_the_millisecond(clock: Clock) -> None:
    meter = QuotaMeter(Quota(tpm=100), clock)
    meter.charge(60)
    clock.now += 10
    meter.charge(40)
    refused = meter.charge(50)
    clock.now += refused.retry_after_ms / 1000 - 0.002
    assert meter.charge(50).refused_by == "token"
    clock.now += 0.004
    assert meter.charge(50).refused_by is None


def test_more_than_the_limit_never_fits(clock: Clock) -> None:
    verdict = QuotaMeter(Quota(tpm=100), clock).charge(101)
    assert (verdict.refused_by, verdict.retry_after_ms) == ("token", 60_000)


def test_refused_requests_count_against_the_request_quota(clock: Clock) -> None:
    meter = QuotaMeter(Quota(rpm=1), clock)
    meter.charge(1)
    clock.now += 30
    assert meter.charge(1).retry_after_ms == 60_000


def test_request_hint_is_true_for_who_waits(clock: Clock) -> None:
    meter = QuotaMeter(Quota(rpm=2), clock)
    for _ in range(2):
        meter.charge(1)
    clock.now += meter.charge(1).retry_after_ms / 1000
    assert meter.charge(1).refused_by is None


def test_short_window_gets_its_share_of_the_minute(clock: Clock) -> None:
    meter = QuotaMeter(Quota(rpm=60, request_window_s=10), clock)
    assert [meter.charge(1).refused_by for _ in range(11)] == [None] * 10 + ["call"]


def test_remaining_falls_and_recovers(clock: Clock) -> None:
    meter = QuotaMeter(Quota(tpm=100, rpm=10), clock)
    used = meter.charge(30)
    assert (used.remaining_tokens, used.remaining_requests) == (70, 9)
    clock.now += 60
    assert meter.charge(10).remaining_tokens == 90


def test_unlimited_quota_never_refuses(clock: Clock) -> None:
    meter = QuotaMeter(Quota(), clock)
    assert all(meter.charge(10**9).refused_by is None for _ in range(100))


def test_throttled_request_gets_a_429_with_both_hints(west: httpx.Client) -> None:
    path = CHAT_PATH.replace("gpt-4o", "small")
    for _ in range(3):
        assert west.post(path, json=CHAT).status_code == 200
    answer = west.post(path, json=CHAT)
    assert answer.status_code == 429
    milliseconds = int(answer.headers["retry-after-ms"])
    assert 55_000 < milliseconds <= 60_000
    assert int(answer.headers["retry-after"]) == -(-milliseconds // 1000)
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert "exceeded call rate limit" in answer.json()["error"]["message"]


def test_estimate_is_prompt_plus_max_tokens(west: httpx.Client) -> None:
    answer = west.post(CHAT_PATH.replace("gpt-4o", "small"), json={**CHAT, "max_tokens": 50})
    prompt = answer.json()["usage"]["prompt_tokens"]
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) == 100 - prompt - 50


def test_one_deployments_quota_leaves_its_siblings_alone(sim: Simulator, west: httpx.Client) -> None:
    sim.quota("westus", "small", Quota(rpm=1))
    path = CHAT_PATH.replace("gpt-4o", "small")
    assert [west.post(path, json=CHAT).status_code for _ in range(2)] == [200, 429]
    assert west.post(CHAT_PATH, json=CHAT).status_code == 200


def test_reset_restores_the_configured_quota(sim: Simulator, west: httpx.Client) -> None:
    sim.quota("westus", "small", Quota(rpm=1))
    sim.reset()
    answer = west.post(CHAT_PATH.replace("gpt-4o", "small"), json=CHAT)
    assert answer.headers["x-ratelimit-limit-requests"] == "3"
