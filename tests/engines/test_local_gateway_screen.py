"""What `local-gateway` prints: backends, clients, a call that works, and a line for each request."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.simulator import Region, Simulator
from scripts.local_gateway.log_tail import following
from scripts.local_gateway.request_lines import line_of
from tests.support.local_gateway import Command, local_gateway, url_in

KEY = "client-key-of-team-a"
OTHER_KEY = "client-key-of-team-b"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
ENGINE = ("--engine", "embedded")


@pytest.fixture(scope="module")
def regions() -> Iterator[Simulator]:
    with Simulator([Region(name, key=f"key-of-{name}") for name in ("eastus", "westus")]) as running:
        yield running


@pytest.fixture
def sim(regions: Simulator) -> Simulator:
    regions.reset()
    return regions


def settings(sim: Simulator, **changes: object) -> str:
    """Two backends, the first one preferred, and two clients."""
    values: dict[str, object] = {
        "AZURE_OPENAI_PRIORITY_0": 10,
        "AZURE_OPENAI_WEIGHT_1": 3,
        "GATEWAY_CLIENT_NAME_0": "team-a",
        "GATEWAY_CLIENT_KEY_0": KEY,
        "GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0": 600,
        "GATEWAY_CLIENT_TOKENS_PER_DAY_0": 5_000_000,
        "GATEWAY_CLIENT_NAME_1": "team-b",
        "GATEWAY_CLIENT_KEY_1": OTHER_KEY,
        "GATEWAY_CLIENT_LANE_1": "low",
    }
    for index, region in enumerate(sim.regions):
        values[f"AZURE_OPENAI_NAME_{index}"] = region
        values[f"AZURE_OPENAI_ENDPOINT_{index}"] = sim.endpoint(region)
        values[f"AZURE_OPENAI_KEY_{index}"] = f"key-of-{region}"
    return "".join(f"{name}={value}\n" for name, value in {**values, **changes}.items() if value != "")


def chat(url: str, key: str = KEY, **members: Any) -> httpx.Response:
    headers = {"api-key": key}
    return httpx.post(f"{url}/openai/v1/chat/completions", json=CHAT | members, headers=headers, timeout=30)


def curl_in(announced: str) -> str:
    """The command that the gateway says to try."""
    found = re.search(r"^  curl .*?(?<!\\)$", announced, re.MULTILINE | re.DOTALL)
    assert found, announced
    return found[0]


def run_in_shell(command: str, directory: Path, **environment: str) -> str:
    """What a command prints in a shell that works in a directory."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=directory,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_it_lists_backends_with_host_priority_weight_auth_and_surfaces(
    sim: Simulator, tmp_path: Path
) -> None:
    with local_gateway(tmp_path, settings(sim), *ENGINE) as (_, announced):
        pass
    host = sim.endpoint("westus").removeprefix("http://")
    assert re.search(rf"^  westus +{host} +priority 0 +weight 3 +key +openai$", announced, re.MULTILINE)


def test_it_lists_clients_with_their_limits(sim: Simulator, tmp_path: Path) -> None:
    with local_gateway(tmp_path, settings(sim), *ENGINE) as (_, announced):
        pass
    rows = re.findall(r"^  (team-\w) +key +(.*)$", announced, re.MULTILINE)
    assert rows == [("team-a", "600 requests a minute, 5,000,000 tokens a day"), ("team-b", "lane low")]


def test_it_prints_no_key(sim: Simulator, tmp_path: Path) -> None:
    command = Command(tmp_path, settings(sim), *ENGINE)
    announced = command.announced()
    chat(url_in(announced))
    _, out, err = command.end(signal.SIGTERM)
    assert "key-of-" not in announced + out + err


@pytest.mark.parametrize(
    "line",
    [
        f"GATEWAY_CLIENT_KEY_0={KEY}",
        f'export GATEWAY_CLIENT_KEY_0 = "{KEY}"  # mine',
        f"GATEWAY_CLIENT_KEY_0='{KEY}'",
        f"GATEWAY_CLIENT_KEY_0={KEY}\r",
    ],
    ids=["plain", "exported", "quoted", "with the line ends of Windows"],
)
@pytest.mark.parametrize("file", ["settings.env", "it's mine.env"])
def test_its_call_works_with_the_key_of_an_env_file(
    sim: Simulator, tmp_path: Path, line: str, file: str
) -> None:
    text = settings(sim, GATEWAY_CLIENT_KEY_0="") + f"{line}\n"
    with local_gateway(tmp_path, text, *ENGINE, file=file) as (_, announced):
        assert "200 OK" in run_in_shell(curl_in(announced), tmp_path)


