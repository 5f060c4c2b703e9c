"""Plans and applies one stack. The steps are the same for every stack."""

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
from scripts.deploy.declarations import Declarations
from scripts.deploy.deploy_errors import ExitCode
from scripts.deploy.explanations import explain
from scripts.deploy.layout import Stack
from scripts.deploy.session import Session
from scripts.deploy.unfinished import forget_unfinished, unfinished_until_done, with_adoption
from scripts.terraform import Output, Plan, Terraform, TerraformError, TerraformMissingError


class Mode(Enum):
    """How far a command goes."""

    LOOK = auto()  # show a line for each change
    PLAN = auto()  # show the whole plan
    ASK = auto()  # show the changes, and apply them when the operator agrees
    AGREED = auto()  # the operator has agreed already: ask again only before something is deleted or replaced
    YES = auto()  # show the changes and apply them

    @property
    def applies(self) -> bool:
        """Whether anything may be changed."""
        return self not in {Mode.LOOK, Mode.PLAN}


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
    """How a run ended, and the outputs of the stack after it."""

    ended: Ended
    outputs: Mapping[str, Output] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Outputs that may be shown."""
        return {name: output.value for name, output in sorted(self.outputs.items()) if not output.sensitive}


def inputs_from_upstream(
    declared: Declarations, given: Mapping[str, Any], upstream: Mapping[str, Output]
) -> dict[str, Any]:
    """Outputs of earlier stacks for the variables of the same name that the user has not set.

    With a variable `key_vault_uri` that is not in `given`, an output `key_vault_uri` becomes its value. A
    sensitive output never does: the saved plan would contain it.
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
    """Plan a stack with its settings, and apply the plan.

    `extra` are variables that the command computed. `replaced` are settings of the user that `extra` contains
    already.
    """
    settings = session.settings.read(stack)
    session.settings.check_agreement(stack, settings)
    declared = session.settings.declared(stack)
    upstream = session.upstream(stack)
    given = {name: value for name, value in settings.items() if name not in {*stack.own, *replaced}}
    found = inputs_from_upstream(declared, given, upstream) | dict(extra or {})
    session.settings.check_complete(stack, declared, given, found)
    terraform = session.terraform(stack)
    with explained(session, stack), session.screen.step(f"{stack.name} ({session.layout.environment})"):
        session.init(terraform, session.store.backend_config(stack))
        session.forget(stack)
        return plan_and_apply(session, stack, terraform, mode, {**given, **found})


def plan_and_apply(
    session: Session, stack: Stack, terraform: Terraform, mode: Mode, variables: Mapping[str, Any]
) -> Outcome:
    """Plan, show, ask if the mode says so, and apply exactly the plan that was shown."""
    given = with_adoption(session, stack, variables)
    with temporary_directory(session) as directory, variable_file(directory, given) as path:
        plan = terraform.plan(directory / "plan", [path])
        if not plan.has_changes:
            session.screen.done("no changes")
            forget_unfinished(session, stack)
            return Outcome(Ended.UNCHANGED, terraform.outputs())
        session.screen.changes(plan.changes)
        if mode is Mode.PLAN:
            session.screen.say(terraform.show(plan))
        if not mode.applies:
            return Outcome(Ended.PLANNED, terraform.outputs())
        if not agreed(session.screen, mode, plan):
            session.screen.warn("the plan was not applied")
            return Outcome(Ended.DECLINED, terraform.outputs())
        with unfinished_until_done(session, stack):
            terraform.apply(plan)
        return Outcome(Ended.APPLIED, terraform.outputs())


def agreed(screen: Screen, mode: Mode, plan: Plan) -> bool:
    """Whether a plan may be applied."""
    is_harmless = all(change.action in _HARMLESS for change in plan.changes)
    if mode is Mode.YES or (mode is Mode.AGREED and is_harmless):
        return True
    return screen.confirm(f"Apply {counted(plan.changes, 'change')}?")


_HARMLESS = {"create", "update", "read"}


@contextmanager
def temporary_directory(session: Session) -> Iterator[Path]:
    """A directory for plans and variables. It is removed at the end, also after an error."""
    working = session.layout.private(session.layout.working)
    with tempfile.TemporaryDirectory(dir=working, prefix="run-") as name:
        yield Path(name)


@contextmanager
def variable_file(directory: Path, variables: Mapping[str, Any]) -> Iterator[Path]:
    """The variables as a file for Terraform that only its owner can read."""
    path = directory / "variables.tfvars.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(variables, file, sort_keys=True)
    yield path


@contextmanager
def explained(session: Session, stack: Stack) -> Iterator[None]:
    """Turn an error of Terraform into one that tells the operator what to do."""
    try:
        yield
    except (TerraformError, TerraformMissingError) as error:
        raise explain(error, f"{stack.name} stack", session.by_hand(stack)) from None
