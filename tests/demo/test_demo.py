"""What `make demo` shows and leaves behind."""

from __future__ import annotations

import re
import signal
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from scripts.demo.stage import GATEWAY_PORT
from tests.demo.conftest import Demo, demo_process

# One process plays the demo once for all of its tests.
pytestmark = pytest.mark.xdist_group("demo")

TRAIL = re.compile(r"\b(?:[a-z]+:\d{3}\b ?)+")


@pytest.fixture(scope="module")
def demo(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A demo that has ended."""
    with demo_process(tmp_path_factory.mktemp("demo"), engine) as running:
        running.finish()
        return running


def trails(demo: Demo, title: str) -> list[list[str]]:
    """The attempts of each request of a scene: the rows from its title to the next empty line."""
    _, _, after = demo.output.partition(title)
    rows = after.partition("\n\n")[0].splitlines()[1:]
    return [found[0].split() for row in rows if (found := TRAIL.search(row))]


def test_the_last_line_counts_the_requests_and_none_failed(demo: Demo) -> None:
    assert re.fullmatch(r"demo: \d\d requests, 0 failed", demo.output.splitlines()[-1])


def test_it_exits_with_0_when_no_request_failed(demo: Demo) -> None:
    assert demo.process.returncode == 0


def test_it_leaves_nothing_running(demo: Demo) -> None:
    assert demo.leftovers() == []


def test_piped_output_has_no_colours(demo: Demo) -> None:
    assert "\x1b" not in demo.output


def test_the_output_fits_100_columns(demo: Demo) -> None:
    assert max(map(len, demo.output.splitlines())) <= 100


@pytest.mark.parametrize(
    "request_name", ["chat", "chat stream", "embeddings", "responses", "continued response"]
)
def test_it_shows_each_kind_of_request(demo: Demo, request_name: str) -> None:
    assert re.search(rf"^OpenAI {request_name} +200", demo.output, re.MULTILINE)


@pytest.mark.parametrize("request_name", ["chat", "chat stream", "embeddings", "responses"])
def test_it_uses_the_azure_client_as_well(demo: Demo, request_name: str) -> None:
    assert re.search(rf"^AzureOpenAI {request_name} +200", demo.output, re.MULTILINE)


def test_only_streams_have_a_time_to_first_token(demo: Demo) -> None:
    rows = [line for line in demo.output.splitlines() if re.match(r"(Azure)?OpenAI .* ms$", line)]
    timed = {bool(re.search(r"\d ms +\d+ ms$", row)) == ("stream" in row) for row in rows}
    assert timed == {True}


def test_a_throttled_region_costs_its_first_request_one_attempt(demo: Demo) -> None:
    first, second, *_ = trails(demo, "eastus answers 429")
    assert (first[0], first[-1][-4:], len(second)) == ("eastus:429", ":200", 1)


def test_a_second_failing_region_is_failed_over_as_well(demo: Demo) -> None:
    assert ["westus:503", "swedencentral:200"] in trails(demo, "westus answers 503")


def test_an_error_inside_a_stream_is_failed_over(demo: Demo) -> None:
    assert [trail[0] for trail in trails(demo, "eastus sends an error")] == ["eastus:500"] * 2


def test_the_preferred_region_serves_again_after_its_retry_after(demo: Demo) -> None:
    assert trails(demo, "All regions are well again") == [["eastus:200"]] * 2


@pytest.fixture(scope="module")
def kept(engine: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, httpx.Response]:
    """A demo with --keep: its answers while it kept running, and its end after Ctrl-C."""
    with demo_process(tmp_path_factory.mktemp("kept"), engine, "--keep") as running:
        running.read_until("faults eastus --clear")
        url = re.search(r"^  gateway +(\S+)", running.output, re.MULTILINE)
        key = re.search(r"^  key +(\S+)", running.output, re.MULTILINE)
        assert url is not None
        assert key is not None
        answer = httpx.post(
            f"{url[1]}/openai/v1/chat/completions",
            headers={"authorization": f"Bearer {key[1]}"},
            json={"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]},
            trust_env=False,
        )
        running.process.send_signal(signal.SIGINT)
        running.finish()
        return running, answer


def test_kept_up_it_serves_whoever_has_the_printed_key(kept: tuple[Demo, httpx.Response]) -> None:
    assert "Hello" in kept[1].json()["choices"][0]["message"]["content"]


def test_kept_up_it_says_how_to_inject_a_fault(kept: tuple[Demo, httpx.Response]) -> None:
    assert "azure-openai-simulator fault eastus status=429" in kept[0].output


@pytest.fixture(scope="module")
def moved(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A demo with --keep on a machine where the usual ports are taken, ended with Ctrl-C."""
    with ExitStack() as taken:
        for port in (GATEWAY_PORT, 8001):
            # If another process has taken it already, it is taken too.
            with suppress(OSError):
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
        with demo_process(tmp_path_factory.mktemp("moved"), engine, "--keep") as running:
            running.read_until("first token")
            running.process.send_signal(signal.SIGINT)
            running.finish()
            return running


def test_kept_up_it_moves_where_the_usual_ports_are_taken(moved: Demo) -> None:
    assert f":{GATEWAY_PORT} " not in moved.output


def test_moved_it_leaves_nothing_either(moved: Demo) -> None:
    assert moved.leftovers() == []


def test_ctrl_c_ends_a_kept_demo_in_order(kept: tuple[Demo, httpx.Response]) -> None:
    assert (kept[0].process.returncode, kept[0].output.splitlines()[-1][:5]) == (0, "demo:")


def test_ctrl_c_leaves_nothing_of_a_kept_demo(kept: tuple[Demo, httpx.Response]) -> None:
    assert kept[0].leftovers() == []


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(signal.SIGINT, id="SIGINT"),
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.long),
    ],
)
def interrupted(
    request: pytest.FixtureRequest, engine: str, tmp_path_factory: pytest.TempPathFactory
) -> Demo:
    """A demo that is stopped in the middle of its story."""
    with demo_process(tmp_path_factory.mktemp("interrupted"), engine) as running:
        running.read_until("eastus answers 429")
        running.process.send_signal(request.param)
        running.finish()
        return running


def test_interrupted_it_says_so_with_its_exit_status(interrupted: Demo) -> None:
    assert interrupted.process.returncode == 130


def test_interrupted_it_leaves_nothing_running(interrupted: Demo) -> None:
    assert interrupted.leftovers() == []


def test_an_engine_that_cannot_run_here_is_named(tmp_path: Path) -> None:
    with demo_process(tmp_path, "no-such-engine") as running:
        status = running.finish()
    assert (status, "no engine no-such-engine" in running.output) == (1, True)
