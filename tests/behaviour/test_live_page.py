"""The live page's data: what watchers see, who may watch, and what it costs the others."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import socket
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from rich.console import Console

from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from scripts.live.events import pictures
from scripts.live.tables import tables
from tests.behaviour.conftest import CHAT, CLIENT_KEY, Stage
from tests.behaviour.support import V1_CHAT, chat
from tests.support.live import EVENTS, Look, watching
from tests.support.many_backends import BACKENDS, CLIENTS, DEPLOYMENTS, key_of, many

EASTUS_FIRST: dict[str, Any] = {"AZURE_OPENAI_PRIORITY_0": 10}
LOCAL: dict[str, Any] = {"GATEWAY_LIVE_PAGE": "local"}
KEYS: dict[str, Any] = {"GATEWAY_LIVE_PAGE": "keys"}
OTHER_KEY = "client-key-of-team-b-0002"
TWO_CLIENTS: dict[str, Any] = {"GATEWAY_CLIENT_NAME_1": "team-b", "GATEWAY_CLIENT_KEY_1": OTHER_KEY}
# A client's seats at once.
SEATS = 2
MARKUP = "<img src=x onerror=alert(1)></script>"
TWO_EVENTS = "one\n\ndata: {}\n\n"


def sum_of(look: Look, name: str) -> float:
    return sum(entry[name] for entry in look["sums"])


def pair(look: Look, backend: str, deployment: str = "gpt-4o") -> Any:
    """What a message says of a backend's deployment."""
    [found] = [each for each in look["backends"] if each["name"] == backend]
    return next((each for each in found["pairs"] if each["deployment"] == deployment), None)


def status_of(gateway: Gateway, path: str, **headers: str) -> int:
    return httpx.get(
        gateway.url + path, headers={name.replace("_", "-"): text for name, text in headers.items()}
    ).status_code


def test_there_is_no_page_unless_it_is_asked_for(stage: Stage) -> None:
    gateway = stage.gateway()
    assert (status_of(gateway, "/live"), status_of(gateway, EVENTS)) == (404, 404)


