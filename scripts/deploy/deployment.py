"""Plans and applies one stack: the same few steps whichever it is."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from scripts.deploy.console import Screen, counted
from scripts.deploy.deploy_errors import ExitCode, InvalidSettingsError
from scripts.deploy.layout import Stack
from scripts.deploy.session import Session, explain
from scripts.deploy.tfvars import Declarations
from scripts.terraform.runner import Output, Plan, Terraform, TerraformError, TerraformMissingError


class Mode(Enum):
    """How far a command goes."""

    PLAN = auto()  # show what would be done
    ASK = auto()  # show it, then do it when the operator agrees
    YES = auto()  # do it


class Ended(Enum):
    """How a run ended."""

    UNCHANGED = auto()
    PLANNED = auto()
    APPLIED = auto()
    DECLINED = auto()

    @property
    def exit_code(self) -> ExitCode:
        """The command's exit code."""
        return {Ended.PLANNED: ExitCode.CHANGES, Ended.DECLINED: ExitCode.FAILED}.get(self, ExitCode.DONE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stack: how the run ended and the outputs that are in force."""

    ended: Ended
    outputs: Mapping[str, Output] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Outputs that may be shown."""
        return {name: output.value for name, output in sorted(self.outputs.items()) if not output.sensitive}


def inputs_from_upstream(
    declared: Declarations, given: Mapping[str, Any], upstream: Mapping[str, Output]
) -> dict[str, Any]:
    """Outputs of earlier stacks that this one has a variable for and the user has not set.

    A sensitive output is never among them: as a variable it would be kept in the saved plan.
    """
    return {
        name: output.value
        for name, output in upstream.items()
        if name in declared.all and name not in given and not output.sensitive
    }


def deploy(
    session: Session,
    stack: Stack,
    mode: Mode,
    extra: Mapping[str, Any] | None = None,
    *,
    replaced: tuple[str, ...] = (),
) -> Outcome:
    """Bring a stack into line with its settings.

    `extra` are variables that the command computed itself; `replaced` are settings of the user that are in
    them already.
    """
    settings = session.settings(stack)
    session.check_agreement(stack, settings)
    declared = session.declared(stack)
    upstream = session.upstream(stack)
    given = {name: value for name, value in settings.items() if name not in {*stack.own, *replaced}}
    found = inputs_from_upstream(declared, given, upstream) | dict(extra or {})
    session.check_complete(stack, declared, given, found)
    terraform = session.terraform(stack)
    with explained(session, stack), session.screen.step(f"{stack.name} ({session.layout.environment})"):
        session.init(terraform, session.store.backend_config(stack))
        session.forget(stack)
        return plan_and_apply(session, terraform, mode, {**given, **found})


def plan_and_apply(
    session: Session, terraform: Terraform, mode: Mode, variables: Mapping[str, Any]
) -> Outcome:
    """Plan, show, ask if need be, and apply exactly the plan that was shown."""
    with temporary_directory(session) as directory, variable_file(directory, variables) as path:
        plan = terraform.plan(directory / "plan", [path])
        if not plan.has_changes:
            session.screen.done("no changes")
            return Outcome(Ended.UNCHANGED, terraform.outputs())
        session.screen.changes(plan.changes)
        if mode is Mode.PLAN:
            session.screen.say(terraform.show(plan))
            return Outcome(Ended.PLANNED, terraform.outputs())
        if not agreed(session.screen, mode, plan):
            session.screen.warn("the plan was not applied")
            return Outcome(Ended.DECLINED, terraform.outputs())
        terraform.apply(plan)
        return Outcome(Ended.APPLIED, terraform.outputs())


def agreed(screen: Screen, mode: Mode, plan: Plan) -> bool:
    """Whether a plan may be applied."""
    return mode is Mode.YES or screen.confirm(f"Apply {counted(plan.changes, 'change')}?")


def require_an_answer(screen: Screen, mode: Mode) -> None:
    """Complain before any work when nobody could answer the question that will come."""
    if mode is Mode.ASK and not screen.is_interactive():
        raise InvalidSettingsError(
            "There is no terminal to ask for a confirmation.",
            remedy="Add --yes to go ahead without a question, or --plan to look only.",
        )


@contextmanager
def temporary_directory(session: Session) -> Iterator[Path]:
    """A directory for plans and variables that is gone afterwards, however this ends."""
    working = session.layout.private(session.layout.working)
    with tempfile.TemporaryDirectory(dir=working, prefix="run-") as name:
        yield Path(name)


@contextmanager
def variable_file(directory: Path, variables: Mapping[str, Any]) -> Iterator[Path]:
    """The variables as a file for Terraform, readable by its owner only."""
    path = directory / "variables.tfvars.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(variables, file, sort_keys=True)
    yield path


@contextmanager
def explained(session: Session, stack: Stack) -> Iterator[None]:
    """Turn what Terraform reports into what the operator can act on."""
    try:
        yield
    except (TerraformError, TerraformMissingError) as error:
        raise explain(error, f"{stack.name} stack", session.by_hand(stack)) from None
