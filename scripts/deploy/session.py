"""One run of a deploy command: its environment, its tools, and the states of the stacks."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from scripts.deploy.azure_cli import AzureCli
from scripts.deploy.console import Screen
from scripts.deploy.deploy_errors import NotReadyError
from scripts.deploy.explanations import is_denied
from scripts.deploy.layout import STACKS, Layout, Stack
from scripts.deploy.stack_settings import StackSettings
from scripts.deploy.state_store import StateStore, find_state_store
from scripts.deploy.waiting import Waiter
from scripts.interrupts import postponed_interrupts
from scripts.terraform import Output, Terraform, TerraformError

T = TypeVar("T")

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

    @property
    def settings(self) -> StackSettings:
        """The user's settings of each stack."""
        return StackSettings(self.layout)

    @cached_property
    def store(self) -> StateStore:
        """Where the states are. Needs the tfvars of any one stack."""
        return find_state_store(self.layout, self.settings.read_any(), self.az, self.binary)

    def has_storage(self) -> bool:
        """Whether the place of the states exists. Once it does, it is not asked for again."""
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
        """The beginning of a Terraform command for a stack, for the operator to type."""
        data, directory = self.layout.terraform_data(stack), self.layout.directory(stack)
        return shlex.join([f"TF_DATA_DIR={data}", self.binary, f"-chdir={directory}"])

    def init(self, terraform: Terraform, config: Mapping[str, str], *, migrate_state: bool = False) -> None:
        """Initialise. While the storage does not know a new role yet, wait and say so."""
        deadline = self.waiter.deadline(_ACCESS_PATIENCE_SECONDS)
        while True:
            try:
                terraform.init(config, migrate_state=migrate_state)
                return
            except TerraformError as error:
                reason = "no access to the state yet, normal after a role assignment"
                if not (is_denied(error) and deadline.pause(reason, 15)):
                    raise

    def outputs(self, stack: Stack) -> dict[str, Output]:
        """Outputs of a stack, read from its state alone, which is quick: it needs no provider."""
        if stack.name not in self._outputs:
            found = self._read(stack, Terraform.outputs)
            secrets = (output.value for output in found.values() if output.sensitive)
            self.screen.hide(value for value in secrets if isinstance(value, str))
            self._outputs[stack.name] = found
        return self._outputs[stack.name]

    def forget(self, stack: Stack) -> None:
        """Read a stack's outputs again next time. Call this when the stack changes."""
        self._outputs.pop(stack.name, None)

    def has_resources(self, stack: Stack) -> bool:
        """Whether a stack's state has any resource, even one that a failed run left."""
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

    def at_once(self, look: Callable[[str], T], names: Sequence[str]) -> list[T]:
        """Look at several stacks at the same time, since each takes a while to reach."""
        _ = self.store  # before several threads look for it at once
        with ThreadPoolExecutor(max_workers=len(names) or 1) as pool:
            # An exception inside the pool could leave one of its locks taken.
            with postponed_interrupts() as interrupts:
                futures = [pool.submit(look, name) for name in names]
                while not interrupts and wait(futures, timeout=0.2).not_done:
                    pass
            if interrupts:
                # Ctrl-C reaches this thread only. The pool waits for the others, so they must stop as well.
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
