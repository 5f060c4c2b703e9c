"""One run of a deploy command: the environment it is about, and what it works with."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

from scripts.deploy.azure_cli import AzureCli
from scripts.deploy.console import Screen
from scripts.deploy.errors import (
    DeployError,
    InterruptedDeploymentError,
    InvalidSettingsError,
    LockedError,
    NotReadyError,
)
from scripts.deploy.layout import STACKS, Layout, Stack
from scripts.deploy.state import StateStore, find_state_store
from scripts.deploy.tfvars import is_placeholder, read_tfvars
from scripts.deploy.waiting import Waiter
from scripts.terraform import Output, StateLockedError, Terraform, TerraformError, TerraformMissingError

COMMON = ("subscription_id", "name", "environment", "suffix")
"""Settings that must be the same in every stack: names, and so the state, depend on them."""

# Azure storage answers so while a new role is not known everywhere yet.
_NO_ACCESS_YET = ("AuthorizationPermissionMismatch", "AuthorizationFailure", "StatusCode=403", "status 403")
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

    def settings(self, stack: Stack) -> dict[str, Any]:
        """The user's tfvars of a stack. Raises `InvalidSettingsError` when missing or for elsewhere."""
        path = self.layout.tfvars(stack)
        if not path.exists():
            example = self.layout.example(stack)
            source = example if example.exists() else example.with_name("terraform.tfvars.dev.example")
            raise InvalidSettingsError(
                f"{path} does not exist.", remedy=f"Start from the example: cp {source} {path}"
            )
        self._refuse_automatic_files(stack)
        values = read_tfvars(path)
        self._check_common(path.name, values)
        return values

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

    def _check_common(self, name: str, values: Mapping[str, Any]) -> None:
        given = values.get("environment")
        if given is not None and given != self.layout.environment:
            raise InvalidSettingsError(
                f"{name} says environment = {given!r}, but the command is for {self.layout.environment!r}.",
                remedy="Correct the file, or choose the environment with --environment.",
            )
        unset = [key for key in COMMON if isinstance(values.get(key), str) and is_placeholder(values[key])]
        if unset:
            raise InvalidSettingsError(
                f"{name} still has placeholders:", details=[f"{key} = {values[key]!r}" for key in unset]
            )

    def check_agreement(self, stack: Stack, values: Mapping[str, Any]) -> None:
        """Every stack of an environment must have the same name, subscription and suffix."""
        for other in STACKS.values():
            path = self.layout.tfvars(other)
            if other.name == stack.name or not path.exists():
                continue
            theirs = read_tfvars(path)
            different = [key for key in COMMON if values.get(key) != theirs.get(key)]
            if different:
                raise InvalidSettingsError(
                    f"{path.name} of {stack.directory} and of {other.directory} disagree:",
                    details=[f"{key}: {values.get(key)!r} and {theirs.get(key)!r}" for key in different],
                    remedy="They are about one installation: use the same values.",
                )

    @cached_property
    def store(self) -> StateStore:
        """Where the states are. Needs the tfvars of any one stack."""
        for stack in STACKS.values():
            if self.layout.tfvars(stack).exists():
                return find_state_store(self.layout, self.settings(stack), self.az, self.binary)
        raise InvalidSettingsError(
            f"There are no settings for {self.layout.environment} yet.",
            remedy=f"Start with {self.layout.tfvars(STACKS['bootstrap'])}; the example is beside it.",
        )

    def has_storage(self) -> bool:
        """Whether there is a place for states; asked until there is one."""
        self._has_storage = self._has_storage or self.store.exists()
        return self._has_storage

    def terraform(self, stack: Stack) -> Terraform:
        """Terraform in a stack's directory."""
        data = self.layout.data(stack)
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Terraform(
            self.layout.directory(stack),
            data_dir=data / "data",
            binary=self.binary,
            listener=self.screen.event,
        )

    def init(self, terraform: Terraform, config: Mapping[str, str], *, migrate_state: bool = False) -> None:
        """Initialise, and wait in sight while a new role on the state is not known to the storage yet."""
        deadline = self.waiter.deadline(_ACCESS_PATIENCE_SECONDS)
        while True:
            try:
                terraform.init(config, migrate_state=migrate_state)
            except TerraformError as error:
                denied = any(sign in text for text in error.diagnostics for sign in _NO_ACCESS_YET)
                if not (
                    denied
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
        directory = self.layout.data(stack) / "reader"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        backend = f'terraform {{\n  backend "{self.store.kind}" {{}}\n}}\n'
        (directory / "backend.tf").write_text(backend, encoding="utf-8")
        reader = Terraform(directory, data_dir=directory / "data", binary=self.binary)
        self.init(reader, self.store.backend_config(stack))
        return reader.outputs()

    def upstream(self, stack: Stack) -> dict[str, Output]:
        """Outputs of the stacks before this one. Raises `NotReadyError` when a needed one is not deployed."""
        if stack.needs and not self.has_storage():
            raise _run_first(stack, STACKS["bootstrap"])
        names = (*stack.needs, *stack.uses)
        with ThreadPoolExecutor(max_workers=len(names) or 1) as pool:
            read = dict(zip(names, pool.map(lambda name: self.outputs(STACKS[name]), names), strict=True))
        for name in stack.needs:
            if not read[name]:
                raise _run_first(stack, STACKS[name])
        return {key: output for found in read.values() for key, output in found.items()}


def _run_first(stack: Stack, missing: Stack) -> NotReadyError:
    return NotReadyError(
        f"{stack.command} needs the {missing.name} stack, which is not deployed.",
        remedy=f"Run {missing.command} first.",
    )


def explain(
    error: TerraformError | TerraformMissingError, what: str, directory: Path | None = None
) -> DeployError:
    """Say in the operator's words why Terraform failed with `what`, and what to do."""
    if isinstance(error, TerraformMissingError):
        return NotReadyError(
            f"{error.binary} was not found.",
            remedy="Install Terraform 1.9 or newer, or set TERRAFORM_BINARY=tofu.",
        )
    if isinstance(error, StateLockedError):
        return _explain_lock(error, directory)
    if error.interrupted:
        return InterruptedDeploymentError(
            "Stopped. Terraform finished what it had begun, saved the state and released its lock.",
            remedy="Run the command again to go on from here.",
        )
    applied = error.command == "apply"
    done = "What was done until then is in the state" if applied else "Nothing was changed"
    return DeployError(
        f"Terraform could not {error.command.split()[0]} the {what}.",
        details=error.diagnostics,
        remedy=f"{done}: correct the cause and run the command again.",
    )


def _explain_lock(error: StateLockedError, directory: Path | None) -> LockedError:
    """Say who holds the state; the lock is never broken from here."""
    lock = error.lock
    facts = [f"{name}: {value}" for name, value in (("held by", lock.who), ("since", lock.created)) if value]
    facts += [f"for: {lock.operation}"] if lock.operation else []
    force = f"terraform -chdir={directory or '<stack>'} force-unlock {lock.id or '<lock id>'}"
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

    kinds = [signal.SIGTERM, signal.SIGHUP]
    before = {kind: signal.signal(kind, interrupt) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
