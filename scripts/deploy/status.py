"""Shows what is deployed, stack by stack, and how the gateway does."""

from __future__ import annotations

from typing import Any

from scripts.deploy.errors import DeployError
from scripts.deploy.layout import STACKS, Stack
from scripts.deploy.session import Session
from scripts.terraform import TerraformError


def overview(session: Session) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Facts about the gateway, and a row for each stack."""
    has_storage = session.has_storage()
    rows = [_row(session, stack, has_storage=has_storage) for stack in STACKS.values()]
    return (_gateway(session) if has_storage else {}), rows


def _row(session: Session, stack: Stack, *, has_storage: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"stack": stack.name, "settings": session.layout.tfvars(stack).exists()}
    try:
        outputs = session.outputs(stack) if has_storage else {}
    except (DeployError, TerraformError) as error:
        reason = error.diagnostics[0] if isinstance(error, TerraformError) else error.message
        return row | {"state": f"unreadable: {reason.splitlines()[0]}", "next": stack.command}
    return row | {
        "state": "deployed" if outputs else "not deployed",
        "next": "" if outputs else stack.command,
    }


def _gateway(session: Session) -> dict[str, Any]:
    """Address and revision; empty while there is no gateway."""
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
