"""Remembers that a run did not end well while it applied, so that the next one takes over what it left.

The provider puts some resources into the state only some time after Azure has made them, a role assignment
for example. When a run is stopped in between, no state knows them, and the next run would refuse them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.deploy.explanations import exists_already
from scripts.deploy.layout import Stack
from scripts.deploy.session import Session
from scripts.terraform import StalePlanError, StateLockedError, TerraformError

SETTING = "adopt_existing"
"""The variable of a stack that lets the provider take over what exists."""


def with_adoption(session: Session, stack: Stack, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables for the plan; after a run that did not end well with the one that lets it take over."""
    adopts = _marker(session, stack).exists() and SETTING in session.settings.declared(stack).all
    if adopts and SETTING not in variables:
        session.screen.say("  the last run did not end well: what it left in Azure is taken over")
        return {**variables, SETTING: True}
    return dict(variables)


@contextmanager
def unfinished_until_done(session: Session, stack: Stack) -> Iterator[None]:
    """Around an apply: until it is done, also for ever when it is killed, the stack is unfinished."""
    marker = _marker(session, stack)
    is_first = not marker.exists()
    session.layout.private(marker.parent)
    marker.touch()
    try:
        yield
    except TerraformError as error:
        began = not isinstance(error, StalePlanError | StateLockedError)
        # What was there before the first run: whose that is, only the operator knows.
        if is_first and (exists_already(error) or not began):
            marker.unlink()
        raise
    forget_unfinished(session, stack)


def forget_unfinished(session: Session, stack: Stack) -> None:
    """Call this when a stack lacks nothing any more."""
    _marker(session, stack).unlink(missing_ok=True)


def _marker(session: Session, stack: Stack) -> Path:
    return session.layout.data(stack) / "unfinished"
