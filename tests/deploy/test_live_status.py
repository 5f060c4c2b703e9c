"""`status --live`: the live page in a terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from e2e.simulator import Simulator
from scripts.deploy.layout import STACKS
from scripts.live.events import LiveError, Picture, pictures
from scripts.live.tables import plain, tables
from scripts.live.watching import one_picture
from tests.behaviour.conftest import CLIENT_KEY, Stage, shared_gateways, sim, simulator, stage
from tests.behaviour.support import chat
from tests.deploy.commands import BACKEND_KEY, Installation
from tests.support.live import EVENTS, watching
from tests.support.loopback_server import LoopbackServer, Reply, Request
from tests.support.measuring import measuring

__all__ = ["shared_gateways", "sim", "simulator", "stage"]

LOCAL: dict[str, Any] = {"GATEWAY_LIVE_PAGE": "local", "AZURE_OPENAI_PRIORITY_0": 10}
OPERATOR_KEY = "canary-operator-0b1f6c5"
HOSTILE = "\x1b[2J[bold]x[/bold]\u202e"


def status(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the command where no environment is deployed."""
    return subprocess.run(
        [sys.executable, "-c", "from scripts.deploy.cli import main_status; main_status()", *arguments],
        cwd=Path(__file__).parents[2],
        env={**measuring(), "PATH": os.environ["PATH"], "COLUMNS": "160", **env},
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


BUDGET: dict[str, Any] = {"GATEWAY_CLIENT_TOKENS_PER_MONTH_0": 1}


def usage(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the command where no environment is deployed."""
    return subprocess.run(
        [sys.executable, "-c", "from scripts.deploy.cli import main_usage; main_usage()", *arguments],
        cwd=Path(__file__).parents[2],
        env={**measuring(), "PATH": os.environ["PATH"], "COLUMNS": "160", **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_usage_shows_who_used_what_of_which_budget(stage: Stage) -> None:
    gateway = stage.gateway(**LOCAL, **BUDGET)
    chat(stage.http(gateway))
    shown = usage("--url", gateway.url)
    assert shown.returncode == 0, shown.stderr
    assert "team-a" in shown.stdout
    assert "tokens a month" in shown.stdout
    assert "-01 00:00 UTC" in shown.stdout


def test_usage_shows_the_same_as_json(stage: Stage) -> None:
    gateway = stage.gateway(**LOCAL, **BUDGET)
    used = chat(stage.http(gateway)).json()["usage"]["total_tokens"]
    [shown] = json.loads(usage("--url", gateway.url, "-o", "json").stdout)["budgets"]
    assert (shown["client"], shown["unit"], shown["period"], shown["limit"]) == (
        "team-a",
        "tokens",
        "month",
        1,
    )
    assert shown["used"] == used


def test_usage_says_when_there_is_no_budget(stage: Stage) -> None:
    assert usage("--url", stage.gateway(**LOCAL).url).stdout == "No client has a budget.\n"


def test_the_live_tables_show_budgets(stage: Stage) -> None:
    gateway = stage.gateway(**LOCAL, **BUDGET)
    assert "tokens a month" in status("--live", "--url", gateway.url).stdout


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


# ------------------------------------------------------------------------------------- of an environment


def deployed(made: Installation, url: str, key: str = CLIENT_KEY, **app_settings: str) -> None:
    """Deploys a gateway, which really is the one at `url`."""
    made.settings(
        url=url,
        app_settings={
            "GATEWAY_CLIENT_NAME_0": "team-a",
            "GATEWAY_CLIENT_NAME_1": "operator",
            "AZURE_OPENAI_ENDPOINT_0": "https://mine.openai.azure.com",
            **app_settings,
        },
        secrets={
            "GATEWAY_CLIENT_KEY_0": key,
            "GATEWAY_CLIENT_KEY_1": OPERATOR_KEY,
            "AZURE_OPENAI_KEY_0": BACKEND_KEY,
        },
    )
    made.begin_with("bootstrap", "observability", "platform")
    made.deploy("workload")


def test_a_deployed_gateway_is_found_by_its_environment(
    made: Installation, stage: Stage, sim: Simulator
) -> None:
    gateway = stage.gateway(GATEWAY_LIVE_PAGE="keys")
    deployed(made, gateway.url)
    made.commands.environment["GATEWAY_KEY"] = CLIENT_KEY
    with watching(gateway.url, CLIENT_KEY) as watcher:
        watcher.look()
        chat(stage.http(gateway))
        shown = made.commands.run("status", "--live")
    assert shown.returncode == 0, shown.stderr
    assert "eastus:200" in shown.stdout


def test_the_remedy_for_a_missing_key_gets_one_that_opens_the_page(made: Installation, stage: Stage) -> None:
    """The operator copies the line; `az` has the key."""
    gateway = stage.gateway(GATEWAY_LIVE_PAGE="keys")
    deployed(made, gateway.url)
    asked = made.commands.run("status", "--live", "-o", "json")
    secret = f"{made.vault.url}/secrets/gateway-client-key-0"
    made.az.answer(f"keyvault secret show --id {secret} --query value --output tsv", raw=CLIENT_KEY)
    [line] = [line for line in asked.stderr.splitlines() if "export GATEWAY_KEY=" in line]
    made.commands.environment["GATEWAY_KEY"] = shell(made, f'{line.strip(" →")}; printf %s "$GATEWAY_KEY"')
    shown = made.commands.run("status", "--live", "-o", "json")
    assert (asked.returncode, shown.returncode) == (1, 0), shown.stderr


def test_the_remedy_for_a_missing_key_prefers_an_operators(made: Installation, stage: Stage) -> None:
    deployed(
        made,
        stage.gateway(GATEWAY_LIVE_PAGE="keys").url,
        GATEWAY_LIVE_PAGE="keys",
        GATEWAY_LIVE_OPERATORS="operator",
    )
    asked = made.commands.run("status", "--live", "-o", "json")
    assert "/secrets/gateway-client-key-1 " in asked.stderr


def test_the_remedy_for_a_missing_page_is_the_setting_of_the_deployment(
    made: Installation, stage: Stage
) -> None:
    deployed(made, stage.gateway().url)
    shown = made.commands.run("status", "--live")
    assert (shown.returncode, "run deploy-workload dev" in shown.stderr) == (1, True)


def test_an_environment_without_a_gateway_says_what_comes_first(made: Installation) -> None:
    made.begin_with("bootstrap", "observability", "platform")
    shown = made.commands.run("status", "--live")
    assert (shown.returncode, "dev has no gateway yet" in shown.stderr) == (4, True)


def test_an_environment_without_a_storage_says_what_comes_first(made: Installation) -> None:
    shown = made.commands.run("status", "--live")
    assert (shown.returncode, "dev has no gateway yet" in shown.stderr) == (4, True)


def test_a_gateway_inside_its_network_is_called_that(made: Installation) -> None:
    main = made.layout.directory(STACKS["workload"]) / "main.tf"
    main.write_text(main.read_text() + 'variable "ingress_external" { type = bool }\n')
    made.settings(url="http://127.0.0.1:9", ingress_external=False)
    made.begin_with("bootstrap", "observability", "platform")
    made.deploy("workload")
    shown = made.commands.run("status", "--live")
    assert (shown.returncode, "ingress_external is false" in shown.stderr) == (1, True)


def test_ctrl_c_ends_the_watch_of_an_environment(made: Installation, stage: Stage) -> None:
    deployed(made, stage.gateway(GATEWAY_LIVE_PAGE="keys").url)
    made.commands.environment |= {"GATEWAY_KEY": CLIENT_KEY, "TERM": "xterm"}
    with made.commands.terminal("status", "--live") as terminal:
        terminal.expect("requests/s")
        terminal.type("\x03")
        assert terminal.end() == 0


def shell(made: Installation, script: str) -> str:
    environment = made.commands.environment
    return subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout


# ------------------------------------------------------------------------------------- connections that end


def look(requests: int, replica: str = "r1", now: float = 0, shown: Sequence[str] = ()) -> dict[str, Any]:
    sums = dict.fromkeys(("failed", "failovers", "prompt", "cached", "completion", "cost"), 0)
    listed = [{"id": name, "at": 0, "total_ms": 1} for name in shown]
    sum_ = {"client": "c", "deployment": "d", "requests": requests, **sums}
    return {"now": now, "replica": replica, "backends": [], "sums": [sum_], "requests": listed}


class Events:
    """Answers each connection with the next list of messages, or with a status."""

    def __init__(self, *connections: list[dict[str, Any]] | int) -> None:
        self.connections = list(connections)

    def answer(self, request: Request) -> Reply:
        assert request.path == EVENTS
        found = self.connections.pop(0) if self.connections else 401
        if isinstance(found, int):
            return found, {}, {}
        text = "".join(f"data: {json.dumps(message)}\n\n" for message in found)
        return 200, text.encode(), {"content-type": "text/event-stream"}


def watched(*connections: list[dict[str, Any]] | int) -> list[Picture]:
    """The pictures of these connections, until the gateway says that the key is not valid any more."""
    seen: list[Picture] = []
    with LoopbackServer(Events(*connections).answer) as server, pytest.raises(LiveError, match="GATEWAY_KEY"):
        seen.extend(pictures(server.url, "key", sleep=lambda _: None))
    return seen


@pytest.mark.parametrize("between", [[], [503], [429]])
def test_the_watch_comes_back_when_a_connection_ends(between: list[int]) -> None:
    seen = watched([look(1), look(2, now=1)], *between, [look(5, now=2)])
    assert (seen[-1].totals["requests"], seen[-1].seconds) == (4, 2)


def test_sums_of_another_replica_are_added() -> None:
    seen = watched([look(10), look(12, now=1)], [look(1000, "r2", now=50), look(1003, "r2", now=51)])
    assert (seen[-1].totals["requests"], seen[-1].seconds) == (5, 2)


def test_sums_of_a_gateway_that_started_again_are_added() -> None:
    seen = watched([look(10), look(12, now=1)], [look(0, now=2), look(3, now=4)])
    assert (seen[-1].totals["requests"], seen[-1].seconds) == (5, 3)


def test_a_request_is_shown_once_although_each_connection_lists_it() -> None:
    names = [f"r{number}" for number in range(40)]
    seen = watched([look(1, shown=names[:39])], [look(2, shown=names)])
    assert [request["id"] for request in seen[-1].requests] == names[:-16:-1]


def test_a_lost_connection_is_shown() -> None:
    seen = watched([look(1)], 503, [look(2)])
    assert [picture.lost is not None for picture in seen] == [False, True, False]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tables(seen[1]))
    assert "reconnecting" in console.export_text()


def test_one_picture_does_not_wait_for_a_gateway_that_went_away() -> None:
    with LoopbackServer(Events([look(1)], 503).answer) as server, pytest.raises(LiveError):
        one_picture(server.url, "key")


@pytest.mark.parametrize("body", [b"<html></html>", b"data: {"])
def test_what_sends_no_events_is_no_gateway(body: bytes) -> None:
    with LoopbackServer(lambda _: (200, body, {})) as server, pytest.raises(LiveError, match="http://127"):
        one_picture(server.url, None)


def test_an_address_that_is_none_is_an_error() -> None:
    shown = status("--live", "--url", "http://[")
    assert (shown.returncode, "Traceback" in shown.stderr) == (1, False)
