"""Takes the picture of the live page in a failover: `python -m tests.browser.pictures`.

The regions are simulated, the gateway and the browser are real. Two clients send requests for a while. Then
eastus begins to throttle one deployment and to break with another.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path

import httpx
from playwright.sync_api import expect, sync_playwright

from e2e.simulator import Deployment, Latency, PromptCaching, Quota, Region, Simulator
from scripts.engines import Gateway, start_gateway
from tests.browser.conftest import executable

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "live-page.png"
VIEW = {"width": 1200, "height": 1300}
WELL_SECONDS, FAILING_SECONDS = 52, 3
PAUSE_SECONDS = 0.2
REGIONS = {"eastus": 10, "westus": 0, "swedencentral": 0}
# Each client with its deployments.
CLIENTS = {"team-a": ("gpt-4o", "gpt-4o-mini"), "batch-jobs": ("o4-mini", "gpt-4o")}
PROMPT = "Tell me about failover. " * 12


def regions() -> list[Region]:
    """Regions with quotas and the pace of real ones."""
    quota = Quota(tpm=100_000)
    names = sorted({name for names in CLIENTS.values() for name in names})
    deployments = [Deployment(name, quota=quota) for name in names]
    pace = Latency(first_byte_ms=90, per_token_ms=4, jitter=0.5)
    return [
        Region(
            name, key=f"key-of-{name}", deployments=deployments, latency=pace, prompt_cache=PromptCaching()
        )
        for name in REGIONS
    ]


def settings(sim: Simulator) -> dict[str, str]:
    """A gateway in front of them, with its live page."""
    found = {"GATEWAY_LIVE_PAGE": "local"}
    for index, (name, priority) in enumerate(REGIONS.items()):
        found[f"AZURE_OPENAI_NAME_{index}"] = name
        found[f"AZURE_OPENAI_ENDPOINT_{index}"] = sim.endpoint(name)
        found[f"AZURE_OPENAI_KEY_{index}"] = f"key-of-{name}"
        found[f"AZURE_OPENAI_PRIORITY_{index}"] = str(priority)
        found[f"AZURE_OPENAI_DEPLOYMENTS_{index}"] = "gpt-4o,gpt-4o-mini,o4-mini"
    for index, name in enumerate(CLIENTS):
        found[f"GATEWAY_CLIENT_NAME_{index}"] = name
        found[f"GATEWAY_CLIENT_KEY_{index}"] = f"client-key-of-{name}"
    return found


def send(gateway: Gateway, client: str, stop: threading.Event) -> None:
    """Requests of one client, until `stop` is set; every other one streams."""
    headers = {"api-key": f"client-key-of-{client}"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=30) as http:
        for number, deployment in enumerate(itertools.cycle(CLIENTS[client])):
            if stop.wait(PAUSE_SECONDS):
                return
            body = {
                "model": deployment,
                "messages": [{"role": "user", "content": PROMPT * (number % 5 + 1)}],
                "max_tokens": 40,
                "stream": number % 4 < 2,
            }
            http.post("/openai/v1/chat/completions", json=body)


def main() -> None:
    """Writes docs/pictures/live-page.png."""
    stop = threading.Event()
    with (
        Simulator(regions()) as sim,
        start_gateway(settings(sim)) as gateway,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=executable(), chromium_sandbox=os.getuid() != 0)
        page = browser.new_context(viewport=VIEW, color_scheme="light").new_page()
        page.goto(f"{gateway.url}/live")
        expect(page.locator("#connection")).to_have_text("live")
        senders = [threading.Thread(target=send, args=(gateway, client, stop)) for client in CLIENTS]
        for sender in senders:
            sender.start()
        time.sleep(WELL_SECONDS)
        sim.fail("eastus", deployment="gpt-4o", status=429, retry_after=15)
        sim.fail("eastus", deployment="o4-mini", status=503)
        time.sleep(FAILING_SECONDS)
        expect(page.locator("#backends .card").first).to_contain_text("throttled", timeout=15_000)
        page.screenshot(path=PICTURE)
        stop.set()
        for sender in senders:
            sender.join()
        browser.close()


if __name__ == "__main__":
    main()
