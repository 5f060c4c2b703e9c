"""The command: names, exit status, files, and a short run against a real gateway."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from typer.testing import CliRunner

from e2e import cli
from e2e.scenarios import ALL
from e2e.scenarios.run import Result
from e2e.targets.stage import TargetError
from renderer.test_routes import POOLS
from tests.e2e.support import BAD, GOOD, result

ISSUE = {
    *("round-robin-simple", "round-robin-simple-v2", "round-robin-weighted", "round-robin-weighted-v2"),
    *("retry-with-payg", "retry-with-payg-v2", "latency-routing", "latency-preference", "prioritization"),
    *("usage-tracking", "scalability", "scalability-burst", "throttle-storm", "region-outage"),
    *("stream-faults", "key-rotation", "responses-affinity", "noisy-neighbour"),
}


def _run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, list(arguments))
    return done.exit_code, done.output


def test_every_promised_scenario_is_there() -> None:
    assert set(ALL) == ISSUE


@pytest.mark.parametrize("name", ALL)
def test_each_scenario_uses_routes_that_exist(name: str) -> None:
    routes = {users.route for phase in ALL[name].phases for users in phase.users}
    assert routes <= {pool.name for pool in POOLS}


def test_list_names_each_scenario_with_its_promise() -> None:
    status, text = _run("--list")
    assert status == 0
    for scenario in ALL.values():
        assert scenario.name in text


def test_an_unknown_name_ends_with_2_and_names_the_known_ones() -> None:
    status, text = _run("round-robbin")
    assert status == cli.INVALID
    assert "round-robbin" in text
    assert "noisy-neighbour" in text


def test_an_unknown_engine_ends_with_2() -> None:
    status, text = _run("--engine", "steam")
    assert status == cli.INVALID
    assert "steam" in text


def test_names_run_in_their_usual_order_and_once() -> None:
    names = [scenario.name for scenario in cli.chosen(["usage-tracking", "round-robin-simple"], quick=False)]
    assert names == ["round-robin-simple", "usage-tracking"]


def test_quick_selects_and_a_name_overrides_the_selection() -> None:
    quick = cli.chosen([], quick=True)
    assert 3 <= len(quick) < len(ALL)
    assert [s.name for s in cli.chosen(["region-outage"], quick=True)] == ["region-outage"]


def test_the_quick_selection_is_short() -> None:
    seconds = sum(
        phase.seconds * scenario.quick
        for scenario in ALL.values()
        for phase in scenario.phases
        if scenario.quick
    )
    # Beside the phases, each gateway has to start and stop.
    assert seconds <= 75


def test_the_whole_run_is_short() -> None:
    assert sum(phase.seconds for scenario in ALL.values() for phase in scenario.phases) <= 480


class _NoTarget:
    description = "no target"
    abilities: frozenset[str] = frozenset()

    def close(self) -> None:
        pass


def _pretend(monkeypatch: pytest.MonkeyPatch, *results: Result) -> None:
    monkeypatch.setattr(cli, "open_target", lambda *_: _NoTarget())
    monkeypatch.setattr(cli, "_run_all", lambda *_, **__: list(results))


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([result()], 0),
        ([result(), result(skipped="no Redis", criteria=[])], 0),
        ([result(skipped="no Redis", criteria=[])], 2),
        ([result(), result(criteria=[GOOD, BAD])], 1),
        ([result(criteria=[], error="the gateway did not start")], 1),
    ],
    ids=["passed", "one skipped", "all skipped", "failed", "could not run"],
)
def test_the_exit_status_tells(monkeypatch: pytest.MonkeyPatch, results: list[Result], status: int) -> None:
    _pretend(monkeypatch, *results)
    assert _run()[0] == status


def test_a_target_that_cannot_be_used_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise TargetError("nothing is deployed")

    monkeypatch.setattr(cli, "open_target", refuse)
    status, text = _run()
    assert status == cli.INVALID
    assert "nothing is deployed" in text


def test_the_reports_are_written_where_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _pretend(monkeypatch, result("some-scenario"))
    html, junit, pictures = tmp_path / "a" / "r.html", tmp_path / "b" / "j.xml", tmp_path / "c"
    assert _run("--report", str(html), "--junit", str(junit), "--pictures", str(pictures))[0] == 0
    assert "some-scenario" in html.read_text()
    Xml.parse(junit)
    Xml.parse(pictures / "e2e-some-scenario.svg")


def test_a_quick_run_against_a_real_gateway_passes(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    junit = tmp_path / "junit.xml"
    command = [sys.executable, "-m", "e2e.cli", "--quick", "--junit", str(junit)]
    command += ["--engine", str(pytestconfig.getoption("--engine"))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    suites = Xml.parse(junit).getroot().findall("testsuite")
    assert len(suites) == len(cli.chosen([], quick=True))
