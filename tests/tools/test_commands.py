"""Coding agents for the command line: the settings and commands of their pages, with the real programs."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools import pages
from tests.tools.sessions import STREAMED, Machine, World

ANSWER = re.compile(r"\b(eastus|westus)/[\w.-]+#\d+: ")
FILE = "a-file-of-the-session.txt"
RUN_SECONDS = 120
WRONG_KEY = "nobodys-key-nobodys-key"

OpenWorld = Callable[[], AbstractContextManager[World]]


@dataclass(frozen=True)
class Program:
    """A program that is installed, with a home and a folder to work in of its own."""

    binary: Path
    machine: Machine
    root: Path
    settings: str
    """Shell commands that come first."""

    def run(self, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """What a command of the page does."""
        work = self.root / "work"
        work.mkdir(exist_ok=True)
        (work / FILE).touch()
        inner = self.machine.inner(**variables)
        kept = ("GATEWAY_KEY", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", *variables)
        return subprocess.run(
            ["bash", "-euc", f"{self.settings}\n{command}"],
            env={
                "HOME": str(self.root),
                "PATH": f"{self.binary.parent}{os.pathsep}{os.environ['PATH']}",
                **{name: inner[name] for name in kept},
            },
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )


@dataclass(frozen=True)
class Session:
    """What the three commands of a page printed, and what reached the regions."""

    page: str
    printed: list[str]
    streamed: list[tuple[str, int | None]]
    paths: set[str]
    bodies: list[str]


def played(program: Program, page: str, world: World, **tools: dict[str, str]) -> Session:
    """Run the commands of a page; the last one is the one in which the model calls a tool."""
    world.prepare()
    printed = []
    *plain, last = pages.commands(page)
    for command in plain:
        printed.append(succeeded(program.run(command)))
    world.call_tools(**tools)
    printed.append(succeeded(program.run(last)))
    bodies = [record.body.decode() for record in world.requests()]
    return Session(page, printed, world.attempts(STREAMED), world.paths(), bodies)


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def claude_code(machine: Machine, root: Path, settings: str) -> Program:
    _, folder = machine.node("claude-code")
    # The package for this system brings the program; a script of the main one would link it.
    found = sorted(folder.glob("node_modules/@anthropic-ai/claude-code-*/claude"))
    if not found:
        pytest.skip("npm has no Claude Code for this system")
    (root / "bin").mkdir()
    link = root / "bin" / "claude"
    link.symlink_to(found[0])
    return Program(link, machine, root, settings)


def codex(machine: Machine, root: Path, gateway: str) -> Program:
    _, folder = machine.node("codex")
    (root / ".codex").mkdir()
    (settings,) = pages.code("codex", "toml")
    (root / ".codex" / "config.toml").write_text(pages.aimed_at(gateway, settings))
    # Codex wants a repository around the folder in which it works.
    return Program(folder / "node_modules" / ".bin" / "codex", machine, root, "git init --quiet")


@pytest.fixture(scope="module", params=["claude-code-foundry", "claude-code-gateway", "codex"])
def session(
    request: pytest.FixtureRequest,
    machine: Machine,
    open_world: OpenWorld,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Session]:
    root = tmp_path_factory.mktemp(request.param)
    with open_world() as world:
        if request.param == "codex":
            yield played(codex(machine, root, world.gateway), "codex", world, exec_command={"cmd": "ls"})
            return
        way = ["claude-code-foundry", "claude-code-gateway"].index(request.param)
        settings = pages.aimed_at(world.gateway, pages.code("claude-code", "sh")[way])
        program = claude_code(machine, root, settings)
        ls = {"command": "ls", "description": "List the files"}
        yield played(program, "claude-code", world, Bash=ls)


def test_every_command_gets_an_answer(session: Session) -> None:
    assert [bool(ANSWER.search(printed)) for printed in session.printed] == [True, True, True]


def test_the_answer_streams(session: Session) -> None:
    if session.page == "claude-code":
        assert session.printed[1].count("text_delta") > 3
    assert all('"stream":true' in body for body in session.bodies)


def test_a_throttled_backend_goes_unseen(session: Session) -> None:
    # Claude Code first asks for beta features, and without them where they are a 400.
    assert [attempt for attempt in session.streamed if attempt[1] != 400] == [
        ("eastus", 429),
        ("westus", 200),
    ]


def test_the_result_of_the_tool_is_answered(session: Session) -> None:
    assert any(FILE in body for body in session.bodies)


def test_it_uses_the_paths_that_its_page_names(session: Session) -> None:
    assert session.paths == pages.paths(session.page)


def test_claude_code_tells_of_a_wrong_key_at_once(
    machine: Machine, open_world: OpenWorld, tmp_path: Path
) -> None:
    with open_world() as world:
        settings = pages.aimed_at(world.gateway, pages.code("claude-code", "sh")[0])
        program = claude_code(machine, tmp_path, settings)
        command = 'claude -p "Say hello" --output-format stream-json --verbose'
        done = program.run(command, GATEWAY_KEY=WRONG_KEY)
    assert (done.returncode, "api_retry" in done.stdout, "authentication" in done.stdout) == (1, False, True)
