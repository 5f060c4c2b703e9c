"""The demo as a user starts it: a process of its own, its output piped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.signals import heed_signals

REPOSITORY = Path(__file__).resolve().parents[2]
# Enough for a slow machine that runs other tests too; the demo takes about ten seconds.
TIMEOUT_SECONDS = 120


class Demo:
    """A demo process and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        self.process = process
        self.directory = directory
        self.output = ""

    def read_until(self, text: str) -> None:
        """Reads until the demo has printed a line with `text`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        raise AssertionError(f"the demo ended before it printed {text!r}:\n{self.output}")

    def finish(self) -> int:
        """Reads to the end; returns the exit status."""
        rest, _ = self.process.communicate(timeout=TIMEOUT_SECONDS)
        self.output += rest
        return self.process.returncode

    @property
    def urls(self) -> list[str]:
        """Every address that the output names."""
        return sorted(set(re.findall(r"http://127\.0\.0\.1:\d+", self.output)))

    def leftovers(self) -> list[str]:
        """Everything that the demo left: processes with its files, the files, and open ports."""
        processes = [
            entry.name
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and str(self.directory) in _command_line(entry)
        ]
        files = [str(path) for path in self.directory.iterdir()]
        return processes + files + [url for url in self.urls if _answers(url)]


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _answers(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False)
    except httpx.ConnectError:
        return False
    return True


@contextmanager
def demo_process(directory: Path, engine: str, *options: str) -> Iterator[Demo]:
    """A started demo whose temporary files are below `directory`."""
    with subprocess.Popen(
        [sys.executable, "-m", "scripts.demo", "--engine", engine, *options],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(directory)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heed_signals,
    ) as process:
        try:
            yield Demo(process, directory)
        finally:
            # Not killed, so that the demo stops its gateway even when a test has failed.
            process.terminate()


@pytest.fixture(scope="module")
def engine(pytestconfig: pytest.Config) -> str:
    return str(pytestconfig.getoption("--engine"))
