"""The benchmark: what it makes of its samples, what it says, and a short run of the real thing."""

from __future__ import annotations

import dataclasses
import doctest
import http.client
import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from typer.testing import CliRunner

from e2e.bench import backend, cli, machine, measuring, plots, table, wrk
from e2e.bench.backend import Backends
from e2e.bench.pools import ALL_THROTTLED, FAILOVER, MANY, ONE, POOLS, SILENT
from e2e.bench.processes import running_server
from e2e.bench.results import Cell, Results, Sample
from e2e.bench.rounds import Bench, Plan, is_measured, whole_requests
from e2e.bench.rows import ROWS
from e2e.bench.targets import TARGETS, Running, Site, site_of
from e2e.bench.targets.gateway import client_key, environment, started
from e2e.bench.targets.packages import node_package, python_environment
from e2e.bench.targets.plain import PATH
from e2e.bench.trials import trials_per_end
from e2e.bench.workload import ANSWER, ANSWER_BYTES, STREAMS, answer, events, prompt
from e2e.waiting import eventually
from renderer import load_settings, render_files
from scripts.engines import EngineError
from scripts.engines.ports import free_ports
from scripts.shell_completion import prepare

SMALL, ALONE, FIRST = (
    next(row for row in ROWS if row.name == name) for name in ("small", "alone", "first-token")
)
BY_NAME = {target.name: target for target in TARGETS}
LOAD = wrk.Load(1000, 2.0, 1.5, 1.4, 3.0, 5.0, refused=0, broken=0)
SAID = f"""Running 2s test @ http://127.0.0.1:1/
  1 threads and 16 connections
RESULT {json.dumps(dataclasses.asdict(LOAD))}
"""
DOCUMENTED = ("pools", "table", "trials", "work_limits")


