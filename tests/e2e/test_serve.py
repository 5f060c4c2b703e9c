"""The stage that stays up for other clients, such as the toolkit's own."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from typer.testing import CliRunner

from e2e import cli
from e2e.serve import backends_of_others
from e2e.targets.simulators import BACKENDS
from e2e.targets.stage import TargetError

# One process starts the stage for all of these tests.
pytestmark = pytest.mark.xdist_group("stage")

URLS = ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3/"]
CHAT = "openai/deployments/gpt-35-turbo-100m-token/chat/completions?api-version=2023-05-15"
QUESTION = {"model": "gpt-5-turbo-1", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 10}


@pytest.fixture(scope="module")
def stage() -> Iterator[dict[str, str]]:
    """The variables that the command prints, while it runs."""
    command = [sys.executable, "-m", "e2e.cli", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found: dict[str, str] = {}
        for line in iter(process.stdout.readline, "\n"):
            [export, assignment] = shlex.split(line)
            name, value = assignment.split("=", 1)
            assert export == "export"
            found[name] = value
        yield found
        process.terminate()


def _ask(stage: dict[str, str], prefix: str) -> httpx.Response:
    headers = {"api-key": stage["APIM_SUBSCRIPTION_ONE_KEY"]}
    return httpx.post(f"{stage['APIM_ENDPOINT']}/{prefix}/{CHAT}", json=QUESTION, headers=headers)


def test_a_client_of_the_toolkit_is_served_below_the_prefix(stage: dict[str, str]) -> None:
    answers = [_ask(stage, "round-robin-simple") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert {answer.headers["x-apim-backend"] for answer in answers} == {"payg-backend-1", "payg-backend-2"}


def test_it_can_set_preferred_backends(stage: dict[str, str]) -> None:
    answer = httpx.post(
        f"{stage['APIM_ENDPOINT']}/helpers/set-preferred-backends",
        json={"preferredBackends": ["payg-backend-2", "payg-backend-1"]},
        headers={"api-key": stage["APIM_SUBSCRIPTION_TWO_KEY"]},
    )
    assert (answer.status_code, "application/json" in answer.headers["content-type"]) == (200, True)


@pytest.mark.parametrize("backend", ["PTU1", "PAYG1", "PAYG2"])
def test_it_can_change_the_speed_of_each_simulator(stage: dict[str, str], backend: str) -> None:
    answer = httpx.patch(
        f"{stage[f'SIMULATOR_ENDPOINT_{backend}']}/++/config",
        json={"latency": {"open_ai_chat_completions": {"mean": 1, "std_dev": 0.1}}},
        headers={"api-key": stage["SIMULATOR_API_KEY"]},
    )
    assert answer.status_code == 200


def test_simulators_of_others_take_the_place_of_ours() -> None:
    settings = backends_of_others(URLS, "key-of-the-simulators")
    assert [settings[f"AZURE_OPENAI_ENDPOINT_{index}"] for index in range(3)] == [
        url.rstrip("/") for url in URLS
    ]
    assert {settings[f"AZURE_OPENAI_KEY_{index}"] for index in range(3)} == {"key-of-the-simulators"}


def test_all_that_is_wrong_with_them_is_said_at_once() -> None:
    with pytest.raises(TargetError) as raised:
        backends_of_others(URLS[:2], None)
    assert len(raised.value.problems) == 2
    assert all(name in str(raised.value) for name in (*BACKENDS, "SIMULATOR_API_KEY"))


@pytest.mark.parametrize(
    "arguments",
    [["--serve", "throttle-storm"], ["--serve", "--target", "azure"], ["--backend", URLS[0]]],
    ids=" ".join,
)
def test_options_that_do_not_go_together_end_with_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli.app, arguments)
    assert (done.exit_code, "error:" in done.output) == (cli.INVALID, True)
