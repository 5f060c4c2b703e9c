"""`status --live`: the live page in a terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from e2e.simulator import Simulator
from scripts.live.events import Picture
from scripts.live.tables import plain, tables
from tests.behaviour.conftest import CLIENT_KEY, Stage, sim, simulator, stage
from tests.behaviour.support import chat
from tests.support.live import watching

__all__ = ["sim", "simulator", "stage"]

LOCAL: dict[str, Any] = {"GATEWAY_LIVE_PAGE": "local", "AZURE_OPENAI_PRIORITY_0": 10}
HOSTILE = "\x1b[2J[bold]x[/bold]\u202e"


def status(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the command where no environment is deployed."""
    return subprocess.run(
        [sys.executable, "-c", "from scripts.deploy.cli import main_status; main_status()", *arguments],
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"], "COLUMNS": "160", **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_shows_backends_and_the_last_requests(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(**LOCAL)
    sim.fail("eastus", status=429, retry_after=60, count=1)
    with watching(gateway.url) as watcher:
        watcher.look()
        chat(stage.http(gateway))
        shown = status("--live", "--url", gateway.url)
    assert shown.returncode == 0, shown.stderr
    assert "eastus:429 → westus:200" in shown.stdout
    assert "throttled" in shown.stdout
    assert "requests/s" in shown.stdout


def test_it_shows_the_same_as_json(stage: Stage) -> None:
    gateway = stage.gateway(**LOCAL)
    shown = json.loads(status("--live", "--url", gateway.url, "-o", "json").stdout)
    assert [backend["name"] for backend in shown["backends"]] == ["eastus", "westus"]
    assert shown["requests_per_second"] == 0


def test_a_key_comes_from_the_environment(stage: Stage) -> None:
    gateway = stage.gateway(GATEWAY_LIVE_PAGE="keys")
    asked = status("--live", "--url", gateway.url)
    given = status("--live", "--url", gateway.url, "-o", "json", GATEWAY_KEY=CLIENT_KEY)
    assert (asked.returncode, given.returncode) == (1, 0)
    assert "GATEWAY_KEY" in asked.stderr


def test_a_gateway_without_the_page_says_how_to_get_it(stage: Stage) -> None:
    shown = status("--live", "--url", stage.gateway().url)
    assert (shown.returncode, "GATEWAY_LIVE_PAGE" in shown.stderr) == (1, True)


def test_a_gateway_that_is_not_there_is_named() -> None:
    shown = status("--live", "--url", "http://127.0.0.1:9")
    assert (shown.returncode, "http://127.0.0.1:9" in shown.stderr) == (1, True)


@pytest.mark.parametrize("sign", ["\x1b", "\x9b", "\r", "\u202e"])
def test_no_text_of_a_client_moves_the_cursor(sign: str) -> None:
    assert sign not in plain(f"a{sign}b")


def test_hostile_names_are_shown_as_they_are() -> None:
    attempt = {"backend": HOSTILE, "status": 200, "at_ms": 0, "ms": 1}
    request = {"at": 0, "status": 200, "outcome": HOSTILE, "total_ms": 1, "attempts": [attempt]}
    pair = {"deployment": HOSTILE, "state": HOSTILE}
    backend = {"name": HOSTILE, "region": HOSTILE, "priority": 0, "state": "ready", "pairs": [pair]}
    totals = dict.fromkeys(("requests", "failed", "failovers", "prompt", "cached", "completion", "cost"), 0.0)
    texts = {"client": HOSTILE, "deployment": HOSTILE}
    picture = Picture({"backends": [backend], "replica": HOSTILE}, 1.0, totals, [request | texts])
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tables(picture))
    shown = console.export_text()
    assert ("[bold]x[/bold]" in shown, "\x1b" in shown, "\u202e" in shown) == (True, False, False)


def test_of_very_many_backends_a_screen_shows_those_that_take_no_requests() -> None:
    backends = [
        {"name": f"b{index}", "state": "ready", "pairs": [{"deployment": "d", "state": "ready"}]}
        for index in range(300)
    ]
    backends[299]["pairs"] = [{"deployment": "d", "state": "throttled", "seconds": 9}]
    sums = dict.fromkeys(("requests", "failed", "failovers", "prompt", "cached", "completion", "cost"), 0.0)
    picture = Picture({"now": 1, "backends": backends, "sums": [], "requests": []}, 1, sums)
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(tables(picture, most_rows=10))
    text = console.export_text()
    assert ("b299" in text, "290 more rows" in text, "Last requests" in text) == (True, True, True)
    assert len(text.splitlines()) < 30
