"""Runs the commands of a page of the documentation, as a reader with several terminals would.

Before a block there may be a comment. `<!-- terminal: NAME -->` names the terminal; `until: TEXT` in it says
that the last command stays, and what it prints when it is ready; `shows` that the block appears by itself. A
comment `<!-- stop: NAME, NAME -->` is a Ctrl-C.

Lines that begin with `$ ` are commands. The others are what they print, line by line; `…` is anything.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.signals import heed_signals

FIRST = "first"
WAIT_SECONDS = 120
_PARTS = re.compile(
    r"^<!-- stop: (?P<stopped>.+?) -->$|"
    r"^(?:<!-- terminal: (?P<marks>.+?) -->\n)?```(?:console|text)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Step:
    """A block: the terminal, its commands, and what is to appear there."""

    terminal: str
    commands: tuple[str, ...]
    printed: tuple[str, ...]
    until: str | None = None
    """What the last command prints when it stays and is ready."""


@dataclass(frozen=True)
class Stop:
    """Terminals whose commands end."""

    terminals: tuple[str, ...]


def steps_of(page: str) -> list[Step | Stop]:
    """What a page has its reader do, in order; a block of text without a comment is none of it."""
    found: list[Step | Stop] = []
    for part in _PARTS.finditer(page):
        if part["stopped"]:
            found.append(Stop(tuple(part["stopped"].split(", "))))
        elif part["marks"] or "```console" in part[0]:
            found.append(_step(part["marks"] or FIRST, part["text"]))
    return found


def _step(marks: str, text: str) -> Step:
    name, *rest = marks.split(", ")
    until = next((mark.removeprefix("until: ") for mark in rest if mark.startswith("until: ")), None)
    # A command may go on in the next line.
    lines = text.replace("\\\n", "").splitlines()
    commands = tuple(line.removeprefix("$ ") for line in lines if line.startswith("$ "))
    return Step(name, commands, tuple(line for line in lines if not line.startswith("$ ")), until)


class Terminal:
    """A shell, and what it has printed so far."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        # Not on standard input, which the commands have, too.
        theirs, ours = os.pipe()
        self._commands = os.fdopen(ours, "w")
        self.shell = subprocess.Popen(
            ["bash", "--norc", f"/dev/fd/{theirs}"],
            pass_fds=[theirs],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            preexec_fn=heed_signals,
        )
        os.close(theirs)
        self.printed = ""
        self._looked_at = 0
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.shell.stdout is not None
        for line in self.shell.stdout:
            with self._news:
                self.printed += line
                self._news.notify_all()

    def run(self, commands: tuple[str, ...], *, until: str | None) -> None:
        """Types commands; waits until they have ended, or the last one has printed `until`."""
        mark = f"ended-{self._looked_at}"
        text = "\n".join(commands) + ("" if until else f"\necho {mark}")
        self._commands.write(f"{text}\n")
        self._commands.flush()
        self.await_line(re.escape(until or mark))

    def await_line(self, pattern: str) -> None:
        """Waits for a line that has the pattern, after what was looked at before."""
        with self._news:
            seen = self._news.wait_for(
                lambda: re.search(f"{pattern}.*\n", self.printed[self._looked_at :]), timeout=WAIT_SECONDS
            )
        assert seen, f"no {pattern!r} in:\n{self.printed[self._looked_at :]}"

    def news(self) -> str:
        """What it has printed since this was asked last."""
        news = self.printed[self._looked_at :]
        self._looked_at += len(news)
        return news

    def stop(self) -> None:
        """Ctrl-C, and the end of the shell."""
        self._commands.close()
        os.killpg(self.shell.pid, signal.SIGINT)
        self.shell.wait(timeout=WAIT_SECONDS)


class Reader:
    """Somebody who reads a page and types its commands in a directory; a context manager."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory, self._environment = directory, environment
        self._terminals: dict[str, Terminal] = {}

    def do(self, step: Step | Stop) -> None:
        """Does what a part of the page says. Raises `AssertionError` when a line does not appear."""
        if isinstance(step, Stop):
            for name in step.terminals:
                self._terminals.pop(name).stop()
            return
        if step.terminal not in self._terminals:
            self._terminals[step.terminal] = Terminal(self._directory, self._environment)
        terminal = self._terminals[step.terminal]
        if step.commands:
            terminal.run(step.commands, until=step.until)
        else:
            terminal.await_line(pattern_of(step.printed[-1]))
        news = terminal.news()
        absent = missing(step.printed, news)
        assert not absent, "\n".join(["not printed:", *absent, "but:", news])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for terminal in self._terminals.values():
            terminal.stop()


def pattern_of(line: str) -> str:
    """A line of a page as a regular expression: `…` is anything, and any space is as good as another."""
    words = [re.escape(word).replace("…", ".*") for word in line.split()]
    return r"\s*".join(words)


def missing(expected: tuple[str, ...], printed: str) -> list[str]:
    """The expected lines that were not printed, in order. Example: `("a", "…", "b")` and `a` → `["b"]`."""
    lines, absent = iter(printed.splitlines()), []
    for line in expected:
        pattern = re.compile(rf"\s*{pattern_of(line)}\s*")
        rest = list(lines)
        at = next((index for index, found in enumerate(rest) if pattern.fullmatch(found)), None)
        if line.strip() in ("…", "") or at is not None:
            lines = iter(rest if at is None or line.strip() in ("…", "") else rest[at + 1 :])
        else:
            absent.append(line)
            lines = iter(rest)
    return absent
