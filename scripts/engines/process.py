"""The process of a prepared gateway: start, wait until it is ready, stop."""

import atexit
import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.engines.base import REPOSITORY, EngineError, Launch
from scripts.engines.files import LOOPBACK

_FILTER = ("bash", str(REPOSITORY / "apisix" / "image" / "filter_error_log.sh"))
_POLL_SECONDS = 0.02
_LISTEN_SECONDS = 0.2
_LOG_LINES = 15
_LAST_LINES_SECONDS = 2.0


@dataclass(frozen=True)
class _Readiness:
    ready: bool
    problems: list[str]


def _ask(port: int) -> _Readiness:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/status/ready")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return _Readiness(ready=False, problems=[])
    finally:
        connection.close()
    if response.status == 200:
        return _Readiness(ready=True, problems=[])
    try:
        answer: dict[str, Any] = json.loads(body)
    except ValueError:
        answer = {}
    return _Readiness(ready=False, problems=list(answer.get("problems") or []))


def _last_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    except OSError:
        return []


class GatewayProcess:
    """The process of a launched gateway."""

    def __init__(self, launch: Launch, status_port: int) -> None:
        self._launch = launch
        self._status_port = status_port
        # So a configuration that logs to /dev/stdout or /dev/stderr writes to the same files.
        with launch.access_log.open("ab") as out, launch.error_log.open("ab") as err:
            self._filter = subprocess.Popen(  # noqa: S603
                _FILTER, stdin=subprocess.PIPE, stdout=err, stderr=err, start_new_session=True
            )
            errors = self._filter.stdin
            assert errors is not None
            self._process = subprocess.Popen(  # noqa: S603
                launch.argv,
                cwd=launch.cwd,
                env=launch.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )
            errors.close()
        # A gateway that nobody stopped ends with this program.
        atexit.register(self.stop, 0.5)

    @property
    def pid(self) -> int:
        """The process id of the started process."""
        return self._process.pid

    def wait_until_ready(self, timeout: float) -> None:
        """Returns when every worker serves.

        Raises:
            EngineError: the gateway ended, refused its configuration, or was not ready in `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                self._await_last_lines()
                raise EngineError(
                    f"the gateway ended with exit status {self._process.returncode}; its last log lines:",
                    *_last_lines(self._launch.error_log),
                )
            answer = self._readiness()
            if answer.ready:
                return
            if answer.problems:
                raise EngineError(*answer.problems)
            time.sleep(_POLL_SECONDS)
        raise EngineError(
            f"the gateway was not ready within {timeout:g} s; its last log lines:",
            *_last_lines(self._launch.error_log),
        )

    def children(self) -> list[int] | None:
        """The ids of the processes that the gateway has started; None where they cannot be seen."""
        if self._launch.stop_command is not None:
            return None
        try:
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except OSError:
            return None
        return [int(pid) for pid in text.split()]

    def _await_last_lines(self) -> None:
        # Processes that outlive the gateway can hold the pipe open; they have nothing to say.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._filter.wait(_LAST_LINES_SECONDS)

    def _readiness(self) -> _Readiness:
        # nginx starts its workers once it has every port. Before that, an answer may come from another
        # gateway that took the same port a moment earlier.
        if self.children() == []:
            return _Readiness(ready=False, problems=[])
        return _ask(self._status_port)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the gateway to end; returns its exit status."""
        # A signal's handler may end this with an exception, at any moment. In the middle of `Popen.wait` that
        # would leave its lock closed, and nobody could wait for the process any more.
        # On macOS, Python can look without that lock from 3.13 on only.
        while timeout is None and hasattr(os, "waitid") and not self._has_ended():
            time.sleep(_LISTEN_SECONDS)
        return self._process.wait(timeout)

    def _has_ended(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def stop(self, grace: float) -> None:
        """Gives requests in flight `grace` seconds to finish, then ends the gateway."""
        atexit.unregister(self.stop)
        if self._process.poll() is None:
            self._end(grace)
        self._await_last_lines()

    def _end(self, grace: float) -> None:
        if self._launch.stop_command is not None:
            subprocess.run(self._launch.stop_command(grace), check=False, capture_output=True)  # noqa: S603
        else:
            self._process.send_signal(signal.SIGQUIT)
        for last_resort in (signal.SIGTERM, signal.SIGKILL):
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                # The whole process group, because workers outlive a first process that is killed.
                os.killpg(self.pid, last_resort)
                grace = 2.0
            else:
                return
        self._process.wait()
