"""Criteria: binomial intervals, percentiles, least numbers of requests."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2e import criteria


def test_an_interval_holds_what_honest_dice_give() -> None:
    dice = random.Random(7)
    outside = 0
    for _ in range(2000):
        hits = sum(dice.random() < 2 / 3 for _ in range(300))
        low, high = criteria.interval(2 / 3, 300)
        outside += not low <= hits / 300 <= high
    # 0.1 % of 2,000 are expected.
    assert outside <= 8


@given(share=st.floats(0, 1), requests=st.integers(1, 100_000))
def test_an_interval_contains_its_share_and_stays_within_0_and_1(share: float, requests: int) -> None:
    low, high = criteria.interval(share, requests)
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1


def test_an_interval_of_no_requests_excludes_nothing() -> None:
    assert criteria.interval(0.5, 0) == (0.0, 1.0)


@pytest.mark.parametrize("share", [0.5, 1 / 3, 2 / 3])
def test_the_least_number_makes_the_interval_as_narrow_as_asked_for(share: float) -> None:
    requests = criteria.least_for(share, 0.1)
    low, high = criteria.interval(share, requests)
    assert (high - low) / 2 <= 0.1


def test_a_share_of_1_to_1_is_told_from_2_to_1() -> None:
    assert not criteria.share("x", 360, 720, 2 / 3, 0.1).passed
    assert criteria.share("x", 480, 720, 2 / 3, 0.1).passed


def test_a_criterion_on_too_few_requests_fails() -> None:
    assert not criteria.share("x", 5, 10, 0.5, 0.1).passed
    assert not criteria.none("x", 0, 9, 10).passed
    assert not criteria.at_least("x", 1.0, 0.5, 9, 10).passed
    assert not criteria.at_most("x", 1.0, 2.0, 9, 10).passed
    assert not criteria.equal("x", 3, 3, 9, 10).passed


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 50), (95, 95), (99, 99), (100, 100)])
def test_percentiles_are_nearest_ranks(percent: float, value: int) -> None:
    assert criteria.percentile(random.Random(1).sample(range(1, 101), 100), percent) == value


def test_a_percentile_of_nothing_is_0() -> None:
    assert criteria.percentile([], 99) == 0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_is_a_value_that_enough_do_not_exceed(values: list[float], percent: float) -> None:
    found = criteria.percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= math.floor(percent / 100 * len(values))


def test_an_example_says_what_happened() -> None:
    assert "such as a 500" in criteria.none("x", 1, 10, 1, "a 500").measured
    assert "such as" not in criteria.none("x", 0, 10, 1, "a 500").measured


def test_what_cannot_be_measured_is_no_failure_and_says_why() -> None:
    criterion = criteria.not_measured("tokens", "7", "no metrics here")
    assert criterion.passed
    assert criterion.skipped
    assert "no metrics here" in criterion.measured
