"""Shows which stacks are deployed, and whether the gateway runs."""

from __future__ import annotations

from typing import Any

from scripts.deploy.deploy_errors import DeployError
from scripts.deploy.explanations import explain
from scripts.deploy.layout import STACKS, Stack
from scripts.deploy.session import Session
from scripts.terraform import TerraformError


def overview(session: Session) -> tuple[dict[str, Any], list[dict[str, Any]], DeployError | None]:
    """Facts about the gateway, a row for each stack, and the error of the first state that is unreadable."""
    if not session.has_storage():
        return {}, [_row(session, name, "not deployed") for name in STACKS], None
    states = session.at_once(lambda name: _state(session, STACKS[name]), list(STACKS))
    rows = [
        _row(session, name, "unreadable" if isinstance(state, DeployError) else state)
        for name, state in zip(STACKS, states, strict=True)
    ]
    failures = (state for state in states if isinstance(state, DeployError))
    return _gateway(session), rows, next(failures, None)


def _row(session: Session, name: str, state: str) -> dict[str, Any]:
    stack = STACKS[name]
    settings = session.settings.files.hold(stack)
    return {"stack": name, "settings": settings} | {
        "state": state,
        "next": stack.command if state in {"incomplete", "not deployed"} else "",
    }


def _state(session: Session, stack: Stack) -> str | DeployError:
    """The state of a stack. Outputs appear when a run succeeds, resources as soon as one begins."""
    try:
        if session.outputs(stack):
            return "deployed"
        return "incomplete" if session.has_resources(stack) else "not deployed"
    except DeployError as error:
        return error
    except TerraformError as error:
        return explain(error, f"{stack.name} stack", session.by_hand(stack))


def _gateway(session: Session) -> dict[str, Any]:
    """Address, revision and health; empty while there is no gateway."""
    try:
        outputs = session.outputs(STACKS["workload"])
    except TerraformError:
        return {}
    if "gateway_app_name" not in outputs:
        return {}
    values = {name: output.value for name, output in outputs.items() if not output.sensitive}
    facts = {"url": values.get("gateway_url"), "revision": values.get("latest_revision_name")}
    try:
        revision = session.az.revision(
            values["workload_resource_group_name"], values["gateway_app_name"], values["latest_revision_name"]
        )
    except DeployError as error:
        return facts | {"health": error.message}
    return facts | {"health": revision.running_state, "replicas": revision.replicas}
