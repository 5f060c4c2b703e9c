"""Headless Chromium in front of a gateway that has the live page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from scripts.engines import Gateway
from tests.behaviour.conftest import shared_gateways, sim, simulator, stage

__all__ = ["shared_gateways", "sim", "simulator", "stage"]

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """The browser to test with: `CHROMIUM`, or one on PATH."""
    found = (shutil.which(name) for name in (os.environ.get("CHROMIUM", ""), *NAMES) if name)
    return next((path for path in found if path), None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for the tests of one module. While it runs, its event loop is in the way of `asyncio.run`."""
    path = executable()
    if path is None:
        pytest.skip("there is no Chromium (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        # Its sandbox does not work for root, as in a container.
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=os.getuid() != 0)
        yield browser
        browser.close()


class Screen:
    """Opens the live page and keeps what the browser complains about."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.complaints: list[str] = []
        self.addresses: list[str] = []

    @contextmanager
    def open(self, gateway: Gateway, **options: Any) -> Iterator[Page]:
        """The page in a context of its own, with options of the browser's contexts."""
        context = self._browser.new_context(**options)
        page = context.new_page()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.addresses.append(request.url))
        page.goto(f"{gateway.url}/live")
        yield page
        context.close()

    def _note(self, message: ConsoleMessage) -> None:
        # The browser itself logs every answer that is an error.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


@pytest.fixture
def screen(chromium: Browser) -> Iterator[Screen]:
    made = Screen(chromium)
    yield made
    assert made.complaints == []