@contextmanager
def http_server() -> Iterator[tuple[int, int]]:
    """A server in another process: its id and its port."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with TemporaryDirectory() as name, running_server(command, Path(name), port) as pid:
        yield pid, port


def results(*samples: Sample, **fields: object) -> Results:
    usual = {"machine": "2 cores", "command": "bench", "commit": "abc", "seconds": 4, "rounds": 3}
    return Results(**{**usual, **fields}, samples=list(samples))  # type: ignore[arg-type]


def cpu(target: str, *values: float) -> list[Sample]:
    return [Sample("small", target, number, {"cpu_us": value}) for number, value in enumerate(values)]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_examples_in_a_module_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"e2e.bench.{name}")).failed == 0


# --- What is sent and answered


def test_the_small_answer_has_the_size_that_its_row_names() -> None:
    assert len(answer()) == ANSWER_BYTES
    assert str(ANSWER_BYTES) in SMALL.title


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_has_its_words_its_usage_and_its_end(name: str) -> None:
    found = events(STREAMS[name])
    usage = json.loads(found[-2].removeprefix("data: "))["usage"]
    assert (len(found), usage["completion_tokens"], found[-1]) == (
        STREAMS[name].events + 2,
        STREAMS[name].events,
        "data: [DONE]\n\n",
    )


def test_a_large_prompt_is_at_least_as_large_as_asked_for() -> None:
    assert len(prompt("answer", "gpt-4o", 65536)) >= 65536


# --- wrk


def test_the_result_is_read_from_the_output_of_wrk() -> None:
    assert wrk.parse(SAID) == LOAD


def test_output_without_a_result_is_an_error_that_shows_it() -> None:
    with pytest.raises(wrk.LoadError, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1\n")


@pytest.mark.parametrize(
    ("changed", "refused", "said"),
    [
        ({"requests": 0}, False, "no request was answered"),
        ({"refused": 3}, False, "3 of 1000 answers were errors"),
        ({"broken": 2}, False, "2 of 1000 connections broke"),
        ({"refused": 400}, True, "600 of 1000 answers were no refusal"),
    ],
)
def test_a_load_with_other_answers_than_wanted_has_no_figures(
    changed: dict[str, int], refused: bool, said: str
) -> None:
    with pytest.raises(wrk.LoadError, match=said):
        wrk.check(dataclasses.replace(LOAD, **changed), refused=refused)


def test_a_script_holds_any_text() -> None:
    request = Running('http://x/"', headers={"x-config": '{"a": "b\\"]]"}'}).request("answer")
    assert r'wrk.headers["x-config"] = "{\"a\": \"b\\\"]]\"}"' in wrk.script(request)


def test_a_script_pauses_only_where_a_row_does() -> None:
    request = Running("http://127.0.0.1:1/{deployment}").request("answer")
    assert ["delay" in wrk.script(request, pause_ms) for pause_ms in (0, 3)] == [False, True]


def test_requests_under_way_at_the_end_are_counted_in_part() -> None:
    # 64 streams at a time of half a second each, for 3.2 s: six rounds, and 0.4 of a seventh.
    load = dataclasses.replace(LOAD, requests=384, seconds=3.2, mean_ms=500.0)
    assert whole_requests(load, 64) == pytest.approx(409.6)


def test_many_requests_are_counted_one_by_one() -> None:
    assert whole_requests(LOAD, 16) == LOAD.requests


# --- Samples


def test_the_median_of_the_rounds_counts() -> None:
    found = results(*cpu("apisix", 100, 300, 110)).cell(SMALL, SMALL.figures[0], "apisix")
    assert found == Cell(110, 100, 300)


def test_what_a_target_adds_is_taken_off_round_by_round() -> None:
    samples = [
        Sample("alone", target, number, {"p50_ms": value})
        for target, values in {"direct": (1.0, 5.0, 1.0), "nginx": (1.5, 5.5, 1.7)}.items()
        for number, value in enumerate(values)
    ]
    added = next(figure for figure in ALONE.figures if figure.above_direct)
    found = results(*samples).cell(ALONE, added, "nginx")
    assert found is not None
    assert (found.median, found.greatest) == pytest.approx((0.5, 0.7))


def test_trial_requests_are_counted_for_each_end_of_a_cool_down() -> None:
    assert trials_per_end([1.0, 1.01, 1.02, 1.6, 2.2, 2.21]) == 1.5


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = results(*cpu("apisix", 1.0), absent={"stock": "no APISIX"}, remarks=["busy"])
    written.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == written


# --- The table and the plots


def test_the_table_shows_the_spread_where_it_is_wide() -> None:
    shown = table.markdown(results(*cpu("nginx", 10, 10.1, 10), *cpu("apisix", 100, 150, 120)), ROWS, TARGETS)
    assert "| 222-byte answer, µs | 10.0 | 120 ±21% |" in shown


def test_the_table_names_what_was_not_at_hand_and_what_failed() -> None:
    failed = Sample("small", "litellm", 0, error="it did not start: no space")
    shown = table.markdown(results(failed, absent={"stock": "no APISIX in /opt"}), ROWS, TARGETS)
    assert "Not at hand: stock: no APISIX in /opt." in shown
    assert "Failed: small, litellm: it did not start: no space." in shown


def test_the_table_says_that_the_machine_was_busy() -> None:
    shown = table.markdown(results(remarks=machine.remarks(busy_before=0.5, stolen=0.1)), ROWS, TARGETS)
    assert "50% of the machine was in use" in shown
    assert "took 10.0% of the processor time away" in shown


def test_the_table_is_written_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Before\n{table.BEGIN}\nold\n{table.END}\nAfter\n")
    table.write_into(page, "new\n")
    assert page.read_text() == f"Before\n{table.BEGIN}\nnew\n{table.END}\nAfter\n"


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(ValueError, match="needs the lines"):
        table.write_into(page, "new\n")


def test_the_page_of_the_documentation_has_the_marks() -> None:
    assert [measuring.PAGE.read_text().count(mark) for mark in (table.BEGIN, table.END)] == [1, 1]


def test_a_plot_cuts_a_bar_that_would_hide_the_others() -> None:
    found = results(*cpu("nginx", 14), *cpu("stock", 150), *cpu("apisix", 160), *cpu("litellm", 9000))
    drawn = plots.picture(found, ROWS, TARGETS)
    assert drawn.count("→") == 1
    assert "9,000 →" in drawn


# --- Targets


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.name)
def test_the_settings_for_each_pool_are_valid(pool: object) -> None:
    redis = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "6379"}
    site = Site(Path(), Backends(Path(), 1001, 1002, 1003, 1004, 1005), redis)
    assert render_files(load_settings(environment(pool, site)), "/bundle")  # type: ignore[arg-type]


def test_no_two_backends_of_a_pool_have_the_same_address() -> None:
    site = Site(Path(), Backends(Path(), 1001, 1002, 1003, 1004, 1005))
    urls = [site.backends.url(kind, number) for kind, number in MANY.members]
    assert len(set(urls)) == len(MANY.backends)


@pytest.mark.skipif(backend.missing() is not None, reason=str(backend.missing()))
def test_a_silent_gateway_answers_without_a_record(tmp_path: Path) -> None:
    headers = {"api-key": client_key(0), "content-type": "application/json"}
    recorded = []
    with backend.running_backends(tmp_path / "backend") as backends:
        for pool in (ONE, SILENT):
            # The embedded engine writes a record at once, and has written it before it loads another file.
            with site_of(pool, tmp_path, backends) as site, started("embedded", pool, site) as gateway:
                url = f"{gateway.url}{PATH.format(deployment=ANSWER)}"
                assert httpx.post(url, content=prompt(ANSWER, ANSWER), headers=headers).is_success
                gateway.reload(environment(pool, site))
                recorded.append('"attempts"' in gateway.access_log.read_text())
    assert recorded == [True, False]


def test_the_time_without_a_gateway_is_measured_only_to_compare_with_it() -> None:
    assert [row.name for row in ROWS if is_measured(row, BY_NAME["direct"])] == ["alone", "first-token"]


@pytest.mark.parametrize("name", ["stock", "tensorzero", "portkey", "litellm"])
def test_others_are_measured_with_failover_and_with_all_throttled(name: str) -> None:
    assert all(BY_NAME[name].offers(pool) for pool in (ONE, FAILOVER, ALL_THROTTLED))


def test_a_package_that_cannot_be_installed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2e.bench.targets.packages.CACHE", tmp_path)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(RuntimeError, match="it could not be installed"):
        python_environment("litellm", "0.0.0")


def test_a_package_of_node_needs_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="apt-get install nodejs npm"):
        node_package("@portkey-ai/gateway", "0.0.0", {})


def test_a_server_that_ends_shows_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with pytest.raises(EngineError, match="no such model"), running_server(command, tmp_path, 1):
        pass


# --- The machine


def test_the_time_of_a_process_includes_its_children(tmp_path: Path) -> None:
    burn = "import os, time\nwhile time.process_time() < 0.3: pass\n"
    ready = tmp_path / "ready"
    parent = f"""import pathlib, subprocess, sys, time
