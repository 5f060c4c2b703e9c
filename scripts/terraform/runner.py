"""Starts Terraform and waits for its end: passes on what it prints, and stops it cleanly on Ctrl-C.

`python-terraform` builds every command line; the process itself is started here: the library's own runner
leaves a running Terraform behind on Ctrl-C, logs what it runs, and cannot hand over output as it arrives.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from python_terraform import Terraform as CommandBuilder  # type: ignore[import-untyped]

from scripts.interrupts import STOP_SIGNALS, postponed_interrupts
from scripts.terraform.failures import TerraformError, TerraformMissingError
from scripts.terraform.messages import Result, diagnostics, parse_event

# The library logs commands with all their arguments, and their whole output.
logging.getLogger("python_terraform").disabled = True

Listener = Callable[[Mapping[str, Any]], None]
"""Gets each event of Terraform's machine-readable output while it arrives."""

# TF_LOG would print requests with their headers. The others would change arguments, settings or the state
# without a word in the plan that the operator saw.
_REMOVED_VARIABLES = ("TF_LOG", "TF_CLI_ARGS", "TF_VAR_", "TF_WORKSPACE")


class Runner:
    """Runs one command at a time in a directory."""

    # After an interrupt Terraform finishes what it has begun, saves its state and releases the lock.
    grace_seconds = 120.0

    def __init__(
        self, directory: Path, data_dir: Path | None, binary: str, listener: Listener | None
    ) -> None:
        self._builder = CommandBuilder(working_dir=str(directory), terraform_bin_path=binary)
        self._directory = directory
        self._data_dir = data_dir
        self._listener = listener
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def interrupt(self) -> None:
        """Stop the running command and start no other; from any thread."""
        self._stopped = True
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)

    def run(self, command: str, *args: str, stdin: str | None = None, **options: Any) -> Result:
        """Run a command to its end, whatever its exit code. Raises `TerraformError` when interrupted."""
        if self._stopped:
            raise TerraformError(command, [], interrupted=True)
        output = _Output(self._listener)
        line: list[str] = self._builder.generate_cmd_string(command, *args, **options)
        process: subprocess.Popen[str] | None = None
        interrupted = killed = False
        try:
            with postponed_interrupts() as interrupts:
                process = self._process = self._start(line, stdin is not None)
                output.follow(process)
            if interrupts or self._stopped:
                raise KeyboardInterrupt
            _feed(process, stdin)
            process.wait()
        except KeyboardInterrupt:
            if process is None:
                raise
            interrupted, killed = True, not self._stop(process)
        result = output.result(process.wait())
        if interrupted or self._stopped:
            raise TerraformError(command, diagnostics(result), interrupted=True, killed=killed)
        if output.failure is not None:
            raise output.failure
        return result

    def _start(self, line: list[str], is_fed: bool) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(  # noqa: S603 - the operator's choice of program, no shell is involved
                line,
                cwd=self._directory,
                env=self._environment(),
                stdin=subprocess.PIPE if is_fed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                # Ctrl-C in a terminal goes to the whole foreground group. Terraform must get it once,
                # from here: a second one makes it stop without saving its state.
                start_new_session=True,
            )
        except OSError as error:
            raise TerraformMissingError(line[0]) from error

    def _stop(self, process: subprocess.Popen[str]) -> bool:
        """Ask the program to stop, and wait. A second Ctrl-C, or the end of the grace time, insists.

        False when it did not end after the first request: its state may be unsaved and locked.
        """
        process.send_signal(signal.SIGINT)
        try:
            process.wait(self.grace_seconds)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except (KeyboardInterrupt, subprocess.TimeoutExpired):
                process.kill()
                process.wait()
            return False
        return True

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_REMOVED_VARIABLES)}
        kept |= {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
        if self._data_dir is not None:
            kept["TF_DATA_DIR"] = str(self._data_dir)
        return kept


def _feed(process: subprocess.Popen[str], stdin: str | None) -> None:
    if stdin is not None:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(stdin)
            process.stdin.close()


class _Output:
    """Keeps what a program prints, and passes events on to a listener while they arrive."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener
        self._out: list[str] = []
        self._err: list[str] = []
        self._events: list[Mapping[str, Any]] = []
        self._readers: list[threading.Thread] = []
        self.failure: BaseException | None = None

    def follow(self, process: subprocess.Popen[str]) -> None:
        """Start to read both streams, until the program closes them."""
        for read, stream in ((self._read_out, process.stdout), (self._read_err, process.stderr)):
            self._readers.append(threading.Thread(target=read, args=[stream], daemon=True))
            self._readers[-1].start()

    def _read_out(self, stream: IO[str]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # the main thread handles them
        for text in stream:
            self._out.append(text)
            event = parse_event(text)
            if event is not None:
                self._events.append(event)
                self._tell(event)

    def _read_err(self, stream: IO[str]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        self._err.extend(stream)

    def _tell(self, event: Mapping[str, Any]) -> None:
        # A listener that fails (its terminal is gone) must not stop the reading: the pipe would fill up, and
        # Terraform would wait for ever with the state locked.
        if self._listener is not None and self.failure is None:
            try:
                self._listener(event)
            except BaseException as error:  # `rich` raises SystemExit when its pipe is closed
                self.failure = error

    def result(self, code: int) -> Result:
        for reader in self._readers:
            reader.join()
        return Result(code, "".join(self._out), "".join(self._err), tuple(self._events))