@pytest.mark.parametrize("key", [KEY, f'"{KEY}"  # mine'], ids=["plain", "quoted"])
def test_its_call_works_with_the_key_of_a_yaml_file(sim: Simulator, tmp_path: Path, key: str) -> None:
    text = f"""
backends:
  - endpoint: {sim.endpoint("eastus")}
    key: key-of-eastus
clients:
  - key: {key}
    name: team-a
"""
    with local_gateway(tmp_path, text, *ENGINE, file="gateway.yaml") as (_, announced):
        assert "200 OK" in run_in_shell(curl_in(announced), tmp_path)


def test_its_call_works_with_the_key_of_the_environment(sim: Simulator, tmp_path: Path) -> None:
    key = {"GATEWAY_CLIENT_KEY_0": KEY}
    with local_gateway(tmp_path, settings(sim, GATEWAY_CLIENT_KEY_0=""), *ENGINE, **key) as (_, announced):
        assert "200 OK" in run_in_shell(curl_in(announced), tmp_path, **key)


def test_its_call_works_over_tls(sim: Simulator, tmp_path: Path) -> None:
    with local_gateway(tmp_path, settings(sim), *ENGINE, "--tls") as (_, announced):
        assert "200 OK" in run_in_shell(curl_in(announced), tmp_path)


def test_its_call_takes_a_deployment_that_the_client_may_call(sim: Simulator, tmp_path: Path) -> None:
    changes = {
        "AZURE_OPENAI_DEPLOYMENTS_0": "embeddings,gpt-4o,chat-b",
        "GATEWAY_CLIENT_DEPLOYMENTS_0": "embeddings,chat-b",
    }
    with local_gateway(tmp_path, settings(sim, **changes), *ENGINE) as (_, announced):
        assert '"model": "chat-b"' in curl_in(announced)


def test_its_call_fits_backends_of_claude(sim: Simulator, tmp_path: Path) -> None:
    surfaces = {f"AZURE_OPENAI_SURFACES_{index}": "anthropic" for index in range(2)}
    with local_gateway(tmp_path, settings(sim, **surfaces), *ENGINE) as (_, announced):
        assert "200 OK" in run_in_shell(curl_in(announced), tmp_path)


def test_an_open_gateway_is_called_without_a_key(sim: Simulator, tmp_path: Path) -> None:
    nobody = {f"GATEWAY_CLIENT_{name}": "" for name in ("NAME_0", "KEY_0", "NAME_1", "KEY_1", "LANE_1")}
    limits = {"GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0": "", "GATEWAY_CLIENT_TOKENS_PER_DAY_0": ""}
    text = settings(sim, **nobody, **limits, GATEWAY_REQUIRE_AUTH="false", STORED_RESOURCES="shared")
    with local_gateway(tmp_path, text, *ENGINE) as (_, announced):
        assert (
            "it asks for no key" in announced,
            "200 OK" in run_in_shell(curl_in(announced), tmp_path),
        ) == (
            True,
            True,
        )


def test_a_failover_is_seen_in_one_line(sim: Simulator, tmp_path: Path, engine: str) -> None:
    sim.fail("eastus", status=429, retry_after=60)
    with local_gateway(tmp_path, settings(sim), "--engine", engine) as (command, announced):
        chat(url_in(announced))
        line = command.until("200")
    told = (
        r"\d\d:\d\d:\d\d  200  team-a +gpt-4o +\d+ in, \d+ out +\$0\.0\d+ +[\d,]+ ms"
        r"  eastus:429 → westus:200"
    )
    assert re.fullmatch(told, line.strip())


def test_a_refused_client_is_seen_with_the_reason(sim: Simulator, tmp_path: Path) -> None:
    with local_gateway(tmp_path, settings(sim), *ENGINE) as (command, announced):
        chat(url_in(announced), "a-key-of-nobody-at-all")
        assert "client error" in command.until("401")


def test_the_last_request_is_seen_when_the_gateway_stops(sim: Simulator, tmp_path: Path) -> None:
    command = Command(tmp_path, settings(sim), *ENGINE, "--workers", "1")
    chat(url_in(command.announced()))
    _, out, _ = command.end(signal.SIGTERM)
    assert "eastus:200" in out


def test_probes_and_the_live_page_are_no_news(sim: Simulator, tmp_path: Path) -> None:
    command = Command(tmp_path, settings(sim), *ENGINE, "--workers", "1")
    url = url_in(command.announced())
    for path in ("/health/live", "/live"):
        assert httpx.get(url + path).status_code == 200
    _, out, _ = command.end(signal.SIGTERM)
    assert out.splitlines() == ["Stopping; requests in flight may finish (Ctrl-C again ends them)."]


