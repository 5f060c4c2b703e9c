"""One run of a deploy command: the environment it is about, and what it works with."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import FrameType
from typing import Any, TypeVar

from scripts.deploy.azure_cli import AzureCli
from scripts.deploy.console import Screen
from scripts.deploy.deploy_errors import (
    DeployError,
    InterruptedDeploymentError,
    InvalidSettingsError,
    LockedError,
    NotReadyError,
)
from scripts.deploy.layout import STACKS, Layout, Stack
from scripts.deploy.state_store import StateStore, find_state_store
from scripts.deploy.tfvars import (
    Declarations,
    declared_outputs,
    is_placeholder,
    missing_names,
    read_declarations,
    read_tfvars,
    unknown_attributes,
    unknown_names,
)
from scripts.deploy.waiting import Waiter
from scripts.terraform.runner import (
    Output,
    StalePlanError,
    StateLockedError,
    Terraform,
    TerraformError,
    TerraformMissingError,
    postponed_interrupts,
)

T = TypeVar("T")

COMMON = ("subscription_id", "name", "environment", "suffix")
"""Settings that must be the same in every stack: names, and so the state, depend on them."""

_ID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FIND_ID = "`az account show --query id` prints it"

# Azure storage answers so while a new role is not known everywhere yet.
_NO_ACCESS_YET = ("AuthorizationPermissionMismatch", "AuthorizationFailure", "StatusCode=403", "status 403")
_READING = {"init", "output", "state list"}
_NO_TOKEN = ("AADSTS", "az login")
_NO_PROVIDERS = ("provider packages", "Failed to install provider")
_NO_NETWORK = (
    "no such host",
    "connection refused",
    "network is unreachable",
    "i/o timeout",
    "TLS handshake timeout",
)
_UNSAVED = "errored.tfstate"
"""Where Terraform puts a state that its storage does not take, a token having ended, say."""
_ACCESS_PATIENCE_SECONDS = 600.0


def terraform_binary() -> str:
    """The program to run: `TERRAFORM_BINARY` can name OpenTofu or a path."""
    return os.environ.get("TERRAFORM_BINARY", "terraform")


@dataclass
class Session:
    """What every deploy command shares."""

    layout: Layout
    screen: Screen
    az: AzureCli
    waiter: Waiter
    binary: str = field(default_factory=terraform_binary)
    _outputs: dict[str, dict[str, Output]] = field(default_factory=dict, init=False, repr=False)
    _has_storage: bool = field(default=False, init=False, repr=False)
    _running: list[Terraform] = field(default_factory=list, init=False, repr=False)

    def settings(self, stack: Stack) -> dict[str, Any]:
        """The user's tfvars of a stack. Raises `InvalidSettingsError` when missing or for elsewhere."""
        path = self.layout.tfvars(stack)
        if not path.exists():
            raise InvalidSettingsError(f"{path} does not exist.", remedy=self._start_from_example(stack))
        self._refuse_automatic_files(stack)
        values = read_tfvars(path)
        declared = self.declared(stack)
        problems = [
            *self._common_problems(values),
            *unknown_names(values, declared.all | set(stack.own)),
            *unknown_attributes(values, declared),
        ]
        if problems:
            raise InvalidSettingsError(
                f"{path} cannot be used:",
                details=problems,
                remedy="The example beside it describes every setting.",
            )
        return values

    def declared(self, stack: Stack) -> Declarations:
        """The variables of a stack."""
        return read_declarations(self.layout.directory(stack))

    def _refuse_automatic_files(self, stack: Stack) -> None:
        """Terraform would load these in every environment, behind the back of all checks."""
        directory = self.layout.directory(stack)
        automatic = [*directory.glob("terraform.tfvars"), *directory.glob("terraform.tfvars.json")]
        automatic += [*directory.glob("*.auto.tfvars"), *directory.glob("*.auto.tfvars.json")]
        if automatic:
            raise InvalidSettingsError(
                "Terraform loads these files by itself and would keep secrets from them in its plans:",
                details=[str(path) for path in sorted(automatic)],
                remedy=f"Move their settings into {self.layout.tfvars(stack).name} and remove them.",
            )

    def _common_problems(self, values: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with the settings that every name, and so the state, depends on."""
        for key in COMMON:
            value = values.get(key)
            if value is None and key == "suffix":
                continue
            if value is None:
                yield f"{key} is missing."
            elif not isinstance(value, str):
                yield f"{key} must be a text in double quotes."
            elif is_placeholder(value):
                hint = f": {_FIND_ID}" if key == "subscription_id" else ""
                yield f"{key} still is the placeholder {value!r}{hint}."
            elif key == "subscription_id" and not _ID.fullmatch(value):
                yield f"{key} is not the id of a subscription: {_FIND_ID}."
        given = values.get("environment")
        if isinstance(given, str) and not is_placeholder(given) and given != self.layout.environment:
            yield (
                f"environment is {given!r}, but the command is for {self.layout.environment!r}: correct it, "
                "or name another one."
            )

    def check_agreement(self, stack: Stack, values: Mapping[str, Any]) -> None:
        """Every stack of an environment must have the same name, subscription and suffix."""
        for other in STACKS.values():
            path = self.layout.tfvars(other)
            if other.name == stack.name or not path.exists():
                continue
            try:
                theirs = read_tfvars(path)
            except InvalidSettingsError:
                continue  # for the command of that stack to complain about
            different = [key for key in COMMON if values.get(key) != theirs.get(key)]
            if different:
                raise InvalidSettingsError(
                    f"{self.layout.tfvars(stack)} and {path} disagree:",
                    details=[f"{key}: {values.get(key)!r} and {theirs.get(key)!r}" for key in different],
                    remedy="They are about one installation: use the same values.",
                )

    @cached_property
    def store(self) -> StateStore:
        """Where the states are. Needs the tfvars of any one stack."""
        return find_state_store(self.layout, self.any_settings(), self.az, self.binary)

    def any_settings(self) -> dict[str, Any]:
        """Settings of some stack: what they have in common says where everything is."""
        wrong: InvalidSettingsError | None = None
        for stack in STACKS.values():
            if self.layout.tfvars(stack).exists():
                try:
                    return self.settings(stack)
                except InvalidSettingsError as error:
                    wrong = wrong or error
        raise wrong or InvalidSettingsError(
            f"There are no settings for {self.layout.environment} yet.",
            remedy=self._start_from_example(STACKS["bootstrap"]),
        )

    def _start_from_example(self, stack: Stack) -> str:
        return f"Start from the example: cp {self.layout.example(stack)} {self.layout.tfvars(stack)}"

    def has_storage(self) -> bool:
        """Whether there is a place for states; asked until there is one."""
        self._has_storage = self._has_storage or self.store.exists()
        return self._has_storage

    def terraform(self, stack: Stack) -> Terraform:
        """Terraform in a stack's directory."""
        self.layout.private(self.layout.data(stack))
        return Terraform(
            self.layout.directory(stack),
            data_dir=self.layout.terraform_data(stack),
            binary=self.binary,
            listener=self.screen.event,
        )

    def by_hand(self, stack: Stack) -> str:
        """How a command of Terraform about a stack begins; it has to be told where its working data are."""
        data, directory = self.layout.terraform_data(stack), self.layout.directory(stack)
        return shlex.join([f"TF_DATA_DIR={data}", self.binary, f"-chdir={directory}"])

    def init(self, terraform: Terraform, config: Mapping[str, str], *, migrate_state: bool = False) -> None:
        """Initialise, and wait in sight while a new role on the state is not known to the storage yet."""
        deadline = self.waiter.deadline(_ACCESS_PATIENCE_SECONDS)
        while True:
            try:
                terraform.init(config, migrate_state=migrate_state)
            except TerraformError as error:
                if not (
                    _is_denied(error)
                    and deadline.pause("no access to the state yet, normal after a role assignment", 15)
                ):
                    raise
            else:
                return

    def outputs(self, stack: Stack) -> dict[str, Output]:
        """Outputs of a stack, read from its state alone: quick, since no provider is needed for it."""
        if stack.name not in self._outputs:
            found = self._read_outputs(stack)
            secrets = (output.value for output in found.values() if output.sensitive)
            self.screen.hide(value for value in secrets if isinstance(value, str))
            self._outputs[stack.name] = found
        return self._outputs[stack.name]

    def forget(self, stack: Stack) -> None:
        """Read a stack's outputs again next time: it has changed."""
        self._outputs.pop(stack.name, None)

    def _read_outputs(self, stack: Stack) -> dict[str, Output]:
        return self._read(stack, Terraform.outputs)

    def has_resources(self, stack: Stack) -> bool:
        """Whether there is anything in a stack's state, be it only what a failed run has left."""
        return bool(self._read(stack, Terraform.resources))

    def _read(self, stack: Stack, look: Callable[[Terraform], T]) -> T:
        """Look into a stack's state. Its address is remembered: initialising takes longer than reading."""
        directory = self.layout.private(self.layout.data(stack) / "reader")
        reader = Terraform(directory, data_dir=directory / "data", binary=self.binary)
        self._running.append(reader)
        if self.waiter.stopped.is_set():
            reader.interrupt()
        config = self.store.backend_config(stack)
        address = json.dumps([self.binary, self.store.kind, config], sort_keys=True)
        remembered = directory / "address.json"
        if remembered.exists() and remembered.read_text(encoding="utf-8") == address:
            try:
                return look(reader)
            except TerraformError as error:
                if error.interrupted:
                    raise
        backend = f'terraform {{\n  backend "{self.store.kind}" {{}}\n}}\n'
        (directory / "backend.tf").write_text(backend, encoding="utf-8")
        self.init(reader, config)
        remembered.write_text(address, encoding="utf-8")
        return look(reader)

    def upstream(self, stack: Stack) -> dict[str, Output]:
        """Outputs of the stacks before this one. Raises `NotReadyError` when a needed one is not deployed."""
        if stack.needs and not self.has_storage():
            raise _run_first(stack, STACKS["bootstrap"])
        names = (*stack.needs, *stack.uses)
        read = dict(zip(names, self.at_once(lambda name: self.outputs(STACKS[name]), names), strict=True))
        for name in stack.needs:
            if not read[name]:
                raise _run_first(stack, STACKS[name])
        return {key: output for found in read.values() for key, output in found.items()}

    def check_complete(self, stack: Stack, declared: Declarations, *given: Mapping[str, Any]) -> None:
        """Raise an error that names every variable that nobody has given a value."""
        self.require(stack, declared.required.difference(*given))
        problems = missing_names(declared.required, *given)
        if problems:
            raise InvalidSettingsError(
                f"{self.layout.tfvars(stack)} cannot be used:",
                details=problems,
                remedy="The example beside it describes every setting.",
            )

    def require(self, stack: Stack, missing: Iterable[str]) -> None:
        """Raise `NotReadyError` where an earlier stack should give what is missing, but does not (yet)."""
        for name in (*stack.needs, *stack.uses):
            absent = sorted(declared_outputs(self.layout.directory(STACKS[name])) & set(missing))
            if absent:
                raise NotReadyError(
                    f"{stack.command} needs {', '.join(absent)} of the {name} stack, which does not have it.",
                    remedy=f"Run {STACKS[name].command} again: its last run did not end well, or is too old.",
                )

    def at_once(self, look: Callable[[str], T], names: Sequence[str]) -> list[T]:
        """Look at several stacks at the same time: each takes a while to be reached."""
        _ = self.store  # found once, before the threads need it
        with ThreadPoolExecutor(max_workers=len(names) or 1) as pool:
            # An exception among the locks of the pool could leave one of them taken.
            with postponed_interrupts() as interrupts:
                futures = [pool.submit(look, name) for name in names]
                while not interrupts and wait(futures, timeout=0.2).not_done:
                    pass
            if interrupts:
                # Ctrl-C comes to this thread only; the others would go on, and the pool waits for them.
                self.waiter.stopped.set()
                for reader in self._running:
                    reader.interrupt()
                raise KeyboardInterrupt
            return [future.result() for future in futures]


def _run_first(stack: Stack, missing: Stack) -> NotReadyError:
    return NotReadyError(
        f"{stack.command} needs the {missing.name} stack, which is not deployed.",
        remedy=f"Run {missing.command} first.",
    )


def explain(
    error: TerraformError | TerraformMissingError, what: str, by_hand: str = "terraform"
) -> DeployError:
    """Say in the operator's words why Terraform failed with `what`, and what to do.

    `by_hand` is how a command begins that the operator has to give to Terraform.
    """
    if isinstance(error, TerraformMissingError):
        return NotReadyError(
            f"{error.binary} was not found.",
            remedy="Install Terraform 1.9 or newer, or set TERRAFORM_BINARY=tofu.",
        )
    if isinstance(error, StateLockedError):
        return _explain_lock(error, by_hand)
    if _says(error, [_UNSAVED]):
        return DeployError(
            f"Terraform could not save the state of the {what}.",
            details=error.diagnostics,
            remedy=f"Run no other command for it: it would make everything once more. First put {_UNSAVED}, "
            "which knows what was made, where it belongs, and then remove it here: "
            f"{by_hand} state push {_UNSAVED}",
        )
    if error.killed:
        return InterruptedDeploymentError(
            "Stopped before Terraform saved its state: that may lack what was just made, and be locked.",
            details=error.diagnostics,
            remedy="Run the command again: it says how to release a lock, if there is one.",
        )
    if error.interrupted:
        return InterruptedDeploymentError(
            "Stopped. Terraform finished what it had begun, saved the state and released its lock.",
            remedy="Run the command again to go on from here.",
        )
    if isinstance(error, StalePlanError):
        return DeployError(
            f"Somebody else has changed the {what} since this plan was made. It was not applied.",
            remedy="Run the command again to see the plan as it is now.",
        )
    if error.command != "apply" and _says(error, _NO_TOKEN):
        return DeployError(
            "Terraform gets no token for Azure.",
            details=error.diagnostics,
            remedy="Run `az login` again; in a pipeline, see to its ARM_* variables.",
        )
    if error.command == "init" and _says(error, _NO_PROVIDERS):
        return DeployError(
            f"Terraform does not get the providers of the {what}.",
            details=error.diagnostics,
            remedy="Check the network and its proxy, or name a mirror in Terraform's own configuration.",
        )
    if error.command in _READING and _says(error, _NO_NETWORK):
        return DeployError(
            f"The state of the {what} cannot be reached.",
            details=error.diagnostics,
            remedy="Check the network, its proxy and its DNS; `doctor` says whether the storage exists.",
        )
    if error.command in _READING and _is_denied(error):
        return DeployError(
            f"The login may not read the state of the {what}.",
            details=error.diagnostics,
            remedy="Somebody who can has to put your object id (az ad signed-in-user show --query id) into "
            "state_principals, or your address into state_allowed_ip_ranges, and run deploy-bootstrap.",
        )
    applied = error.command == "apply"
    done = "What was done until then is in the state" if applied else "Nothing was changed"
    verb = {"init": "initialise", "output": "read", "state": "read"}
    tried = error.command.split()[0]
    return DeployError(
        f"Terraform could not {verb.get(tried, tried)} the {what}.",
        details=error.diagnostics,
        remedy=f"{done}: correct the cause and run the command again.",
    )


def _is_denied(error: TerraformError) -> bool:
    return _says(error, _NO_ACCESS_YET)


def _says(error: TerraformError, signs: Sequence[str]) -> bool:
    return any(sign in text for text in error.diagnostics for sign in signs)


def _explain_lock(error: StateLockedError, by_hand: str) -> LockedError:
    """Say who holds the state; the lock is never broken from here."""
    lock = error.lock
    facts = [f"{name}: {value}" for name, value in (("held by", lock.who), ("since", lock.created)) if value]
    facts += [f"for: {lock.operation}"] if lock.operation else []
    force = f"{by_hand} force-unlock {lock.id or '<lock id>'}"
    return LockedError(
        "Another deployment of this stack is running: its state is locked.",
        details=facts or error.diagnostics,
        remedy=f"Wait for it to end. Only if you are certain that nobody is running it any more: {force}",
    )


@contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C, so that locks and temporary files go in any case."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # What is ignored stays ignored: that is what `nohup` asks for.
    kinds = [kind for kind in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(kind) is not signal.SIG_IGN]
    before = {kind: signal.signal(kind, interrupt) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
