"""The official client for JavaScript: `OpenAI` on the v1 surface and `AzureOpenAI` on deployments.

Each group of cases is one Node script in ``js/``, which prints what it saw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from e2e.simulator import Simulator
from tests.clients.conftest import OpenGateway, RunScript

CLIENTS = ["OpenAI", "AzureOpenAI"]


@pytest.fixture(scope="session")
def results(run_script: RunScript, shared_gateway: str, simulator: Simulator) -> Callable[[str], Any]:
    """The results of a group, which runs once."""
    known: dict[str, Any] = {}

    def of(group: str) -> Any:
        if group not in known:
            # An earlier test may have left its faults.
            simulator.reset()
            known[group] = run_script(group, shared_gateway)
        return known[group]

    return of


EXPECTED: list[tuple[str, str, Callable[[Any], bool]]] = [
    ("chat", "chat", lambda seen: seen["finish"] == "stop" and seen["tokens"] > 0),
    ("chat", "stream", lambda seen: "Hello" in seen["text"] and seen["finish"] == "stop"),
    ("chat", "usage", lambda seen: seen > 0),
    ("chat", "embeddings", lambda seen: seen == [1536, 1536]),
    ("responses", "create", lambda seen: seen["status"] == "completed" and "Hello" in seen["text"]),
    ("responses", "stream", lambda seen: seen == ["response.created", "response.completed"]),
    ("responses", "continue", lambda seen: seen == 1),
    ("responses", "continueStream", lambda seen: seen == 1),
    ("responses", "retrieveAndDelete", lambda seen: seen is True),
    ("files", "transcription", lambda seen: "speech.wav" in seen),
    ("files", "speech", lambda seen: seen == "RIFF"),
    ("files", "files", lambda seen: seen == {"listed": True, "same": True}),
    ("files", "models", lambda seen: seen > 0),
    ("realtime", "node", lambda seen: "hello there" in seen),
]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("group", "case", "is_expected"), EXPECTED, ids=[f"{group}-{case}" for group, case, _ in EXPECTED]
)
def test_it_works(
    results: Callable[[str], Any], client: str, group: str, case: str, is_expected: Callable[[Any], bool]
) -> None:
    seen = results(group)[client][case]
    assert "failed" not in str(seen), seen
    assert is_expected(seen)


def test_realtime_works_in_browsers(results: Callable[[str], Any]) -> None:
    assert "hello there" in results("realtime")["OpenAI"]["browser"]


@pytest.mark.parametrize("client", CLIENTS)
def test_retries_outlast_a_throttled_pool(
    run_script: RunScript, own_gateway: OpenGateway, sim: Simulator, client: str
) -> None:
    for region in ("eastus", "westus"):
        sim.fail(region, status=429, retry_after=1, count=1)
    assert run_script("failing", own_gateway(), CASE="chat", CLIENT=client) == {client: {"chat": "stop"}}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_stream_that_breaks_is_not_taken_for_complete(
    run_script: RunScript, own_gateway: OpenGateway, sim: Simulator, client: str
) -> None:
    for region in ("eastus", "westus"):
        sim.fail(region, cut=8)
    seen = run_script("failing", own_gateway(), CASE="stream", CLIENT=client)
    assert "failed" in seen[client]["stream"]


def test_a_wrong_key_is_a_401_error(run_script: RunScript, shared_gateway: str) -> None:
    seen = run_script("failing", shared_gateway, CASE="chat", CLIENT="OpenAI", key="nobodys-key-0000000")
    assert (seen["OpenAI"]["chat"]["status"], seen["OpenAI"]["chat"]["code"]) == (401, "401")
