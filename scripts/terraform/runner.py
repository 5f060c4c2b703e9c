"""Runs Terraform (or OpenTofu) for the deploy commands: typed calls, one place that starts the process.

`python-terraform` builds every command line; the process itself is started here: the library's own runner
leaves a running Terraform behind on Ctrl-C, logs what it runs, and cannot hand over output as it arrives.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any, NamedTuple

from python_terraform import IsFlagged, IsNotFlagged  # type: ignore[import-untyped]
from python_terraform import Terraform as CommandBuilder

# It would write commands with all their arguments, and their whole output, to whoever listens.
logging.getLogger("python_terraform").disabled = True

MINIMUM_VERSION = (1, 9)
_CHANGES = 2  # exit code of `plan -detailed-exitcode` when there is something to do

Listener = Callable[[Mapping[str, Any]], None]
"""Gets each event of Terraform's machine-readable output while it arrives."""


class TerraformError(Exception):
    """Terraform failed; `diagnostics` are its own words, one paragraph each, most important first."""

    def __init__(
        self, command: str, diagnostics: Sequence[str], *, interrupted: bool = False, killed: bool = False
    ) -> None:
        self.command = command
        self.diagnostics = list(diagnostics)
        self.interrupted = interrupted  # somebody asked it to stop
        self.killed = killed  # and it was not given the time to save its state
        super().__init__(f"terraform {command} failed:\n" + "\n".join(self.diagnostics))


@dataclass(frozen=True, slots=True)
class StateLock:
    """Who holds a state, as Terraform reports it. Empty where the backend does not say."""

    id: str = ""
    path: str = ""
    operation: str = ""
    who: str = ""
    created: str = ""


class StateLockedError(TerraformError):
    """Somebody else holds the lock of the state (for Azure: the lease of its blob)."""

    def __init__(self, command: str, diagnostics: Sequence[str], lock: StateLock) -> None:
        super().__init__(command, diagnostics)
        self.lock = lock


class StalePlanError(TerraformError):
    """The state is no longer the one that the saved plan was made for: nothing was applied."""


class TerraformMissingError(Exception):
    """There is no such program, or it does not run."""

    def __init__(self, binary: str) -> None:
        self.binary = binary
        super().__init__(f"{binary} was not found or does not run")


