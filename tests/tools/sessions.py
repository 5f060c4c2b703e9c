"""Sessions of tools: what a page tells its reader to run, run against a gateway with simulated regions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.simulator import RecordedRequest, Simulator
from tests.behaviour.conftest import CLIENT_KEY
from tests.support.certificates import Certificate
from tests.support.node_packages import node_with_packages
from tests.support.uv_scripts import script_interpreter
from tests.tools import pages

HERE = Path(__file__).parent
RUN_SECONDS = 300

OWN = "own"
"""The packages are among this project's own."""

STREAMED = "Count to ten"
"""What every page asks for in pieces; the first backend is throttled then."""

RESULT = "sunny with light winds"
"""What the tool of every page returns."""


def marks(page: str, *, quick: bool) -> list[pytest.MarkDecorator]:
    """The marks of a page's tests: one process installs its packages; ``make test`` runs the quick ones."""
    return [pytest.mark.xdist_group(page), *([] if quick else [pytest.mark.long])]


@dataclass(frozen=True)
class World:
    """A gateway, and the two regions behind it."""

    sim: Simulator
    gateway: str

    def requests(self) -> list[RecordedRequest]:
        """What has reached a region, each region's in order."""
        return [request for region in ("eastus", "westus") for request in self.sim.requests(region)]

    def attempts(self, text: str) -> list[tuple[str, int | None]]:
        """Region and status of every request that has this text and no earlier answer in its body."""
        return [
            (region, request.status)
            for region in ("eastus", "westus")
            for request in self.sim.requests(region)
            if text.encode() in request.body
        ]

    def paths(self) -> set[str]:
        """The paths that were asked for, without their query."""
        return {request.path.partition("?")[0] for request in self.requests()}

    def call_tools(self, **tools: dict[str, Any]) -> None:
        """Make the model call these tools."""
        for region in ("eastus", "westus"):
            self.sim.tool_calls(region, **tools)

    def prepare(self, **tools: dict[str, Any]) -> None:
        """Throttle the first backend when it is asked for the stream; make the model call these tools."""
        self.call_tools(**tools)
        self.sim.fail("eastus", status=429, retry_after=1, contains=STREAMED, count=1)


@dataclass(frozen=True)
class Machine:
    """The environments in which tools are installed, and run with the trust that a page tells to set."""

    outer: Mapping[str, str]
    certificate: Certificate

    def inner(self, **variables: str) -> dict[str, str]:
        """The environment of a tool."""
        return {**os.environ, "GATEWAY_KEY": CLIENT_KEY, **variables}

    def python(self, packages: str) -> str:
        """The interpreter with the packages of ``python/<packages>.py``. Skips where they cannot be had."""
        if packages == OWN:
            return sys.executable
        with _skipping(packages):
            return script_interpreter(HERE / "python" / f"{packages}.py", self.outer)

    def node(self, packages: str) -> tuple[str, Path]:
        """Node, and the folder with the packages of ``node/<packages>``. Skips where they cannot be had."""
        folder = HERE / "node" / packages
        with _skipping(packages):
            return node_with_packages(folder, self.outer), folder


@contextmanager
def _skipping(packages: str) -> Iterator[None]:
    """Skip, with what the installer said, when it fails."""
    try:
        yield
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the packages of {packages} cannot be installed: {_reason(error.stderr)}")


def _reason(output: bytes) -> str:
    """The line of an installer's output that says most."""
    lines = output.decode(errors="replace").strip().splitlines()
    errors = [line for line in lines if "error" in line.lower()]
    return next(iter(errors or lines[-1:]), "no reason was given")


Written = list[list[str]]
"""What each block of a page wrote, piece by piece."""


def python_session(machine: Machine, world: World, page: str, packages: str) -> Written:
    """Run the Python of a page as one program."""
    blocks = [pages.aimed_at(world.gateway, block) for block in pages.code(page, "python")]
    command = [machine.python(packages), str(HERE / "run_blocks.py")]
    return _written(command, blocks, machine.inner())


def javascript_session(machine: Machine, world: World, page: str, packages: str) -> Written:
    """Run the JavaScript of a page as one module."""
    blocks = [pages.aimed_at(world.gateway, block) for block in pages.code(page, "js")]
    node, folder = machine.node(packages)
    return _written([node, str(HERE / "run_blocks.mjs"), str(folder)], blocks, machine.inner())


def _written(command: Sequence[str], blocks: list[str], environment: Mapping[str, str]) -> Written:
    done = subprocess.run(
        command,
        env=dict(environment),
        input=json.dumps(blocks),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    sys.stderr.write(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def text(pieces: Sequence[str]) -> str:
    """What a block wrote, in one piece."""
    return "".join(pieces)
