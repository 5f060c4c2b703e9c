"""Typed calls of Terraform: one method for each of its commands that the deploy commands use."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from python_terraform import IsFlagged, IsNotFlagged  # type: ignore[import-untyped]

from scripts.terraform.failures import TerraformMissingError, failure_of
from scripts.terraform.messages import Change, Result, parse_object, planned_changes
from scripts.terraform.runner import Listener, Runner

MINIMUM_VERSION = (1, 9)
_CHANGES = 2  # exit code of `plan -detailed-exitcode` when there is something to do


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


class Terraform:
    """Terraform in one directory. Its working data are kept in `data_dir`, outside of that directory.

    Every method raises a `TerraformError` when the command fails, and `TerraformMissingError` when the
    program does not start.
    """

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
        self._runner = Runner(directory, data_dir, binary, listener)

    def version(self) -> tuple[int, ...]:
        """Version of the program, for example (1, 11, 4). Raises `TerraformMissingError`."""
        if shutil.which(self.binary) is None:
            raise TerraformMissingError(self.binary)
        result = self._runner.run("version", json=IsFlagged)
        match = re.match(r"\d+(\.\d+)*", parse_object(result.out).get("terraform_version", ""))
        if result.code != 0 or match is None:
            raise TerraformMissingError(self.binary)
        return tuple(int(part) for part in match[0].split("."))

    def init(self, backend_config: Mapping[str, str] | None = None, *, migrate_state: bool = False) -> None:
        """Prepare the directory; with `migrate_state` the present state moves to the configured backend."""
        move = {"migrate_state": IsFlagged, "force_copy": IsFlagged, "reconfigure": IsNotFlagged}
        self._checked(
            "init",
            backend_config=dict(backend_config or {}),
            input=False,
            no_color=IsFlagged,
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
        return Plan(out, result.code == _CHANGES, planned_changes(result.events))

    def interrupt(self) -> None:
        """Stop the running command and start no other. Meant for commands that run in another thread."""
        self._runner.interrupt()

    def apply(self, plan: Plan) -> None:
        """Carry out a saved plan: exactly what was shown. Raises `StalePlanError` after another change."""
        # A saved plan brings its own variables; the library would add -var-file from its defaults.
        self._checked("apply", str(plan.path), json=IsFlagged, input=False)

    def show(self, plan: Plan) -> str:
        """Describe a saved plan as Terraform prints it."""
        return self._checked("show", str(plan.path), no_color=IsFlagged).out

    def outputs(self) -> dict[str, Output]:
        """Outputs of the state; empty where nothing has been applied yet."""
        found = parse_object(self._checked("output", json=IsFlagged, no_color=IsFlagged).out)
        return {name: Output(item["value"], item["sensitive"]) for name, item in found.items()}

    def resources(self) -> list[str]:
        """Addresses of the resources in the state; empty without a state."""
        result = self._runner.run("state list", no_color=IsNotFlagged)
        if result.code != 0:
            if "No state file was found" in result.err:
                return []
            raise failure_of("state list", result)
        return [line for line in result.out.splitlines() if line and not line.startswith("data.")]

    def evaluate(self, expression: str, variables: Mapping[str, str]) -> Any:
        """Value of an expression in the directory's configuration; it must give an object or a list.

        `evaluate("local.names", {"name": "aigw"})` gives `{"key_vault": "kv-aigw", …}`.
        """
        arguments = [f"{name}={value}" for name, value in variables.items()]
        result = self._checked("console", var=arguments, stdin=f"jsonencode({expression})\n")
        return json.loads(json.loads(result.out))

    def _checked(self, command: str, *args: str, accepted: tuple[int, ...] = (0,), **options: Any) -> Result:
        result = self._runner.run(command, *args, **options)
        if result.code not in accepted:
            raise failure_of(command, result)
        return result
