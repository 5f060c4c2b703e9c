"""Makes the storage of the Terraform state. The state of this stack moves into that storage too.

Before the first run there is no storage, so the state starts on disk and moves once the storage exists. After
an interrupted run the next one finds the state on disk and goes on from there. Destroying does the reverse.
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
from scripts.terraform import Terraform

BOOTSTRAP = STACKS["bootstrap"]


def deploy_bootstrap(session: Session, mode: Mode) -> Outcome:
    """Make or update the state storage."""
    clean_up(session)
    if not is_on_disk(session) and session.has_storage():
        return deploy(session, BOOTSTRAP, mode)
    settings = session.settings.read(BOOTSTRAP)
    session.settings.check_agreement(BOOTSTRAP, settings)
    session.settings.check_complete(BOOTSTRAP, session.settings.declared(BOOTSTRAP), settings)
    title = f"bootstrap ({session.layout.environment}), state on disk until its storage exists"
    with explained(session, BOOTSTRAP), session.screen.step(title):
        outcome = _apply_on_disk(session, mode, settings)
    if not mode.applies or outcome.ended is Ended.DECLINED:
        return outcome
    with explained(session, BOOTSTRAP), session.screen.step("moving the state into its storage"):
        _move_to_store(session, session.terraform(BOOTSTRAP))
    return Outcome(Ended.APPLIED, outcome.outputs)


def clean_up(session: Session) -> None:
    """Remove the override of a killed run: it would keep the state on disk for ever."""
    _override(session).unlink(missing_ok=True)


def is_on_disk(session: Session) -> bool:
    """Whether a run was stopped while the state was on disk, and that state has resources.

    A state without resources comes from a first run that made nothing. Another machine may have deployed the
    stack since.
    """
    path = _on_disk(session)
    if not path.exists():
        return False
    try:
        resources = json.loads(path.read_text(encoding="utf-8"))["resources"]
        return any(item["mode"] == "managed" and item["instances"] for item in resources)
    except (ValueError, KeyError, TypeError):
        return True  # Terraform reports what is wrong with it


def move_to_disk(session: Session, terraform: Terraform) -> None:
    """Move the state out of the storage, which is about to be destroyed."""
    session.init(terraform, session.store.backend_config(BOOTSTRAP))
    with keep_on_disk(session):
        session.init(terraform, {}, migrate_state=True)


def forget_disk(session: Session) -> None:
    """Remove the state on disk. Call this when it has no more resources or is in its storage."""
    for path in _on_disk(session).parent.glob(f"{_on_disk(session).name}*"):
        path.unlink()


@contextmanager
def keep_on_disk(session: Session) -> Iterator[None]:
    """Keep the stack's state in a file for a while, against its own configuration."""
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
        return plan_and_apply(session, BOOTSTRAP, terraform, mode, settings)


def _move_to_store(session: Session, terraform: Terraform) -> None:
    session.init(terraform, session.store.backend_config(BOOTSTRAP), migrate_state=True)
    session.forget(BOOTSTRAP)
    if not session.outputs(BOOTSTRAP):
        raise DeployError(
            "The state did not arrive in its storage.",
            remedy=f"It is still in {_on_disk(session)}: run deploy-bootstrap again.",
        )
    forget_disk(session)
