"""The user's settings of each stack (tfvars), checked against what the stack declares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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
from scripts.deploy.settings_files import COMMON, GATEWAY, IDENTITY, SECTIONS, Part, SettingsFiles
from scripts.deploy.tfvars import is_placeholder

_ID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FIND_ID = "`az account show --query id` prints it"
_SEE_EXAMPLE = "The example describes every setting."


@dataclass(frozen=True, slots=True)
class StackSettings:
    """The settings of all stacks of one environment."""

    layout: Layout

    @property
    def files(self) -> SettingsFiles:
        """The user's files."""
        return SettingsFiles(self.layout)

    def path(self, stack: Stack) -> Path:
        """The file to name in a message about a stack: the one with its settings, else the one to make."""
        return next(iter(self.files.paths(stack)), self.layout.settings)

    def read(self, stack: Stack) -> dict[str, Any]:
        """The settings of a stack. Raises `InvalidSettingsError` with everything that is wrong with them."""
        values, error = self.look(stack)
        if error is not None:
            raise error
        return values

    def look(self, stack: Stack) -> tuple[dict[str, Any], InvalidSettingsError | None]:
        """The settings of a stack as they are written, and what is wrong with their names and identity.

        Raises `InvalidSettingsError` when there is nothing to look at.
        """
        parts = self.files.parts(stack)
        if not parts:
            raise InvalidSettingsError(
                f"{self.layout.settings} does not exist.", remedy=self._start_from_example()
            )
        self._refuse_automatic_files(stack)
        declared = self.declared(stack)
        values: dict[str, Any] = {"environment": self.layout.environment}
        problems = list(self._problems_at_top())
        for part in parts:
            values |= part.values
            found = [
                *([] if self._is_top(part) else unknown_names(part.values, declared.all | set(stack.own))),
                *unknown_attributes(part.values, declared),
            ]
            problems += [(part.path, part.place(problem)) for problem in found]
        problems += [(self.path(stack), problem) for problem in self._common_problems(values)]
        return values, _error_of(problems)

    def read_any(self) -> dict[str, Any]:
        """The settings of the first stack whose settings are valid, for what all stacks have in common."""
        first_error: InvalidSettingsError | None = None
        for stack in STACKS.values():
            if not self.files.paths(stack):
                continue
            try:
                return self.read(stack)
            except InvalidSettingsError as error:
                first_error = first_error or error
        raise first_error or InvalidSettingsError(
            f"There are no settings for {self.layout.environment} yet.", remedy=self._start_from_example()
        )

    def declared(self, stack: Stack) -> Declarations:
        """The variables of a stack."""
        return read_declarations(self.layout.directory(stack))

    def check_agreement(self, stack: Stack, values: Mapping[str, Any]) -> None:
        """Raise `InvalidSettingsError` when another stack has different common settings."""
        for other in STACKS.values():
            if other.name == stack.name or not self.files.hold(other):
                continue
            try:
                parts = self.files.parts(other)
            except InvalidSettingsError:
                continue  # the command of that stack reports it
            theirs = {"environment": self.layout.environment}
            for part in parts:
                theirs |= part.values
            different = [key for key in IDENTITY if values.get(key) != theirs.get(key)]
            if different:
                raise InvalidSettingsError(
                    f"{self.path(stack)} and {self.path(other)} disagree:",
                    details=[f"{key}: {values.get(key)!r} and {theirs.get(key)!r}" for key in different],
                    remedy="Both belong to one installation: use the same values.",
                )

    def check_complete(self, stack: Stack, declared: Declarations, *given: Mapping[str, Any]) -> None:
        """Raise an error that names every required variable that is not given."""
        self.require_outputs(stack, declared.required.difference(*given))
        prefix = f"{stack.name}." if stack.name in SECTIONS and self.files.whole() else ""
        missing = missing_names(declared.required, *given)
        error = _error_of([(self.path(stack), f"{prefix}{problem}") for problem in missing])
        if error is not None:
            raise error

    def require_outputs(self, stack: Stack, missing: Iterable[str]) -> None:
        """Raise `NotReadyError` when an earlier stack should have an output of a missing name."""
        for name in (*stack.needs, *stack.uses):
            absent = sorted(declared_outputs(self.layout.directory(STACKS[name])) & set(missing))
            if absent:
                raise NotReadyError(
                    f"{stack.command} needs {', '.join(absent)} of the {name} stack, which does not have it.",
                    remedy=f"Run {STACKS[name].command} again: its last run failed, or was an older version.",
                )

    def _is_top(self, part: Part) -> bool:
        return not part.section and part.path in self.files.whole()

    def _problems_at_top(self) -> Iterator[tuple[Path, str]]:
        """Names at the top of a file that mean nothing there. A section with such a name would be lost."""
        gateway = self.declared(GATEWAY)
        known = {*COMMON, *SECTIONS, *gateway.all, *GATEWAY.own}
        for path, names in self.files.names():
            for name in sorted(set(names) - known):
                owners = [section for section in SECTIONS if name in self.declared(STACKS[section]).all]
                if owners:
                    yield path, f"{name} belongs into a section: {owners[0]} = {{ {name} = … }}."
                else:
                    yield from ((path, problem) for problem in unknown_names([name], known))

    def _refuse_automatic_files(self, stack: Stack) -> None:
        """Terraform would load these files in every environment, unchecked."""
        directory = self.layout.directory(stack)
        patterns = ("terraform.tfvars", "terraform.tfvars.json", "*.auto.tfvars", "*.auto.tfvars.json")
        automatic = sorted(path for pattern in patterns for path in directory.glob(pattern))
        if automatic:
            raise InvalidSettingsError(
                "Terraform loads these files by itself and would keep their secrets in its plans:",
                details=[str(path) for path in automatic],
                remedy=f"Move their settings into {self.layout.settings} and remove them.",
            )

    def _common_problems(self, values: Mapping[str, Any]) -> Iterator[str]:
        for key in IDENTITY:
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

    def _start_from_example(self) -> str:
        return f"Make it from the example: aoai-gateway deploy init {self.layout.environment}"


def _error_of(problems: Sequence[tuple[Path, str]]) -> InvalidSettingsError | None:
    """One error for all problems, if there are any. Its first line names their file, when it is one."""
    if not problems:
        return None
    paths = {path for path, _ in problems}
    if len(paths) == 1:
        message, details = f"{paths.pop()} cannot be used:", [problem for _, problem in problems]
    else:
        message, details = "The settings cannot be used:", [f"{path}: {text}" for path, text in problems]
    return InvalidSettingsError(message, details=details, remedy=_SEE_EXAMPLE)
