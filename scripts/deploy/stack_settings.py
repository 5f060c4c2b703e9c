"""The user's settings of each stack (tfvars), checked against what the stack declares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.deploy.declarations import (
    Declarations,
    declared_outputs,
    missing_names,
    read_declarations,
    unknown_attributes,
    unknown_names,
)
from scripts.deploy.deploy_errors import InvalidSettingsError, NotReadyError
from scripts.deploy.layout import STACKS, Layout, Stack
from scripts.deploy.tfvars import is_placeholder, read_tfvars

COMMON = ("subscription_id", "name", "environment", "suffix")
"""Settings that must be the same in every stack: names, and so the state, depend on them."""

_ID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FIND_ID = "`az account show --query id` prints it"
_SEE_EXAMPLE = "The example beside it describes every setting."


@dataclass(frozen=True, slots=True)
class StackSettings:
    """The settings of all stacks of one environment."""

    layout: Layout

    def read(self, stack: Stack) -> dict[str, Any]:
        """The tfvars of a stack. Raises `InvalidSettingsError` with everything that is wrong with them."""
        path = self.layout.tfvars(stack)
        if not path.exists():
            raise InvalidSettingsError(f"{path} does not exist.", remedy=self._start_from_example(stack))
        self._refuse_automatic_files(stack)
        values = read_tfvars(path)
        declared = self.declared(stack)
        self._raise_any(
            stack,
            [
                *self._common_problems(values),
                *unknown_names(values, declared.all | set(stack.own)),
                *unknown_attributes(values, declared),
            ],
        )
        return values

    def read_any(self) -> dict[str, Any]:
        """The tfvars of the first stack whose tfvars are valid, for what all stacks have in common."""
        first_error: InvalidSettingsError | None = None
        for stack in STACKS.values():
            if self.layout.tfvars(stack).exists():
                try:
                    return self.read(stack)
                except InvalidSettingsError as error:
                    first_error = first_error or error
        raise first_error or InvalidSettingsError(
            f"There are no settings for {self.layout.environment} yet.",
            remedy=self._start_from_example(STACKS["bootstrap"]),
        )

    def declared(self, stack: Stack) -> Declarations:
        """The variables of a stack."""
        return read_declarations(self.layout.directory(stack))

    def check_agreement(self, stack: Stack, values: Mapping[str, Any]) -> None:
        """Raise `InvalidSettingsError` when another stack has different common settings."""
        for other in STACKS.values():
            path = self.layout.tfvars(other)
            if other.name == stack.name or not path.exists():
                continue
            try:
                theirs = read_tfvars(path)
            except InvalidSettingsError:
                continue  # the command of that stack reports it
            different = [key for key in COMMON if values.get(key) != theirs.get(key)]
            if different:
                raise InvalidSettingsError(
                    f"{self.layout.tfvars(stack)} and {path} disagree:",
                    details=[f"{key}: {values.get(key)!r} and {theirs.get(key)!r}" for key in different],
                    remedy="Both belong to one installation: use the same values.",
                )

    def check_complete(self, stack: Stack, declared: Declarations, *given: Mapping[str, Any]) -> None:
        """Raise an error that names every required variable that is not given."""
        self.require_outputs(stack, declared.required.difference(*given))
        self._raise_any(stack, missing_names(declared.required, *given))

    def require_outputs(self, stack: Stack, missing: Iterable[str]) -> None:
        """Raise `NotReadyError` when an earlier stack should have an output of a missing name."""
        for name in (*stack.needs, *stack.uses):
            absent = sorted(declared_outputs(self.layout.directory(STACKS[name])) & set(missing))
            if absent:
                raise NotReadyError(
                    f"{stack.command} needs {', '.join(absent)} of the {name} stack, which does not have it.",
                    remedy=f"Run {STACKS[name].command} again: its last run failed, or was an older version.",
                )

    def _raise_any(self, stack: Stack, problems: list[str]) -> None:
        if problems:
            path = self.layout.tfvars(stack)
            raise InvalidSettingsError(f"{path} cannot be used:", details=problems, remedy=_SEE_EXAMPLE)

    def _refuse_automatic_files(self, stack: Stack) -> None:
        """Terraform would load these files in every environment, unchecked."""
        directory = self.layout.directory(stack)
        patterns = ("terraform.tfvars", "terraform.tfvars.json", "*.auto.tfvars", "*.auto.tfvars.json")
        automatic = sorted(path for pattern in patterns for path in directory.glob(pattern))
        if automatic:
            raise InvalidSettingsError(
                "Terraform loads these files by itself and would keep their secrets in its plans:",
                details=[str(path) for path in automatic],
                remedy=f"Move their settings into {self.layout.tfvars(stack).name} and remove them.",
            )

    def _common_problems(self, values: Mapping[str, Any]) -> Iterator[str]:
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
                f"environment is {given!r}, but the command is for {self.layout.environment!r}: correct one "
                "of them."
            )

    def _start_from_example(self, stack: Stack) -> str:
        return f"Start from the example: cp {self.layout.example(stack)} {self.layout.tfvars(stack)}"
