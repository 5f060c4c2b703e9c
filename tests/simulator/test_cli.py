"""The command line: clear errors, all at once, and a running simulator under its control."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from e2e.simulator import Simulator, cli
from e2e.simulator.admin_commands import parse_fault
from e2e.simulator.cli import app
from e2e.simulator.problems import ProblemsError
from e2e.simulator.serve_plan import Options, plan
from tests.simulator.conftest import CHAT, CHAT_PATH

runner = CliRunner()


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.out, "width", 200)


def run(sim: Simulator, *words: str) -> str:
    """The output of a command against the simulator."""
    result = runner.invoke(app, [*words, "--url", sim.endpoint("eastus")])
    assert result.exit_code == 0, result.output
    return result.output


def problems(options: Options) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        plan(options)
    return caught.value.problems


# --- settings ---------------------------------------------------------------------------------------------


def test_two_regions_are_served_by_default() -> None:
    made = plan(Options(values={"key": "k"}))
    assert [(region.name, region.port) for region in made.regions] == [("eastus", 8001), ("westus", 8002)]


def test_deployment_option_carries_quota() -> None:
    made = plan(Options(values={"key": "k"}, deployments=["gpt-4o:tpm=10000,rpm=60", "other"]))
    first, second = made.regions[0].deployments or ()
    assert not isinstance(first, str)
    assert (first.name, first.quota.tpm, first.quota.rpm) == ("gpt-4o", 10_000, 60)
    assert not isinstance(second, str)
    assert second.quota.tpm is None


def test_a_regions_surfaces_win_over_the_common_ones(tmp_path: Path) -> None:
    path = tmp_path / "simulator.yaml"
    path.write_text("surfaces: [openai]\nregions: [{name: a}, {name: b, surfaces: [inference]}]\n")
    made = plan(Options(config=path, values={"key": "k"}))
    assert [list(region.surfaces) for region in made.regions] == [["openai"], ["inference"]]


def test_a_regions_prompt_cache_wins_over_the_common_one(tmp_path: Path) -> None:
    path = tmp_path / "simulator.yaml"
    path.write_text(
        "prompt_cache: {life_s: 60}\nregions: [{name: a}, {name: b, prompt_cache: {enabled: false}}]\n"
    )
    first, second = plan(Options(config=path, values={"key": "k"})).regions
    assert first.prompt_cache is not None
    assert (first.prompt_cache.life_s, second.prompt_cache) == (60, None)


def test_no_prompt_is_cached_unless_asked() -> None:
    assert plan(Options(values={"key": "k"})).regions[0].prompt_cache is None


def test_one_regions_key_wins_over_the_common_one() -> None:
    made = plan(Options(values={"key": "common"}, keys_for=["eastus=own=with=equals"]))
    assert [region.key for region in made.regions] == ["own=with=equals", "common"]


def test_file_says_everything_the_options_say(tmp_path: Path) -> None:
    path = tmp_path / "simulator.yaml"
    path.write_text(
        """
key: common
deployments: [gpt-4o, {name: gpt-4o-mini, rpm: 6}]
latency: {first_byte_ms: 5}
regions:
  - {name: eastus, port: 0, key: own, faults: [{status: 429, count: 2}]}
  - {name: westus, deployments: [only]}
