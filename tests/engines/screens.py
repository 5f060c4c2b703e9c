"""Draws what `local-gateway` prints, from a real run on a terminal: `python -m tests.engines.screens`.

docs/pictures gets the screen of the start and that of the requests.
"""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
from rich.console import Console
from rich.text import Text

from e2e.simulator import Latency, Region, Simulator
from tests.support.signals import heed_signals

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
WIDTH = 144
KEYS = {"team-a": "client-key-of-team-a", "batch-jobs": "client-key-of-batch-jobs"}
REGIONS = ("eastus", "westus", "swedencentral")
# Fonts would be fetched from elsewhere.
_FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def settings(sim: Simulator, **changes: object) -> str:
    """Three backends and two clients."""
    values: dict[str, object] = {"AZURE_OPENAI_PRIORITY_0": 10, "AZURE_OPENAI_WEIGHT_1": 3}
    for index, region in enumerate(REGIONS):
        values[f"AZURE_OPENAI_NAME_{index}"] = region
        values[f"AZURE_OPENAI_ENDPOINT_{index}"] = sim.endpoint(region)
        values[f"AZURE_OPENAI_KEY_{index}"] = f"key-of-{region}"
    for index, (name, key) in enumerate(KEYS.items()):
        values[f"GATEWAY_CLIENT_NAME_{index}"] = name
        values[f"GATEWAY_CLIENT_KEY_{index}"] = key
    values |= {"GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0": 600, "GATEWAY_CLIENT_TOKENS_PER_DAY_0": 5_000_000}
    values |= {"GATEWAY_CLIENT_LANE_1": "low", "GATEWAY_CLIENT_USD_PER_MONTH_1": 250}
    return "".join(f"{name}={value}\n" for name, value in {**values, **changes}.items())


class Terminal:
    """A terminal in which the command runs."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from scripts.local_gateway import main; main()", *arguments],
            cwd=directory,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(PICTURES.parents[1]),
                "TERM": "xterm-256color",
                "COLUMNS": str(WIDTH),
                "HOME": str(directory),
            },
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=heed_signals,
        )
        os.close(theirs)
        self._ours = ours

    def read_until(self, text: str) -> str:
        """What appears, until it has the text."""
        seen = ""
        while text not in seen:
            seen += os.read(self._ours, 65536).decode()
        return seen

    def close(self) -> None:
        """Ends the command."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)
        os.close(self._ours)


def play(sim: Simulator, terminal: Terminal, url: str, save: Callable[..., None]) -> str:
    """Requests while regions fail and the settings change; returns what appeared."""

    def ask(client: str = "team-a", model: str = "gpt-4o", status: str = "200", **members: object) -> str:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **members}
        headers = {"api-key": KEYS.get(client, "a-key-of-nobody-at-all")}
        httpx.post(f"{url}/openai/v1/chat/completions", json=body, headers=headers, timeout=30)
        return terminal.read_until(f"{status}\x1b[0m  ")

    seen = ask() + ask("batch-jobs", "o4-mini")
    sim.fail("eastus", deployment="gpt-4o", status=429, retry_after=60)
    seen += ask() + ask(stream=True)
    for region in ("eastus", "westus"):
        sim.fail(region, deployment="gpt-4o-mini", status=503)
    seen += ask(model="gpt-4o-mini") + ask("nobody", status="401")
    for region in REGIONS:
        sim.fail(region, deployment="o4-mini", status=429, retry_after=30)
    seen += ask("batch-jobs", "o4-mini", status="429")
    save(AZURE_OPENAI_WEIGHT_1=0)
    seen += terminal.read_until("changed.\r\n")
    save(AZURE_OPENAI_WIEGHT_1=0)
    seen += terminal.read_until("WEIGHT_1?\r\n")
    return seen


def draw(name: str, title: str, text: str) -> None:
    """Writes docs/pictures/`name`.svg."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.from_ansi(text.replace("\r\n", "\n").strip("\n")), soft_wrap=True)
    console.print()  # the picture's edge would cut the last line
    drawn = console.export_svg(title=title, unique_id=name)
    (PICTURES / f"{name}.svg").write_text(_FONT_FACES.sub("", drawn), encoding="utf-8")


def tidied(text: str, url: str, directory: Path) -> str:
    """The text with the usual address and short paths."""
    text = text.replace(url, "http://127.0.0.1:9080").replace(str(directory), "…")
    # Without the line that only shows while the gateway starts.
    return re.sub(r"\x1b\[\?25l.*?\x1b\[\?25h(\r\x1b\[1A\x1b\[2K)?", "", text, flags=re.DOTALL)


def main() -> None:
    """Draws both pictures."""
    regions = [
        Region(name, key=f"key-of-{name}", latency=Latency(80, 6, 0.4), port=8001 + index)
        for index, name in enumerate(REGIONS)
    ]
    with tempfile.TemporaryDirectory() as name, Simulator(regions) as sim:
        directory = Path(name)
        file = directory / ".env"
        file.write_text(settings(sim))
        terminal = Terminal(directory, "--engine", "embedded", "--port", "0", "--watch")
        start = terminal.read_until("Ctrl-C.")
        found = re.search(r"http://127\.0\.0\.1:\d+(?=/live)", start)
        assert found is not None
        url = found[0]

        def save(**changes: object) -> None:
            file.write_text(settings(sim, **changes))

        seen = play(sim, terminal, url, save)
        terminal.close()
    draw("local-gateway-start", "local-gateway --watch", tidied(start, url, directory))
    draw("local-gateway-requests", "local-gateway --watch", tidied(seen, url, directory))


if __name__ == "__main__":
    main()
