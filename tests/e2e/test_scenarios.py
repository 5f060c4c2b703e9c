"""What every scenario does with a run that shows nothing, or odd things."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from e2e.load.behaviours import read_answer
from e2e.load.samples import Sample
from e2e.scenarios import ALL
from e2e.scenarios.run import run_scenario
from e2e.scenarios.scenario import Evidence, Scenario
from renderer import load_settings
from tests.e2e.support import SETTINGS, sample


def _seen(scenario: Scenario, **fields: Any) -> Evidence:
    """A run with one odd answer in each phase, or without any when there are no `fields`."""
    evidence = Evidence(load_settings(SETTINGS))
    for at, phase in enumerate(scenario.phases):
        evidence.spans[phase.name] = (at, at + 1)
        evidence.marks += [(at, event.title) for event in phase.during]
        evidence.samples += [sample(at, phase=phase.name, **fields)] if fields else []
    return evidence


@pytest.mark.parametrize("name", ALL)
def test_a_run_without_any_request_fails(name: str) -> None:
    criteria = ALL[name].judge(_seen(ALL[name]))
    assert not any(criterion.passed for criterion in criteria if not criterion.skipped)


@pytest.mark.parametrize("value", ["", "abc", "-1", "1.5", "\u00b2", "1" * 5000])
def test_an_odd_remaining_number_fails_a_criterion(value: str) -> None:
    headers = {
        "x-gw-ratelimit-reason": "tokens-below-low-priority-threshold",
        "x-gw-ratelimit-value": value,
        "x-gw-remaining-tokens": value,
    }
    scenario = ALL["prioritization"]
    criteria = scenario.judge(_seen(scenario, label="low", status=429, headers=headers))
    [late, _] = [criterion for criterion in criteria if "above the thresholds" in criterion.name]
    assert late.measured == "5 of 5"


class _Answer:
    status_code = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed

    def __init__(self, text: str) -> None:
        self._text = text

    def iter_content(self, chunk_size: int | None) -> list[bytes]:
        del chunk_size
        return [self._text.encode()]


@pytest.mark.parametrize("usage", ["5", "null", "[]", '{"prompt_tokens": "x"}', '{"prompt_tokens": null}'])
def test_odd_usage_counts_as_no_tokens(usage: str) -> None:
    seen = Sample(0, "steady", "chat", "client-one", "chat")
    read_answer(_Answer(f'{{"usage": {usage}}}'), seen, 0)
    assert seen.tokens == 0


def test_an_answer_of_many_levels_is_read_without_a_fault() -> None:
    seen = Sample(0, "steady", "chat", "client-one", "chat")
    assert read_answer(_Answer("[" * 100_000), seen, 0) is None


class _Silent:
    """A target whose gateway does not answer."""

    abilities = frozenset[str]()

    def unfit(self, scenario: object) -> str:
        del scenario
        return ""

    def stage(self, *_: object) -> None:
        raise httpx.ReadTimeout("timed out")


def test_an_action_without_an_answer_is_the_scenarios_error() -> None:
    found = run_scenario(ALL["latency-routing"], _Silent(), None)  # type: ignore[arg-type]
    assert (found.passed, found.error) == (False, "ReadTimeout: timed out")
