"""How the live page deals with connections that break: served here, so that they can be broken."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page

from e2e.waiting import eventually
from scripts.engines.base import REPOSITORY

# One process starts the browser for all of these tests.
pytestmark = pytest.mark.xdist_group("browser")

PAGE = (REPOSITORY / "apisix/plugins/azure-openai/pages/live.html").read_text()
# Longer than the page waits before it connects again.
STALLED_MS = 1600
MESSAGE = "data: " + json.dumps({"now": 1, "sums": [], "backends": [], "requests": []}) + "\n\n"


class Events(ThreadingHTTPServer):
    """Serves the page, and events: `breaking` connections break off at once, the others go on."""

    daemon_threads = True

    def __init__(self, breaking: int, silent: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaking, self.silent = breaking, silent
        self.connections = self.messages = 0
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/live"


class Handler(BaseHTTPRequestHandler):
    server: Events

    def do_GET(self) -> None:
        if self.path == "/live/events":
            self._send_events()
            return
        page = PAGE.replace("STALLED_MS = 10000", f"STALLED_MS = {STALLED_MS}").encode()
        assert f"STALLED_MS = {STALLED_MS}".encode() in page
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(page)

    def _send_events(self) -> None:
        self.server.connections += 1
        number = self.server.connections
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        # A body that is shorter than its length is broken.
        self.send_header("content-length", "1000000")
        self.end_headers()
        self.wfile.write(MESSAGE.encode())
        self.close_connection = True
        if number <= self.server.breaking:
            return
        if number <= self.server.breaking + self.server.silent:
            self.server.stopped.wait(30)
            return
        while not self.server.stopped.wait(STALLED_MS / 8000):
            self.server.messages += 1
            self.wfile.write(MESSAGE.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def events(breaking: int = 0, silent: int = 0) -> Iterator[Events]:
    with Events(breaking, silent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.stopped.set()
        server.shutdown()
        thread.join(5)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def test_a_connection_that_broke_does_not_end_the_next_one(page: Page) -> None:
    """The watchdog of the broken one would fire while the next is alive."""
    with events(breaking=1) as server:
        page.goto(server.url)
        # Longer than the watchdog waits.
        assert eventually(lambda: server.messages >= 12, seconds=20)
        assert server.connections == 2


def test_a_connection_that_falls_silent_is_replaced(page: Page) -> None:
    with events(silent=1) as server:
        page.goto(server.url)
        assert eventually(lambda: server.messages >= 2, seconds=20)
        assert server.connections == 2
