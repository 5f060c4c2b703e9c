"""Makes the storage of the Terraform state, and keeps that stack's own state in it too.

The first run has nowhere to put its state: it starts on disk and moves into the storage it has made. A run
that was stopped in between finds the state on disk and goes on there. Destroying goes the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.deploy.deploy_errors import DeployError
from scripts.deploy.deployment import Ended, Mode, Outcome, deploy, explained, plan_and_apply
from scripts.deploy.layout import STACKS
from scripts.deploy.session import Session
from scripts.terraform.runner import Terraform

BOOTSTRAP = STACKS["bootstrap"]


def deploy_bootstrap(session: Session, mode: Mode) -> Outcome:
    """Make or update the state storage."""
    clean_up(session)
    if not is_on_disk(session) and session.has_storage():
        return deploy(session, BOOTSTRAP, mode)
    settings = session.settings(BOOTSTRAP)
    session.check_agreement(BOOTSTRAP, settings)
    session.check_complete(BOOTSTRAP, session.declared(BOOTSTRAP), settings)
    title = f"bootstrap ({session.layout.environment}), state on disk until its storage exists"
    with explained(session, BOOTSTRAP), session.screen.step(title):
        outcome = _apply_on_disk(session, mode, settings)
    if mode is Mode.PLAN or outcome.ended is Ended.DECLINED:
        return outcome
    with explained(session, BOOTSTRAP), session.screen.step("moving the state into its storage"):
        _move_to_store(session, session.terraform(BOOTSTRAP))
    return Outcome(Ended.APPLIED, outcome.outputs)


def clean_up(session: Session) -> None:
    """Remove what a run that was killed has left: it would send the state to the disk for ever."""
    _override(session).unlink(missing_ok=True)


def is_on_disk(session: Session) -> bool:
    """Whether a run was stopped while the stack's state was out of its storage.

    A first run that could not make anything leaves one too: it says nothing of what others have made since.
    """
    path = _on_disk(session)
    if not path.exists():
        return False
    try:
        resources = json.loads(path.read_text(encoding="utf-8"))["resources"]
        return any(item["mode"] == "managed" and item["instances"] for item in resources)
    except (ValueError, KeyError, TypeError):
        return True  # for Terraform to complain about


def move_to_disk(session: Session, terraform: Terraform) -> None:
    """Take the state out of the storage that is about to be destroyed."""
    session.init(terraform, session.store.backend_config(BOOTSTRAP))
    with keep_on_disk(session):
        session.init(terraform, {}, migrate_state=True)


def forget_disk(session: Session) -> None:
    """Remove the state on disk once there is nothing in it."""
    for path in _on_disk(session).parent.glob(f"{_on_disk(session).name}*"):
        path.unlink()


@contextmanager
def keep_on_disk(session: Session) -> Iterator[None]:
    """Let the stack's state be a file for a while, whatever its configuration says."""
    override = _override(session)
    path = _on_disk(session)
    session.layout.private(path.parent)
    override.write_text(
        f'terraform {{\n  backend "local" {{\n    path = "{path.as_posix()}"\n  }}\n}}\n', encoding="utf-8"
    )
    try:
        yield
    finally:
        override.unlink(missing_ok=True)


def _override(session: Session) -> Path:
    return session.layout.directory(BOOTSTRAP) / "backend_override.tf"


def _on_disk(session: Session) -> Path:
    return session.layout.working / "bootstrap.tfstate"


def _apply_on_disk(session: Session, mode: Mode, settings: Mapping[str, Any]) -> Outcome:
    terraform = session.terraform(BOOTSTRAP)
    with keep_on_disk(session):
        session.init(terraform, {})
        return plan_and_apply(session, terraform, mode, settings)


def _move_to_store(session: Session, terraform: Terraform) -> None:
    session.init(terraform, session.store.backend_config(BOOTSTRAP), migrate_state=True)
    session.forget(BOOTSTRAP)
    if not session.outputs(BOOTSTRAP):
        raise DeployError(
            "The state did not arrive in its storage.",
            remedy=f"It is still in {_on_disk(session)}: run deploy-bootstrap again.",
        )
    forget_disk(session)
