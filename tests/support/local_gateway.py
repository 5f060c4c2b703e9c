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

from tests.support.signals import heed_signals


class Command:
    """A running local-gateway, whose user has `tmp_path` as home."""

    def __init__(self, tmp_path: Path, settings: str, *arguments: str, **environment: str) -> None:
        file = tmp_path / "settings.env"
        file.write_text(settings)
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", "from scripts.local_gateway import main; main()"),
                *("--env-file", str(file), "--port", "0", *arguments),
            ],
            cwd=Path(__file__).parents[2],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_signals,
        )

    def announced(self) -> str:
        """Its output before it serves."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        return "".join(lines)

    def end(self, number: int | None = None) -> tuple[int, str, str]:
        """Its exit status and output, after a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


def url_in(text: str) -> str:
    match = re.search(r"serves at (\S+)", text)
    assert match, text
    return match[1]


@contextmanager
def local_gateway(
    tmp_path: Path, settings: str, *arguments: str, **environment: str
) -> Iterator[tuple[Command, str]]:
    """A command that serves, and what it has announced."""
    command = Command(tmp_path, settings, "--workers", "1", *arguments, **environment)
    try:
        yield command, command.announced()
    finally:
        if command.process.poll() is None:
            command.end(signal.SIGTERM)