class Change(NamedTuple):
    """One resource that a plan would touch: create, update, replace or delete, and its address."""

    action: str
    address: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A saved plan. Without changes there is nothing to apply, not even an output."""

    path: Path
    has_changes: bool
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """One output value of a state."""

    value: Any
    sensitive: bool


@dataclass(frozen=True, slots=True)
class _Result:
    code: int
    out: str
    err: str
    events: tuple[Mapping[str, Any], ...] = field(default=())


class Terraform:
    """Terraform in one directory, with its working data (`data_dir`) kept outside of it."""

    def __init__(
        self,
        directory: Path,
        *,
        data_dir: Path | None = None,
        binary: str = "terraform",
        listener: Listener | None = None,
    ) -> None:
        self.directory = directory
        self.binary = binary
        self._runner = _Runner(directory, data_dir, binary, listener)

    def version(self) -> tuple[int, ...]:
        """Version of the program, for example (1, 11, 4). Raises `TerraformMissingError`."""
        if shutil.which(self.binary) is None:
            raise TerraformMissingError(self.binary)
        result = self._runner.run("version", json=IsFlagged)
        match = re.match(r"\d+(\.\d+)*", _json_object(result.out).get("terraform_version", ""))
        if result.code != 0 or match is None:
            raise TerraformMissingError(self.binary)
        return tuple(int(part) for part in match[0].split("."))

    def init(
        self,
        backend_config: Mapping[str, str] | None = None,
        *,
        migrate_state: bool = False,
        upgrade: bool = False,
    ) -> None:
        """Prepare the directory; with `migrate_state` the present state moves to the configured backend."""
        move = {"migrate_state": IsFlagged, "force_copy": IsFlagged, "reconfigure": IsNotFlagged}
        self._checked(
            "init",
            backend_config=dict(backend_config or {}),
            input=False,
            no_color=IsFlagged,
            upgrade=upgrade,
            **(move if migrate_state else {"reconfigure": IsFlagged}),
        )

    def plan(self, out: Path, var_files: Sequence[Path] = (), *, destroy: bool = False) -> Plan:
        """Write a plan to `out` and say what it would do."""
        result = self._checked(
            "plan",
            accepted=(0, _CHANGES),
            out=str(out),
            var_file=[str(path) for path in var_files],
            destroy=IsFlagged if destroy else IsNotFlagged,
            detailed_exitcode=IsFlagged,
            json=IsFlagged,
            input=False,
        )
        return Plan(out, result.code == _CHANGES, _changes(result.events))

    def interrupt(self) -> None:
        """Stop what is running, and start nothing more; for commands that run in another thread."""
        self._runner.interrupt()

    def apply(self, plan: Plan) -> None:
        """Carry out a saved plan: exactly what was shown. Raises `StalePlanError` if the state moved on."""
        # A saved plan brings its own variables; the library would add -var-file from its defaults.
        self._checked("apply", str(plan.path), json=IsFlagged, input=False)

    def show(self, plan: Plan) -> str:
        """Describe a saved plan as Terraform prints it."""
        return self._checked("show", str(plan.path), no_color=IsFlagged).out

    def outputs(self) -> dict[str, Output]:
        """Outputs of the state; empty where nothing has been applied yet."""
        found = _json_object(self._checked("output", json=IsFlagged, no_color=IsFlagged).out)
        return {name: Output(item["value"], item["sensitive"]) for name, item in found.items()}

    def resources(self) -> list[str]:
        """Addresses of the resources in the state; empty without a state."""
        result = self._runner.run("state list", no_color=IsNotFlagged)
        if result.code != 0:
            if "No state file was found" in result.err:
                return []
            raise _failure("state list", result)
        return [line for line in result.out.splitlines() if line and not line.startswith("data.")]

    def evaluate(self, expression: str, variables: Mapping[str, str]) -> Any:
        """Value of an expression in the directory's configuration; it must give an object or a list."""
        arguments = [f"{name}={value}" for name, value in variables.items()]
        result = self._runner.run("console", var=arguments, stdin=f"jsonencode({expression})\n")
        if result.code != 0:
            raise _failure("console", result)
        return json.loads(json.loads(result.out))

    def _checked(self, command: str, *args: str, accepted: tuple[int, ...] = (0,), **options: Any) -> _Result:
        result = self._runner.run(command, *args, **options)
        if result.code not in accepted:
            raise _failure(command, result)
        return result


# TF_LOG would print requests with their headers; the others would change arguments, settings or the state
# behind the back of the command that showed the plan.
_MEDDLING = ("TF_LOG", "TF_CLI_ARGS", "TF_VAR_", "TF_WORKSPACE")


# What asks a program to stop.
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Runner:
    """Starts the program and sees to its end, also on Ctrl-C."""

    # How long Terraform may take to stop what it is doing, save its state and unlock it after an interrupt.
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
        self._stopped = True
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)

    def run(self, command: str, *args: str, stdin: str | None = None, **options: Any) -> _Result:
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
            raise TerraformError(command, _diagnostics(result), interrupted=True, killed=killed)
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
        """Ask once and wait for the state to be saved and unlocked; insist only when asked again.

        False when the program did not end by itself, so that a lock may be left.
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
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_MEDDLING)}
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


@contextmanager
def postponed_interrupts() -> Iterator[list[int]]:
    """Collect the signals that ask to stop, where the exception that they are would come at a bad moment.

    While a program is started but not yet known, for example, it would leave that behind with its lock.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came  # other threads get no signals
        return

    def note(kind: int, _frame: FrameType | None) -> None:
        came.append(kind)

    # What is ignored stays ignored, also by the program: it inherits that.
    kinds = [kind for kind in _STOPPING if callable(signal.getsignal(kind))]
    before = {kind: signal.signal(kind, note) for kind in kinds}
    try:
        yield came
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