subprocess.run([sys.executable, "-c", {burn!r}])
pathlib.Path({str(ready)!r}).touch()
sys.stdin.read()
"""
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE)
    try:
        while not ready.exists():
            assert process.poll() is None
        assert machine.cpu_seconds(process.pid) >= 0.2
    finally:
        process.kill()
        process.wait()


def test_a_paused_target_does_nothing_until_it_is_resumed() -> None:
    def state(pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        machine.pause(process.pid)
        assert eventually(lambda: state(process.pid) == "T")
        machine.resume(process.pid)
        assert eventually(lambda: state(process.pid) == "R")
    finally:
        process.kill()
        process.wait()


def test_a_server_on_the_wildcard_address_of_ipv6_is_found() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        assert machine.listens(os.getpid(), server.getsockname()[1])


def test_the_connections_of_a_process_are_its_own() -> None:
    with http_server() as (pid, port):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.connect()
        found = machine.connections_to(os.getpid(), port), machine.connections_to(pid, port)
        connection.close()
    assert found == (1, 0)


# --- The command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rows", "small,speed"], "speed is not one of small, prompt"),
        (["--targets", "kong"], "kong is not one of direct, nginx"),
        (["--rounds", "0"], "'--rounds': Input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_option_is_explained(arguments: list[str], said: str) -> None:
    answered = CliRunner().invoke(cli.app, arguments)
    assert (answered.exit_code, said in " ".join(answered.stderr.split())) == (2, True), answered.stderr


def test_a_shell_completes_one_more_row() -> None:
    asked = {
        "_BENCH_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": "bench --rows small,pac",
    }
    prepare()
    answered = CliRunner().invoke(cli.app, [], env=asked, prog_name="bench")
    assert answered.output.split("\t")[0] == "small,paced"


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("scripts.engines.embedded.SYSTEM_DIRECTORIES", ())
    answered = CliRunner().invoke(cli.app)
    said = f"{answered.exception}{answered.output}"
    assert (answered.exit_code, "nginx" in said, "apt-get install wrk" in said) == (1, True, True)


def test_the_estimate_grows_with_rows_and_targets() -> None:
    plan = Plan(rounds=3, seconds=4, warm_up_seconds=3)
    one = plan.estimate_seconds([SMALL], [BY_NAME["nginx"]])
    assert (one, plan.estimate_seconds([SMALL], TARGETS)) == (17, 17 * (len(TARGETS) - 1))


def test_the_estimate_grows_with_the_starts() -> None:
    plan = Plan(rounds=3, seconds=4, warm_up_seconds=3, starts=2)
    assert plan.estimate_seconds([SMALL], [BY_NAME["nginx"]]) == 34


@pytest.mark.skipif(backend.missing() is not None, reason=str(backend.missing()))
def test_each_start_adds_its_rounds(tmp_path: Path) -> None:
    directory = tmp_path / "bench"
    with backend.running_backends(tmp_path / "backend") as backends:
        bench = Bench(
            Plan(rounds=1, seconds=1, warm_up_seconds=1, starts=2), machine.cores(), backends, directory
        )
        found = list(bench.samples([FIRST], [BY_NAME["direct"]]))
    assert [(sample.number, sample.error) for sample in found] == [(number, "") for number in range(2)]


@pytest.mark.skipif(backend.missing() is not None, reason=str(backend.missing()))
@pytest.mark.skipif(not wrk.is_installed(), reason="wrk is not installed")
def test_a_quick_run_measures_with_every_client(
    tmp_path: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = pytestconfig.getoption("--engine")
    rows = "small,alone,first-token,trials"
    targets = "stock,apisix" if engine == "apisix" else engine
    CliRunner().invoke(cli.app, ["--quick", "--targets", targets, "--rows", rows, "--output", str(tmp_path)])
    found = Results.read(tmp_path / "results.json")
    shown = [row for row in ROWS if row.name in rows.split(",")]
    missing = [
        (row.name, figure.title)
        for row in shown
        for figure in row.figures
        if found.cell(row, figure, engine) is None
    ]
    assert (found.errors(), missing) == ([], [])
    assert (tmp_path / "table.md").read_text() == table.markdown(found, ROWS, TARGETS)
    assert (tmp_path / "plots.svg").read_text().startswith("<svg")