def test_the_page_runs_its_own_script_and_nothing_else(stage: Stage) -> None:
    page = httpx.get(stage.gateway(**LOCAL).url + "/live")
    policy = page.headers["content-security-policy"]
    for element in ("script", "style"):
        [content] = re.findall(f"<{element}>(.*?)</{element}>", page.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy


def test_the_page_has_no_outside_parts(stage: Stage) -> None:
    page = httpx.get(stage.gateway(**LOCAL).url + "/live").text
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(?!data:)", page)


def test_a_request_is_seen_with_its_trail(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(**LOCAL, **EASTUS_FIRST)
    sim.fail("eastus", status=429, retry_after=30, count=1)
    with watching(gateway.url) as watcher:
        watcher.look()
        answer = chat(stage.http(gateway))
        watcher.until_requests(1)
    [request] = watcher.requests
    attempts = [(each["backend"], each["status"], each.get("reason")) for each in request["attempts"]]
    assert attempts == [("eastus", 429, "throttled"), ("westus", 200, None)]
    facts = {name: request[name] for name in ("client", "deployment", "backend", "status", "outcome")}
    assert facts == {
        "client": "team-a",
        "deployment": "gpt-4o",
        "backend": "westus",
        "status": 200,
        "outcome": "success",
    }
    assert request["backend_id"] == answer.headers["x-request-id"]
    assert request["tokens"]["total"] == answer.json()["usage"]["total_tokens"]
    assert request["cost_usd"] > 0


def test_attempts_follow_one_another_in_time(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(**LOCAL, **EASTUS_FIRST)
    sim.fail("eastus", status=503, slow_first_byte=0.2, count=1)
    with watching(gateway.url) as watcher:
        watcher.look()
        chat(stage.http(gateway))
        watcher.until_requests(1)
    [request] = watcher.requests
    first, second = request["attempts"]
    assert 200 <= first["at_ms"] + first["ms"] <= second["at_ms"] + 1
    assert second["at_ms"] + second["ms"] <= request["total_ms"] + 1


def test_the_sums_are_those_of_the_answers(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(**LOCAL, **EASTUS_FIRST, workers=2)
    sim.fail("eastus", status=500, count=2)
    with watching(gateway.url) as watcher:
        watcher.look()
        answers = [chat(stage.http(gateway)) for _ in range(20)]
        look = watcher.until(lambda found: sum_of(found, "requests") == 20)
    usage = [answer.json()["usage"] for answer in answers]
    assert sum_of(look, "prompt") == sum(each["prompt_tokens"] for each in usage)
    assert sum_of(look, "completion") == sum(each["completion_tokens"] for each in usage)
    assert (sum_of(look, "failovers"), sum_of(look, "failed")) == (2, 0)
    attempts = {each["name"]: (each["served"], each["failed"]) for each in look["backends"]}
    won = Counter(answer.headers["x-gateway-backend"] for answer in answers)
    assert attempts == {"eastus": (won["eastus"], 2), "westus": (won["westus"], 0)}


def test_a_throttled_deployment_shows_how_long_it_rests(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(**LOCAL, **EASTUS_FIRST)
    sim.fail("eastus", status=429, retry_after=30)
    with watching(gateway.url) as watcher:
        watcher.look()
        chat(stage.http(gateway))
        look = watcher.until(lambda found: pair(found, "eastus"))
    assert (pair(look, "eastus")["state"], pair(look, "westus")["state"]) == ("throttled", "ready")
    assert 0 < pair(look, "eastus")["seconds"] <= 30


def test_a_backend_that_cannot_be_reached_shows_its_breaker(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(**LOCAL, **EASTUS_FIRST, BREAKER_FAILURES=1)
    sim.fail("eastus", refuse=True)
    with watching(gateway.url) as watcher:
        watcher.look()
        chat(stage.http(gateway))
        look = watcher.until(lambda found: found["backends"][0]["state"] != "ready")
    assert [each["state"] for each in look["backends"]] == ["open", "ready"]
    assert look["backends"][0]["seconds"] > 0


def test_the_quota_that_is_left_is_shown(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **LOCAL)
    with watching(gateway.url) as watcher:
        watcher.look()
        chat(stage.http(gateway))
        look = watcher.until(lambda found: (pair(found, "eastus") or {}).get("tokens_left"))
    assert 0 < pair(look, "eastus")["tokens_left"] <= pair(look, "eastus")["tokens_limit"]


def test_configured_deployments_are_shown_before_any_request(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], **LOCAL, AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o=our-gpt4o")
    with watching(gateway.url) as watcher:
        assert pair(watcher.look(), "eastus")["own_name"] == "our-gpt4o"


def test_nothing_is_noted_while_nobody_watches(stage: Stage) -> None:
    gateway = stage.gateway(**LOCAL)
    chat(stage.http(gateway))
    with watching(gateway.url) as watcher:
        look = watcher.look()
    assert (look["requests"], look["sums"]) == ([], [])


def test_who_comes_back_finds_the_last_requests(stage: Stage) -> None:
    gateway = stage.gateway(**LOCAL)
    with watching(gateway.url) as watcher:
        watcher.look()
    answer = chat(stage.http(gateway))
    with watching(gateway.url) as watcher:
        watcher.until_requests(1)
    assert [request["backend_id"] for request in watcher.requests] == [answer.headers["x-request-id"]]


def test_hostile_names_are_data_of_one_message(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(["eastus"], **LOCAL)
    sim.fail("eastus", status=400, code=TWO_EVENTS, message=TWO_EVENTS)
    with watching(gateway.url) as watcher:
        watcher.look()
        chat(stage.http(gateway), model=MARKUP)
        watcher.until_requests(1)
    [request] = watcher.requests
    assert (request["deployment"], request["label"]) == (MARKUP, "other")


@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example"}, {"x_forwarded_for": "203.0.113.9"}, {"via": "1.1 proxy"}],
    ids=str,
)
@pytest.mark.parametrize("path", ["/live", EVENTS])
def test_on_this_machine_means_no_other_name_and_no_proxy(
    stage: Stage, path: str, headers: dict[str, str]
) -> None:
    assert status_of(stage.gateway(**LOCAL), path, **headers) == 403


def test_another_site_takes_no_seat(stage: Stage) -> None:
    assert status_of(stage.gateway(**LOCAL), EVENTS, sec_fetch_site="cross-site") == 403


def test_behind_keys_the_events_need_one(stage: Stage) -> None:
    gateway = stage.gateway(**KEYS)
    refused = httpx.get(gateway.url + EVENTS)
    assert (status_of(gateway, "/live"), refused.status_code) == (200, 401)
    assert refused.json()["error"]["message"]


def test_a_client_sees_its_own_requests_only(stage: Stage) -> None:
    gateway = stage.gateway(**KEYS, **TWO_CLIENTS)
    with watching(gateway.url, OTHER_KEY) as watcher:
        watcher.look()
        chat(stage.http(gateway))
        own = chat(stage.http(gateway, OTHER_KEY))
        look = watcher.until_requests(1)
    assert [request["backend_id"] for request in watcher.requests] == [own.headers["x-request-id"]]
    assert {entry["client"] for entry in look["sums"]} == {"team-b"}
    assert (look["scope"], look["client"], look["missed"]) == ("own", "team-b", 0)
    assert all("served" not in backend for backend in look["backends"])


def test_an_operator_sees_the_requests_of_all(stage: Stage) -> None:
    gateway = stage.gateway(**KEYS, **TWO_CLIENTS, GATEWAY_LIVE_OPERATORS="team-b")
    with watching(gateway.url, OTHER_KEY) as watcher:
        watcher.look()
        chat(stage.http(gateway))
        watcher.until_requests(1)
    assert [request["client"] for request in watcher.requests] == ["team-a"]


def test_a_client_that_may_not_know_backends_does_not_learn_them_here(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(**KEYS, GATEWAY_EXPOSE_BACKEND_HEADERS="false")
    sim.fail("eastus", status=500, count=1)
    with watching(gateway.url, CLIENT_KEY) as watcher:
        watcher.look()
        chat(stage.http(gateway))
        look = watcher.until_requests(1)
    assert not re.search("eastus|westus|East US|West US", str(look))


def test_a_client_is_shown_the_deployments_that_it_may_use(stage: Stage) -> None:
    gateway = stage.gateway(
        ["eastus"], **KEYS, AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o,o4-mini", GATEWAY_CLIENT_DEPLOYMENTS_0="gpt-4o"
    )
    with watching(gateway.url, CLIENT_KEY) as watcher:
        [backend] = watcher.look()["backends"]
    assert [each["deployment"] for each in backend["pairs"]] == ["gpt-4o"]


def test_a_client_has_two_seats_and_gets_them_back(stage: Stage) -> None:
    gateway = stage.gateway(**KEYS, **TWO_CLIENTS)
    with watching(gateway.url, CLIENT_KEY) as first, watching(gateway.url, CLIENT_KEY) as second:
        for watcher in (first, second):
            watcher.look()
        refused = stage.http(gateway).get(EVENTS)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert refused.json()["error"]["code"] == "too_many_watchers"
        with watching(gateway.url, OTHER_KEY) as other:
            assert other.look()

    def is_free() -> bool:
        with watching(gateway.url, CLIENT_KEY) as watcher:
            return watcher.response.status_code == 200

    assert eventually(is_free, seconds=20)


def test_a_watcher_that_does_not_read_holds_up_nobody(stage: Stage) -> None:
    gateway = stage.gateway(**LOCAL)
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port)) as slow:
        slow.sendall(f"GET {EVENTS} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
        with watching(gateway.url) as watcher:
            watcher.look()
            client = stage.http(gateway)
            assert {client.post(V1_CHAT, json=CHAT).status_code for _ in range(300)} == {200}
            watcher.until(lambda found: sum_of(found, "requests") == 300)


def test_a_key_that_is_revoked_ends_the_watch(stage: Stage) -> None:
    gateway = stage.gateway(**KEYS, **TWO_CLIENTS)
    with watching(gateway.url, OTHER_KEY) as watcher:
        watcher.look()
        gateway.reload(stage.environment(**KEYS))
        assert watcher.ended()
    assert eventually(
        lambda: httpx.get(gateway.url + EVENTS, headers={"api-key": OTHER_KEY}).status_code == 401
    )


def test_a_gateway_that_stops_does_not_wait_for_watchers(stage: Stage) -> None:
    gateway = stage.gateway(**LOCAL)
    with watching(gateway.url) as watcher:
        watcher.look()
        gateway.stop(grace=30)
        assert watcher.ended()


MOST_MESSAGE_BYTES = 256 * 1024


def test_very_many_backends_and_clients_fit_into_a_message(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway([], **many(sim.endpoint("eastus"), "key-of-eastus"))
    with watching(gateway.url) as watcher:
        watcher.look()
        for client in range(CLIENTS):
            for model in DEPLOYMENTS:
                assert chat(stage.http(gateway, key_of(client)), model=model).status_code == 200
        look = watcher.until(lambda found: sum_of(found, "requests") == CLIENTS * len(DEPLOYMENTS))
    shown = {name: [each["deployment"] for each in pairs] for name, pairs in pairs_of(look).items()}
    assert shown == {f"backend-{index}": list(DEPLOYMENTS) for index in range(BACKENDS)}
    size = len(json.dumps(look))
    print(f"{size} bytes a second")
    assert size < MOST_MESSAGE_BYTES
    console = Console(record=True, width=160, file=io.StringIO())
    console.print(tables(next(pictures(gateway.url, None))))
    assert all(f"backend-{index} " in console.export_text(clear=False) for index in (0, BACKENDS - 1))


def test_each_backend_has_its_share_of_a_message(stage: Stage, sim: Simulator) -> None:
    many_deployments = ",".join(f"deployment-{index}" for index in range(10))
    settings = many(sim.endpoint("eastus"), "key-of-eastus") | {
        f"AZURE_OPENAI_DEPLOYMENTS_{index}": many_deployments for index in range(BACKENDS)
    }
    with watching(stage.gateway([], **settings).url) as watcher:
        look = watcher.look()
    counts = {(len(each["pairs"]), each.get("more_pairs")) for each in look["backends"]}
    assert (counts, len(look["backends"])) == ({(3, 7)}, BACKENDS)


def pairs_of(look: Look) -> dict[str, Any]:
    return {each["name"]: each["pairs"] for each in look["backends"]}
