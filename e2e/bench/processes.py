"""Starts servers for the benchmark, waits until they listen, and ends them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from e2e.bench.machine import listens
from e2e.waiting import eventually
from scripts.engines import EngineError

_GRACE_SECONDS = 5
_SAID = 1500
# Colours and movements of the cursor, which some servers write into a file, too.
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@contextmanager
def running_server(
    command: Sequence[str],
    directory: Path,
    port: int,
    *,
    env: Mapping[str, str] | None = None,
    seconds: float = 10,
) -> Iterator[int]:
    """A server in this directory, once it listens on `port`; gives its process id.

    Raises `EngineError` with the end of its log when it ended or did not listen within `seconds`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=directory,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        with contextlib.suppress(TimeoutError):
            eventually(lambda: process.poll() is not None or listens(process.pid, port), seconds)
        if process.returncode is not None or not listens(process.pid, port):
            said = " ".join(_ESCAPE.sub("", log.read_text(errors="replace"))[-_SAID:].split())
            raise EngineError(f"{Path(command[0]).name} did not listen within {seconds:g} s: {said}")
        yield process.pid
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
            return