def test_quiet_prints_no_request(sim: Simulator, tmp_path: Path) -> None:
    command = Command(tmp_path, settings(sim), *ENGINE, "--quiet")
    chat(url_in(command.announced()))
    _, out, _ = command.end(signal.SIGTERM)
    assert "team-a" not in out


def test_log_mode_dev_shows_the_lines_that_it_logs(sim: Simulator, tmp_path: Path) -> None:
    text = settings(sim, GATEWAY_LOG_MODE="dev")
    with local_gateway(tmp_path, text, *ENGINE) as (command, announced):
        chat(url_in(announced))
        assert "POST /openai/v1/chat/completions 200" in command.until("POST")


def test_a_pipe_gets_no_colours(sim: Simulator, tmp_path: Path) -> None:
    sim.fail("eastus", status=429)
    command = Command(tmp_path, settings(sim), *ENGINE)
    announced = command.announced()
    chat(url_in(announced))
    _, out, _ = command.end(signal.SIGTERM)
    assert "\x1b" not in announced + out


def on_terminal(tmp_path: Path, text: str, deployment: str) -> str:
    """All that a terminal gets while one request is sent."""
    ours, theirs = pty.openpty()
    command = Command(tmp_path, text, *ENGINE, "--workers", "1", stdout=theirs, TERM="xterm-256color")
    os.close(theirs)
    seen = ""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while "Stop it" not in seen:
            seen += terminal.read(65536).decode()
        chat(url_in(re.sub(r"\x1b\[[\d;]*m", "", seen)), model=deployment)
        command.process.send_signal(signal.SIGTERM)
        while True:
            try:
                seen += terminal.read(65536).decode()
            except OSError:  # nobody writes to it any more
                break
    command.end()
    return seen


def test_a_terminal_gets_colours(sim: Simulator, tmp_path: Path) -> None:
    sim.fail("eastus", status=429)
    seen = on_terminal(tmp_path, settings(sim), "gpt-4o")
    assert "\x1b[33meastus:429\x1b[0m → \x1b[32mwestus:200\x1b[0m" in seen


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"status": 401, "outcome": "client_error"}, "client error: no valid key of a client"),
        ({"status": 404, "outcome": "client_error"}, "client error: no such path"),
        (
            {"status": 404, "outcome": "client_error", "deployment": "gpt-77", "error": "unavailable"},
            "client error: no backend has this deployment",
        ),
        (
            {"status": 503, "outcome": "server_error", "error": "credential", "attempts": []},
            "server error: the backends refuse the gateway's key or identity",
        ),
    ],
)
def test_a_line_says_why_a_request_failed(record: dict[str, Any], why: str) -> None:
    line = line_of(json.dumps(record))
    assert line is not None
    assert line.plain.endswith(f"  {why}")


HOSTILE = "a\x1b[2J\x1b]0;owned\x07\u202e[red]b\n12:00:00  200"


@pytest.mark.parametrize("place", ["deployment", "client", "error"])
def test_hostile_text_moves_no_cursor_and_begins_no_line(place: str) -> None:
    record = {"time": "2026-11-30T00:21:06+00:00", "status": 400, "outcome": "client_error", place: HOSTILE}
    line = line_of(json.dumps(record))
    assert line is not None
    assert [sign for sign in line.plain if not sign.isprintable()] == []
    assert "[red]b" in line.plain


def test_hostile_text_on_a_terminal_stays_text(sim: Simulator, tmp_path: Path) -> None:
    seen = on_terminal(tmp_path, settings(sim), "a\x1b[2J\x1b]0;owned\x07b")
    assert not re.search(r"\x1b\[2J|\x1b\]0;", seen)


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"a": 1}', "null", '{"outcome": 5, "attempts": 7, "tokens": []}']
)
def test_what_is_no_record_is_shown_as_it_is(line: str) -> None:
    shown = line_of(line)
    assert shown is not None
    assert shown.plain == line


def test_a_log_is_followed_from_where_it_ends_to_its_last_line(tmp_path: Path) -> None:
    file, seen = tmp_path / "access.log", list[str]()
    file.write_text("old\n")
    with following(file, seen.extend), file.open("ab") as log:
        log.write(b"one\ntw")
        log.flush()
        log.write(b"o \xff\nthree, without an end")
    assert seen == ["one", "two \ufffd"]


def test_a_line_without_an_end_takes_no_more_memory_than_a_megabyte(tmp_path: Path) -> None:
    file, seen = tmp_path / "access.log", list[str]()
    file.touch()
    with following(file, seen.extend), file.open("ab") as log:
        for _ in range(4):
            log.write(b"x" * 1_000_000)
        log.write(b"\nnext\n")
    assert (len(seen[0]) < 1_500_000, seen[1:]) == (True, ["next"])
