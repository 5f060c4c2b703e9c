"""The live page in a browser: what people see, with mouse, keyboard and phone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from e2e.simulator import Simulator
from e2e.waiting import eventually
from tests.behaviour.conftest import CLIENT_KEY, Stage
from tests.behaviour.support import chat
from tests.browser.conftest import Screen
from tests.support.many_backends import BACKENDS, DEPLOYMENTS, key_of, many

# One process starts the browser for all of these tests.
pytestmark = pytest.mark.xdist_group("browser")

LOCAL: dict[str, Any] = {"GATEWAY_LIVE_PAGE": "local", "AZURE_OPENAI_PRIORITY_0": 10}
KEYS: dict[str, Any] = {"GATEWAY_LIVE_PAGE": "keys"}
OTHER_KEY = "client-key-of-team-b-0002"
TWO_CLIENTS: dict[str, Any] = {"GATEWAY_CLIENT_NAME_1": "team-b", "GATEWAY_CLIENT_KEY_1": OTHER_KEY}
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
DRAWING_MS = "(() => { const at = performance.now(); draw(); return performance.now() - at })()"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def is_live(page: Page) -> None:
    expect(page.locator("#connection")).to_have_text("live")


def rows(page: Page) -> Any:
    return page.locator("tr.request")


def test_a_failover_is_seen_at_a_glance(stage: Stage, sim: Simulator, screen: Screen) -> None:
    gateway = stage.gateway(**LOCAL)
    sim.fail("eastus", status=429, retry_after=60, count=1)
    with screen.open(gateway) as page:
        is_live(page)
        chat(stage.http(gateway))
        expect(rows(page).locator(".trail")).to_have_text("eastus 429westus 200")
        expect(rows(page)).to_contain_text("200 success")
        expect(page.locator("#events")).to_contain_text("eastus throttled (429) → westus")
        expect(page.locator("#backends .card").first).to_contain_text("throttled")
        expect(page.locator("#failovers")).to_have_text("1")
        expect(page.locator("#success")).to_have_text("100%")
        expect(page.locator("#cost")).to_contain_text("$0.")


def test_a_screen_reader_hears_of_a_backend_that_changes(
    stage: Stage, sim: Simulator, screen: Screen
) -> None:
    gateway = stage.gateway(**LOCAL, AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o")
    sim.fail("eastus", status=429, retry_after=60)
    with screen.open(gateway) as page:
        is_live(page)
        chat(stage.http(gateway))
        expect(page.locator("#news")).to_have_text("eastus: throttled")


def test_a_request_opens_by_keyboard(stage: Stage, screen: Screen) -> None:
    gateway = stage.gateway(**LOCAL)
    with screen.open(gateway) as page:
        is_live(page)
        answer = chat(stage.http(gateway))
        toggle = rows(page).get_by_role("button")
        toggle.focus()
        page.keyboard.press("Enter")
        expect(toggle).to_have_attribute("aria-expanded", "true")
        expect(page.locator("tr.more")).to_contain_text(answer.headers["x-request-id"])
        # It stays open and in focus while further messages arrive.
        chat(stage.http(gateway))
        expect(rows(page)).to_have_count(2)
        expect(page.locator("tr.more:visible")).to_have_count(1)
        expect(toggle.last).to_be_focused()


def test_filters_choose_client_and_deployment(stage: Stage, screen: Screen) -> None:
    gateway = stage.gateway(**LOCAL, **TWO_CLIENTS)
    with screen.open(gateway) as page:
        is_live(page)
        chat(stage.http(gateway))
        chat(stage.http(gateway, OTHER_KEY), model="gpt-4o-mini")
        expect(rows(page)).to_have_count(2)
        page.get_by_label("Client").select_option("team-b")
        expect(rows(page)).to_have_count(1)
        expect(rows(page)).to_contain_text("gpt-4o-mini")
        page.get_by_label("Deployment").select_option("gpt-4o")
        expect(rows(page)).to_have_count(0)
        page.get_by_label("Client").select_option("all")
        expect(rows(page)).to_contain_text("team-a")


def test_pause_keeps_the_picture_and_resume_catches_up(stage: Stage, screen: Screen) -> None:
    gateway = stage.gateway(**LOCAL)
    with screen.open(gateway) as page:
        is_live(page)
        chat(stage.http(gateway))
        expect(rows(page)).to_have_count(1)
        page.keyboard.press("p")
        expect(page.locator("#connection")).to_have_text("paused")
        chat(stage.http(gateway))
        assert eventually(lambda: page.evaluate("requests.length") == 2)
        expect(rows(page)).to_have_count(1)
        page.get_by_role("button", name="Resume").click()
        expect(rows(page)).to_have_count(2)


def test_hostile_text_stays_text(stage: Stage, sim: Simulator, screen: Screen) -> None:
    gateway = stage.gateway(**LOCAL, GATEWAY_CLIENT_NAME_0=MARKUP)
    sim.fail("eastus", status=400, code=MARKUP, message=MARKUP)
    with screen.open(gateway) as page:
        is_live(page)
        chat(stage.http(gateway), model=MARKUP)
        chat(stage.http(gateway), model="__proto__")
        expect(rows(page)).to_have_count(2)
        expect(rows(page).last).to_contain_text(MARKUP)
        expect(page.get_by_label("Client")).to_contain_text(MARKUP)
        expect(page).to_have_title("Azure OpenAI gateway, live")
        assert page.locator("img").count() == 0


def test_text_cannot_become_markup_even_by_mistake(stage: Stage, screen: Screen) -> None:
    with screen.open(stage.gateway(**LOCAL)) as page:
        is_live(page)
        script = "try { document.body.innerHTML = '<b>x</b>'; 'made' } catch (error) { error.name }"
        assert page.evaluate(script) == "TypeError"
        screen.complaints.clear()


def test_a_key_goes_in_a_header_and_in_no_address(stage: Stage, screen: Screen) -> None:
    gateway = stage.gateway(**KEYS)
    with screen.open(gateway) as page:
        page.get_by_label("Key").fill("a-key-of-nobody-at-all")
        page.get_by_role("button", name="Watch").click()
        expect(page.get_by_role("alert")).to_contain_text("Access denied")
        page.get_by_label("Key").fill(CLIENT_KEY)
        page.get_by_role("button", name="Watch").click()
        is_live(page)
        expect(page.get_by_label("Key")).to_be_hidden()
        chat(stage.http(gateway))
        expect(rows(page)).to_have_count(1)
        stored = page.evaluate(
            "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])"
        )
    assert stored == '[{},{},""]'
    assert not any(CLIENT_KEY in address for address in screen.addresses)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_until_chosen(stage: Stage, screen: Screen, scheme: str) -> None:
    with screen.open(stage.gateway(**LOCAL), color_scheme=scheme) as page:
        is_live(page)
        background = "getComputedStyle(document.body).backgroundColor"
        light, dark = "rgb(249, 249, 247)", "rgb(13, 13, 13)"
        assert page.evaluate(background) == (light if scheme == "light" else dark)
        page.keyboard.press("t")
        assert page.evaluate(background) == light
        page.keyboard.press("t")
        assert page.evaluate(background) == dark


def test_a_phone_scrolls_in_one_direction(stage: Stage, sim: Simulator, screen: Screen) -> None:
    gateway = stage.gateway(**LOCAL, GATEWAY_CLIENT_NAME_0="a-client-with-a-long-name" * 4)
    sim.fail("eastus", status=500, count=1)
    with screen.open(gateway, **PHONE) as page:
        is_live(page)
        chat(stage.http(gateway))
        rows(page).get_by_role("button").tap()
        expect(page.locator("tr.more")).to_be_visible()
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


def test_every_picture_and_control_has_a_name(stage: Stage, screen: Screen) -> None:
    gateway = stage.gateway(**LOCAL)
    with screen.open(gateway) as page:
        is_live(page)
        chat(stage.http(gateway))
        expect(rows(page)).to_have_count(1)
        nameless = page.evaluate(
            "[...document.querySelectorAll('[role=img],[role=meter]')]"
            ".filter((each) => !each.getAttribute('aria-label')).length"
        )
        assert nameless == 0
        expect(page.get_by_role("table", name="Last requests").get_by_role("columnheader")).to_have_count(9)
        assert page.evaluate("document.documentElement.lang") == "en"


def test_the_page_comes_back_after_a_restart(stage: Stage, screen: Screen) -> None:
    first = stage.gateway(**LOCAL)
    with screen.open(first) as page:
        is_live(page)
        first.stop()
        expect(page.locator("#connection")).to_have_text("reconnecting", timeout=15000)


def test_a_tab_that_nobody_sees_takes_no_seat(stage: Stage, screen: Screen) -> None:
    with screen.open(stage.gateway(**LOCAL)) as page:
        is_live(page)
        page.evaluate(
            "Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        expect(page.locator("#connection")).to_have_text("asleep")
        page.evaluate(
            "Object.defineProperty(document, 'visibilityState', { value: 'visible', configurable: true });"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        is_live(page)


def test_each_of_very_many_backends_can_be_chosen(stage: Stage, sim: Simulator, screen: Screen) -> None:
    gateway = stage.gateway([], **many(sim.endpoint("eastus"), "key-of-eastus"))
    with screen.open(gateway) as page:
        is_live(page)
        answer = chat(stage.http(gateway, key_of(49)))
        expect(rows(page)).to_have_count(1)
        cards = page.locator("#backends .card")
        expect(cards).to_have_count(40)
        expect(page.locator("#unshown")).to_contain_text(f"{BACKENDS - 40} more backends")
        expect(page.locator("#backend option")).to_have_count(BACKENDS + 1)
        print(page.evaluate(DRAWING_MS), "ms to draw")
        page.locator("select#backend").select_option("backend-299")
        expect(cards).to_have_count(1)
        expect(cards.locator(".pair")).to_have_count(len(DEPLOYMENTS))
        expect(page.locator("#lanes svg")).to_have_count(1)
        page.locator("select#backend").select_option(answer.headers["x-gateway-backend"])
        expect(rows(page)).to_have_count(1)


# What a page keeps. Bytes would differ from run to run.
KEPT = """() => ({
  ticks: ticks.length, requests: requests.length, events: events.length, rows: rows.size,
  nodes: document.querySelectorAll("*").length, choices: document.querySelectorAll("option").length,
})"""
MESSAGES = 400


class Replay:
    """Answers each connection to the events with many messages at once, from one replica after another."""

    def __init__(self) -> None:
        self.allowed = self.served = 0

    def answer(self, route: Route) -> None:
        if self.served == self.allowed:
            route.fulfill(status=503, body="{}")
            return
        self.served += 1
        numbers = range(self.served * MESSAGES, (self.served + 1) * MESSAGES)
        body = "".join(f"data: {json.dumps(self._message(number))}\n\n" for number in numbers)
        route.fulfill(status=200, content_type="text/event-stream", body=body)

    def _message(self, number: int) -> dict[str, Any]:
        name = f"of-{self.served}"
        sums = dict.fromkeys(
            ("requests", "failed", "failovers", "prompt", "cached", "completion", "cost"), number
        )
        pairs = [{"deployment": name, "state": "throttled" if number % 3 else "ready", "seconds": 1}]
        backend = {"name": name, "priority": 0, "weight": 1, "state": "ready", "pairs": pairs}
        failed = {"backend": name, "status": 429, "reason": "throttled", "at_ms": 0, "ms": 1}
        request = {"at": number, "client": name, "label": name, "status": 429, "outcome": "throttled"}
        requests = [request | {"id": f"{number}-{n}", "total_ms": 1, "attempts": [failed]} for n in range(3)]
        return {
            "now": number,
            "replica": name,
            "sums": [{"client": name, "deployment": name, **sums}],
            "backends": [backend],
            "requests": requests,
        }

    def kept_after(self, connections: int, page: Page) -> Any:
        """What the page keeps once it has seen the messages of so many connections."""
        self.allowed = connections
        last = (connections + 1) * MESSAGES - 1
        page.wait_for_function("last => latest && latest.now === last", arg=last)
        return page.evaluate(KEPT)


@pytest.mark.long  # a quarter of a minute, and the rest of the suite has shorter watches
def test_a_long_watch_keeps_no_more_than_a_short_one(stage: Stage, screen: Screen) -> None:
    """Over new connections, replicas, requests and names of clients, deployments and backends."""
    replay = Replay()
    with screen.open(stage.gateway(**LOCAL)) as page:
        page.route("**/live/events", replay.answer)
        page.reload()
        first = replay.kept_after(1, page)
        assert replay.kept_after(4, page) == first


def test_a_chosen_name_stays_when_it_is_gone(stage: Stage, screen: Screen) -> None:
    replay = Replay()
    with screen.open(stage.gateway(**LOCAL)) as page:
        page.route("**/live/events", replay.answer)
        page.reload()
        replay.kept_after(1, page)
        page.get_by_label("Client").select_option("of-1")
        replay.kept_after(2, page)
        expect(page.get_by_label("Client")).to_have_value("=of-1")
