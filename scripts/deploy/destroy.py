"""Destroys stacks in the reverse order of their deployment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.deploy.bootstrap import BOOTSTRAP, clean_up, forget_disk, is_on_disk, keep_on_disk, move_to_disk
from scripts.deploy.deploy_errors import DeployError
from scripts.deploy.deployment import (
    Mode,
    explained,
    inputs_from_upstream,
    temporary_directory,
    variable_file,
)
from scripts.deploy.layout import STACKS, Stack
from scripts.deploy.session import Session
from scripts.deploy.value_check import stand_ins
from scripts.terraform import Plan, Terraform


@dataclass(frozen=True, slots=True)
class Destroyed:
    """A stack, how many resources it had, and the result: absent, kept, destroyed, would be destroyed."""

    stack: str
    resources: int
    result: str


def destroy(session: Session, names: Sequence[str], mode: Mode) -> list[Destroyed]:
    """Destroy stacks, each before those that it needs."""
    wanted = [stack for stack in reversed(STACKS.values()) if stack.name in names]
    clean_up(session)
    if not session.has_storage():
        # The only state that can exist is the bootstrap stack's, on disk after an interrupted run.
        left = [stack for stack in wanted if stack is BOOTSTRAP and is_on_disk(session)]
        gone = [Destroyed(stack.name, 0, "absent") for stack in wanted if stack not in left]
        return gone + [_destroy_one(session, stack, mode) for stack in left]
    _refuse_orphans(session, wanted)
    rows: list[Destroyed] = []
    for stack in wanted:
        rows.append(_destroy_one(session, stack, mode))
        if rows[-1].result == "kept":  # it still needs the stacks before it
            break
    return rows


def _refuse_orphans(session: Session, wanted: Sequence[Stack]) -> None:
    """Raise `DeployError` when a stack that stays needs one that is to go."""
    going = {stack.name for stack in wanted}
    for other in STACKS.values():
        needed = going & {*other.needs, *other.uses}
        if other.name not in going and needed and session.has_resources(other):
            raise DeployError(
                f"The {other.name} stack is still deployed and needs {', '.join(sorted(needed))}.",
                remedy=f"Destroy {other.name} first, or everything: aoai-gateway destroy all.",
            )


def _destroy_one(session: Session, stack: Stack, mode: Mode) -> Destroyed:
    terraform = session.terraform(stack)
    with explained(session, stack), session.screen.step(f"{stack.name} ({session.layout.environment})"):
        if stack is BOOTSTRAP:
            return _destroy_bootstrap(session, terraform, mode)
        session.init(terraform, session.store.backend_config(stack))
        return _plan_and_destroy(session, stack, terraform, mode)


def _destroy_bootstrap(session: Session, terraform: Terraform, mode: Mode) -> Destroyed:
    """Keep the state on disk meanwhile, because its storage is being destroyed."""
    if mode is Mode.PLAN and not is_on_disk(session):
        session.init(terraform, session.store.backend_config(BOOTSTRAP))
        return _plan_and_destroy(session, BOOTSTRAP, terraform, mode)
    if mode is not Mode.PLAN and not _confirmed(session, BOOTSTRAP, mode):
        session.screen.warn("nothing was destroyed")
        return Destroyed(BOOTSTRAP.name, 0, "kept")
    if not is_on_disk(session):
        move_to_disk(session, terraform)
    with keep_on_disk(session):
        session.init(terraform, {})
        destroyed = _plan_and_destroy(session, BOOTSTRAP, terraform, mode if mode is Mode.PLAN else Mode.YES)
    if mode is not Mode.PLAN:
        forget_disk(session)
    return destroyed


def _plan_and_destroy(session: Session, stack: Stack, terraform: Terraform, mode: Mode) -> Destroyed:
    count = len(terraform.resources())
    if count == 0:
        session.screen.done("nothing is deployed")
        return Destroyed(stack.name, 0, "absent")
    with temporary_directory(session) as directory:
        with variable_file(directory, _variables(session, stack)) as path:
            plan = terraform.plan(directory / "plan", [path], destroy=True)
        session.screen.changes(plan.changes)
        return Destroyed(stack.name, count, _carry_out(session, stack, terraform, plan, mode))


def _carry_out(session: Session, stack: Stack, terraform: Terraform, plan: Plan, mode: Mode) -> str:
    if mode is Mode.PLAN:
        return "would be destroyed"
    if not _confirmed(session, stack, mode):
        session.screen.warn("nothing was destroyed")
        return "kept"
    session.forget(stack)
    terraform.apply(plan)
    return "destroyed"


def _confirmed(session: Session, stack: Stack, mode: Mode) -> bool:
    """Whether the operator types the environment's name; a mere yes is typed too quickly."""
    environment = session.layout.environment
    question = f"Destroy {stack.name} of {environment}, with all that is in it?"
    return mode is Mode.YES or session.screen.confirm_by_typing(question, environment)


def _variables(session: Session, stack: Stack) -> dict[str, object]:
    """Variables for the plan; those that only a deployment computes get a stand-in."""
    settings = session.settings.read(stack)
    declared = session.settings.declared(stack)
    known = {name: value for name, value in settings.items() if name not in stack.own}
    known |= inputs_from_upstream(declared, known, session.upstream(stack))
    return {**stand_ins(session, stack, {**settings, **known}), **known}