class _Output:
    """What a program says, kept and passed on to a listener while it arrives."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener
        self._out: list[str] = []
        self._err: list[str] = []
        self._events: list[Mapping[str, Any]] = []
        self._readers: list[threading.Thread] = []
        self.failure: BaseException | None = None

    def follow(self, process: subprocess.Popen[str]) -> None:
        """Read on until the program has ended."""
        for read, stream in ((self._read_out, process.stdout), (self._read_err, process.stderr)):
            self._readers.append(threading.Thread(target=read, args=[stream], daemon=True))
            self._readers[-1].start()

    def _read_out(self, stream: IO[str]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)  # they are for the main thread, which waits
        for text in stream:
            self._out.append(text)
            event = _event(text)
            if event is not None:
                self._events.append(event)
                self._tell(event)

    def _read_err(self, stream: IO[str]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        self._err.extend(stream)

    def _tell(self, event: Mapping[str, Any]) -> None:
        # A listener that fails (its terminal has gone) must not stop the reading: the pipe would fill up, and
        # Terraform would wait for ever with the state locked.
        if self._listener is not None and self.failure is None:
            try:
                self._listener(event)
            except BaseException as error:  # `rich` leaves with SystemExit when nobody reads what it writes
                self.failure = error

    def result(self, code: int) -> _Result:
        for reader in self._readers:
            reader.join()
        return _Result(code, "".join(self._out), "".join(self._err), tuple(self._events))


def _event(text: str) -> Mapping[str, Any] | None:
    if not text.startswith('{"@'):
        return None
    try:
        event = json.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


_ACTIONS = {"create", "update", "replace", "delete", "import", "move", "forget"}


def _changes(events: Sequence[Mapping[str, Any]]) -> tuple[Change, ...]:
    planned = (event["change"] for event in events if event.get("type") == "planned_change")
    return tuple(
        Change(change["action"], change["resource"]["addr"])
        for change in planned
        if change["action"] in _ACTIONS
    )


def _diagnostics(result: _Result) -> list[str]:
    found = [event["diagnostic"] for event in result.events if event.get("type") == "diagnostic"]
    errors = [item for item in found if item.get("severity") == "error"]
    texts = ["\n".join(filter(None, [_headline(item), item.get("detail", "")])) for item in errors]
    plain = _plain(result.err) or ([] if result.events else _plain(result.out))
    return texts or plain or [f"It ended with code {result.code} and said nothing."]


def _headline(diagnostic: Mapping[str, Any]) -> str:
    where = diagnostic.get("address") or ""
    place = diagnostic.get("range")
    if not where and place:
        where = f"{place['filename']} line {place['start']['line']}"
    summary = str(diagnostic.get("summary", ""))
    return f"{where}: {summary}" if where else summary


_FRAME = re.compile(r"^[╷│╵]\s?", re.MULTILINE)


def _plain(text: str) -> list[str]:
    """Paragraphs of the human-readable output that are errors, without the frame around them."""
    blocks = re.split(r"^╵\s*$", text, flags=re.MULTILINE)
    cleaned = [_FRAME.sub("", block).strip() for block in blocks]
    errors = [block for block in cleaned if block.startswith("Error:")]
    return [re.sub(r"^Error: ", "", block) for block in errors] or [block for block in cleaned if block]


def _failure(command: str, result: _Result) -> TerraformError:
    texts = _diagnostics(result)
    everything = "\n".join(texts)
    if "acquiring the state lock" in everything:
        return StateLockedError(command, texts, _lock(everything))
    if "Saved plan is stale" in everything:
        return StalePlanError(command, texts)
    return TerraformError(command, texts, interrupted=result.code == -signal.SIGINT)


def _lock(text: str) -> StateLock:
    values = dict(
        re.findall(r"^\s*(ID|Path|Operation|Who|Created):[ \t]*(\S.*?)\s*$", text, flags=re.MULTILINE)
    )
    return StateLock(**{name.lower(): value for name, value in values.items()})
