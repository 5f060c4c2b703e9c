"""The command `local-gateway`, run as a person runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.support.measuring import measuring
from tests.support.signals import heed_signals


class Command:
    """A running local-gateway, whose user has `tmp_path` as home and works there.

    The settings are in `file`, below `tmp_path`. Without `named`, the command has to find it. What it prints
    goes to `stdout`, by default a pipe.
    """

    def __init__(
        self,
        tmp_path: Path,
        settings: str,
        *arguments: str,
        file: str = "settings.env",
        named: bool = True,
        stdout: int = subprocess.PIPE,
        **environment: str,
    ) -> None:
        self.file = tmp_path / file
        self.file.write_text(settings)
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", "from scripts.local_gateway import main; main()"),
                *(("--env-file", str(self.file)) if named else ()),
                *("--port", "0", *arguments),
            ],
            cwd=tmp_path,
            env={
                **measuring(),
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": str(Path(__file__).parents[2]),
                **environment,
            },
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_signals,
        )

    def announced(self) -> str:
        """Its output before it serves."""
        return self.until("Ctrl-C")

    def until(self, text: str) -> str:
        """What it prints next on standard output, to the line with `text`, or to its end."""
        assert self.process.stdout is not None
        return _to_line_with(text, self.process.stdout)

    def complaint_until(self, text: str) -> str:
        """The same on standard error."""
        assert self.process.stderr is not None
        return _to_line_with(text, self.process.stderr)

    def end(self, number: int | None = None) -> tuple[int, str, str]:
        """Its exit status and output, after a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


def _to_line_with(text: str, stream: IO[str]) -> str:
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            break
    return "".join(lines)


def url_in(text: str) -> str:
    match = re.search(r"serves at (\S+)", text)
    assert match, text
    return match[1]


@contextmanager
def local_gateway(
    tmp_path: Path, settings: str, *arguments: str, **options: Any
) -> Iterator[tuple[Command, str]]:
    """A command that serves, and what it has announced. `options` are those of `Command`."""
    command = Command(tmp_path, settings, "--workers", "1", *arguments, **options)
    try:
        yield command, command.announced()
    finally:
        if command.process.poll() is None:
            command.end(signal.SIGTERM)