"""
    )
    made = plan(Options(config=path, latency={"per_token_ms": 2}))
    assert [region.key for region in made.regions] == ["own", "common"]
    assert [len(region.deployments or ()) for region in made.regions] == [2, 1]
    assert (made.regions[0].latency.first_byte_ms, made.regions[0].latency.per_token_ms) == (5, 2)
    assert made.faults["eastus"][0].status == 429


def test_all_problems_are_reported_at_once() -> None:
    found = problems(
        Options(
            regions=["eastus:port", "westus:1", "westus:1"],
            deployments=["gpt-4o:tpm"],
            keys_for=["north=k"],
            values={"answer_tokens": 0},
        )
    )
    for fragment in (
        "eastus:port",
        "westus: given 2 times",
        "port 1:",
        "gpt-4o:tpm",
        "north",
        "no key",
        "answer_tokens",
    ):
        assert any(fragment in problem for problem in found), fragment


def test_misspelt_name_in_a_file_is_corrected(tmp_path: Path) -> None:
    path = tmp_path / "simulator.yaml"
    path.write_text("key: k\nregions: [{name: eastus, prot: 1}]\n")
    assert problems(Options(config=path)) == ["regions[0].prot: unknown name, did you mean port?"]


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\x00"])
def test_unreadable_file_is_explained(tmp_path: Path, text: str) -> None:
    path = tmp_path / "simulator.yaml"
    path.write_text(text)
    assert any("simulator.yaml" in problem for problem in problems(Options(config=path, values={"key": "k"})))


def test_problems_never_show_keys() -> None:
    found = problems(Options(values={"key": "secret-key", "answer_tokens": 0}, keys_for=["north=secret-key"]))
    assert "secret-key" not in " ".join(found)


def test_serve_without_a_key_says_what_to_write() -> None:
    result = runner.invoke(app, ["serve"], env={"AZURE_OPENAI_SIMULATOR_KEY": ""})
    assert result.exit_code == 2
    assert "--key" in result.output
    assert "Traceback" not in result.output


# --- a running simulator ----------------------------------------------------------------------------------


def test_fault_words_become_a_fault() -> None:
    words = ["status=429", "reset", 'headers={"a": "b"}', "message=a=b"]
    assert parse_fault(words) == {"status": "429", "reset": True, "headers": {"a": "b"}, "message": "a=b"}


def test_fault_command_scripts_a_fault(sim: Simulator, http: httpx.Client) -> None:
    run(sim, "fault", "eastus", "status=429", "retry_after=5", "count=1")
    answer = http.post(CHAT_PATH, json=CHAT)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    assert http.post(CHAT_PATH, json=CHAT).status_code == 200


def test_faults_command_shows_and_clears(sim: Simulator) -> None:
    run(sim, "fault", "westus", "hang", "path=/responses")
    assert "hang=forever" in run(sim, "faults", "westus")
    assert "no faults" in run(sim, "faults", "westus", "--clear")


def test_wrong_fault_is_explained(sim: Simulator) -> None:
    result = runner.invoke(app, ["fault", "eastus", "staus=1", "--url", sim.endpoint("eastus")])
    assert result.exit_code == 2
    assert "did you mean status?" in result.output


def test_requests_command_shows_paths_without_queries(sim: Simulator, http: httpx.Client) -> None:
    http.post(CHAT_PATH, json=CHAT)
    output = run(sim, "requests", "eastus")
    assert "/openai/deployments/gpt-4o/chat/completions" in output
    assert "api-version" not in output


def test_state_quota_latency_and_reset_commands(sim: Simulator, http: httpx.Client) -> None:
    run(sim, "quota", "eastus", "gpt-4o", "--rpm", "1")
    run(sim, "latency", "eastus", "--first-byte-ms", "1")
    assert "gpt-4o: ∞ tpm 1 rpm" in run(sim, "state")
    assert [http.post(CHAT_PATH, json=CHAT).status_code for _ in range(2)] == [200, 429]
    assert "reset: eastus, westus" in run(sim, "reset")
    assert http.post(CHAT_PATH, json=CHAT).status_code == 200


def test_surfaces_command_shows_and_changes(sim: Simulator, http: httpx.Client) -> None:
    assert json.loads(run(sim, "surfaces", "eastus"))["anthropic"] is True
    run(sim, "surfaces", "eastus", "--off", "anthropic", "--off", "openai")
    assert http.post(CHAT_PATH, json=CHAT).status_code == 404
    assert json.loads(run(sim, "surfaces", "eastus", "--on", "openai"))["anthropic"] is False
    assert http.post(CHAT_PATH, json=CHAT).status_code == 200


def test_unknown_surface_is_explained(sim: Simulator) -> None:
    result = runner.invoke(app, ["surfaces", "eastus", "--off", "gopher", "--url", sim.endpoint("eastus")])
    assert (result.exit_code, "gopher" in result.output) == (2, True)


def test_prompt_cache_command_shows_and_changes(sim: Simulator) -> None:
    assert json.loads(run(sim, "prompt-cache", "eastus")) == {"enabled": False}
    assert json.loads(run(sim, "prompt-cache", "eastus", "--life-s", "60"))["life_s"] == 60
    assert json.loads(run(sim, "prompt-cache", "eastus", "--off")) == {"enabled": False}


def test_tool_calls_command_shows_and_changes(sim: Simulator) -> None:
    told = {"get_weather": {"city": "Oslo"}}
    assert json.loads(run(sim, "tool-calls", "eastus", 'get_weather={"city": "Oslo"}')) == told
    assert json.loads(run(sim, "tool-calls", "eastus")) == told
    assert json.loads(run(sim, "tool-calls", "eastus", "--clear")) == {}


def test_a_regions_tool_calls_win_over_the_common_ones(tmp_path: Path) -> None:
    path = tmp_path / "simulator.yaml"
    path.write_text("tool_calls: {a_tool: {}}\nregions: [{name: a}, {name: b, tool_calls: {}}]\n")
    first, second = plan(Options(config=path, values={"key": "k"})).regions
    assert (first.tool_calls, second.tool_calls) == ({"a_tool": {}}, {})


def test_absent_simulator_is_explained() -> None:
    result = runner.invoke(app, ["state", "--url", "http://127.0.0.1:1"])
    assert result.exit_code == 2
    assert "no simulator at http://127.0.0.1:1" in result.output


@pytest.fixture
def served() -> Iterator[subprocess.Popen[str]]:
    words = ["serve", "--region", "eastus:0", "--key", "very-secret-key", "--deployment", "gpt-4o"]
    code = "from e2e.simulator.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_serve_prints_the_chosen_port_and_no_key_and_stops_on_a_signal(served: subprocess.Popen[str]) -> None:
    assert served.stdout is not None
    printed = ""
    while "serving" not in printed:
        line = served.stdout.readline()
        assert line, printed
        printed += line
    url = next(word for word in printed.split() if word.startswith("http://"))
    answer = httpx.get(f"{url}/openai/v1/models", headers={"api-key": "very-secret-key"}, trust_env=False)
    assert answer.status_code == 200
    assert "very-secret-key" not in printed
    served.send_signal(signal.SIGTERM)
    assert served.wait(timeout=5) == 0
