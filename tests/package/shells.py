"""Real shells that complete what is typed."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

SECONDS = 60
_READY = "ready to complete"
_STARTS = {
    "bash": (["bash", "--norc", "-i"], "bind 'set show-all-if-ambiguous on' 'set completion-query-items 0'"),
    "zsh": (["zsh", "-f", "-i"], "LISTMAX=1000"),
}
_LOADS = {
    "bash": 'eval "$(aoai-gateway completion bash)"',
    "zsh": 'eval "$(aoai-gateway completion zsh)"',
    "fish": "aoai-gateway completion fish | source",
}
_CONTROL = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>]|\][^\x07]*\x07)|[\x07\r]")


class Shell:
    """A shell that knows our programs, for `with`; skips where it is not installed."""

    def __init__(
        self, name: str, directory: Path, environment: Mapping[str, str], before: str = "true"
    ) -> None:
        """Works in `directory`, with its own files at `HOME`; `before` runs before our lines are read."""
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
        self._name, self._directory, self._before = name, directory, before
        self._environment = {**environment, "TERM": "xterm"}

    def completes(self, typed: str, *expected: str) -> str:
        """What the shell shows after `typed` and the tab key, as soon as all that is expected is there.

        Raises `AssertionError` when it is not there after a while.
        """
        if self._name == "fish":
            return self._candidates(typed, *expected)
        terminal = _Terminal(_STARTS[self._name][0], self._directory, self._environment)
        try:
            setup = [self._before, _STARTS[self._name][1], _LOADS[self._name], "PS1='> '"]
            words = _READY.split(" ", 1)
            terminal.type(f"{'; '.join(setup)}; echo {words[0]}' {words[1]}'\r")
            terminal.until(_READY)
            terminal.type(f"{typed}\t")
            return terminal.until(*expected)
        finally:
            terminal.close()

    def _candidates(self, typed: str, *expected: str) -> str:
        asked = f"{self._before}; {_LOADS['fish']}; complete --do-complete {_quoted(typed)}"
        said = subprocess.run(
            ["fish", "--no-config", "-c", asked],
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=SECONDS,
        ).stdout
        assert not [text for text in expected if text not in said], said
        return said


class _Terminal:
    """A program in a terminal of its own."""

    def __init__(self, command: list[str], directory: Path, environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, *expected: str) -> str:
        """What it has shown since the last call, as soon as all that is expected is among it."""
        shown, deadline = b"", time.monotonic() + SECONDS
        while True:
            text = _CONTROL.sub("", shown.decode(errors="replace"))
            if all(each in text for each in expected):
                return text
            left = deadline - time.monotonic()
            assert left > 0, f"{expected} not shown; but {text}"
            if select.select([self._master], [], [], left)[0]:
                shown += os.read(self._master, 65536)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
