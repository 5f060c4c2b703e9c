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

from tests.support.ports import refusing_port
from tests.tools import pages
from tests.tools.sessions import STREAMED, Machine, World, marks

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
class Tool:
    """A page with commands: which of its settings to take, and what the model calls."""

    page: str
    binary: str
    """The program, below the packages' folder. The first one that is there."""
    calls: dict[str, dict[str, object]]
    way: int | None = None
    """Which of the page's shell blocks holds the settings."""
    files: tuple[tuple[str, str], ...] = ()
    """Path below the home and language of the blocks that are files."""
    before: str = ""
    """What the machine needs."""
    after: str = ""
    """Ends what the program leaves running."""

    def installed(self, machine: Machine, root: Path, gateway: str) -> Program:
        """The program with the settings of its page. Skips where npm does not have it."""
        _, folder = machine.node(self.page)
        found = sorted(folder.glob(f"node_modules/{self.binary}"))
        if not found:
            pytest.skip(f"npm has no {self.page} for this system")
        # The packages' own links are made by scripts of theirs, which are not run.
        (root / "bin").mkdir()
        link = root / "bin" / pages.commands(self.page)[0].split()[0]
        link.symlink_to(found[0])
        for path, language in self.files:
            (settings,) = pages.code(self.page, language)
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_text(pages.aimed_at(gateway, settings))
        shell = [] if self.way is None else [pages.aimed_at(gateway, pages.code(self.page, "sh")[self.way])]
        # Whoever runs this may have a hub of Cline's at its usual port.
        with refusing_port() as port:
            own_hub = f"export CLINE_HUB_PORT={port}"
        return Program(link, machine, root, "\n".join([own_hub, self.before, *shell]))


CLAUDE = "@anthropic-ai/claude-code-*/claude"
COPILOT = "@github/copilot-*/copilot"
LS: dict[str, object] = {"command": "ls", "description": "List the files"}
TOOLS = {
    "claude-code-foundry": Tool("claude-code", CLAUDE, {"Bash": LS}, 0),
    "claude-code-gateway": Tool("claude-code", CLAUDE, {"Bash": LS}, 1),
    # Codex wants a repository around the folder in which it works.
    "codex": Tool(
        "codex",
        ".bin/codex",
        {"exec_command": {"cmd": "ls"}},
        files=((".codex/config.toml", "toml"),),
        before="git init --quiet",
    ),
    "github-copilot-openai": Tool("github-copilot", COPILOT, {"bash": LS}, 0),
    "github-copilot-claude": Tool("github-copilot", COPILOT, {"bash": LS}, 1),
    "continue": Tool("continue", ".bin/cn", {"Bash": LS}, files=((".continue/config.yaml", "yaml"),)),
    "cline": Tool(
        "cline", "@cline/cli-*/bin/cline", {"run_commands": {"commands": ["ls"]}}, 0, after="cline hub stop"
    ),
}

QUICK = ("claude-code-foundry",)


@dataclass(frozen=True)
class Session:
    """What the three commands of a page printed, and what reached the regions."""

    page: str
    printed: list[str]
    streamed: list[tuple[str, int | None]]
    paths: set[str]
    bodies: list[str]


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=marks(tool.page, quick=name in QUICK)) for name, tool in TOOLS.items()],
)
def session(
    request: pytest.FixtureRequest,
    machine: Machine,
    open_world: OpenWorld,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Session]:
    """The page's commands; the model calls a tool in the last one."""
    tool = TOOLS[request.param]
    with open_world() as world:
        program = tool.installed(machine, tmp_path_factory.mktemp(request.param), world.gateway)
        world.prepare()
        *plain, last = pages.commands(tool.page)
        try:
            printed = [succeeded(program.run(command)) for command in plain]
            world.call_tools(**tool.calls)
            printed.append(succeeded(program.run(last)))
        finally:
            if tool.after:
                program.run(tool.after)
        bodies = [record.body.decode() for record in world.requests()]
        yield Session(tool.page, printed, world.attempts(STREAMED), world.paths(), bodies)


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


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
    assert session.paths <= pages.paths(session.page)


@pytest.mark.xdist_group("claude-code")
def test_claude_code_tells_of_a_wrong_key_at_once(
    machine: Machine, open_world: OpenWorld, tmp_path: Path
) -> None:
    with open_world() as world:
        program = TOOLS["claude-code-foundry"].installed(machine, tmp_path, world.gateway)
        command = 'claude -p "Say hello" --output-format stream-json --verbose'
        done = program.run(command, GATEWAY_KEY=WRONG_KEY)
    assert (done.returncode, "api_retry" in done.stdout, "authentication" in done.stdout) == (1, False, True)
