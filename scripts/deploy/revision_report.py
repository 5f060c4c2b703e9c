"""Why a revision of the gateway does not run: its state, and what its containers printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from scripts.deploy.azure_cli import AzureCli, AzureCliError, Container, Revision
from scripts.deploy.deploy_errors import DeployError, ExitCode
from scripts.deploy.state_store import group_name

_LINES = 30
_TIMEOUT_SECONDS = 15.0
FAILED_STATES = frozenset({"Failed", "ActivationFailed"})  # "Degraded" passes when another replica is ready


@dataclass(frozen=True, slots=True)
class App:
    """The gateway's app, and the id of the workspace that gets its logs."""

    group: str
    name: str
    workspace_id: str

    @classmethod
    def of(cls, values: Mapping[str, Any], workspace_id: str) -> App:
        """The app that the workload stack makes of these settings, deployed or not."""
        name = f"ca-{values['name']}-{values['environment']}"
        return cls(group_name(values, "workload"), name, workspace_id)


def report(az: AzureCli, app: App, name: str, revision: Revision) -> DeployError:
    """The error for a revision that does not run."""
    reason = revision.running_state or revision.provisioning_state or "not started"
    return DeployError(
        f"Revision {name} does not run: {reason}.",
        details=[
            *([revision.provisioning_error] if revision.provisioning_error else []),
            *_logs(az, app, name),
        ],
        remedy=_where_there_is_more(app, name),
    )


def with_report(az: AzureCli, app: App, error: DeployError) -> DeployError:
    """A failure of Terraform with the reason, if it is that Terraform waited in vain for the app's revision.

    Terraform says no more than `Failed to provision revision`, or `Operation expired` after half an hour.
    """
    told = "\n".join(error.details)
    if error.exit_code is not ExitCode.FAILED or "container_app" not in told:
        return error
    try:
        name = az.latest_revision(app.group, app.name)
        revision = az.revision(app.group, app.name, name) if name else None
    except AzureCliError:
        return error  # there is no such app yet, or Azure does not say
    if name is None or revision is None or not (has_failed(revision) or revision.health_state == "Unhealthy"):
        return error
    found = report(az, app, name, revision)
    return DeployError(
        error.message, details=[*error.details, found.message, *found.details], remedy=found.remedy
    )


def has_failed(revision: Revision) -> bool:
    """Whether waiting for the revision is in vain."""
    return revision.provisioning_state == "Failed" or revision.running_state in FAILED_STATES


def _logs(az: AzureCli, app: App, name: str) -> Iterator[str]:
    """The containers of the first replica that do not run, each with its state and last lines."""
    try:
        containers = [item for item in az.containers(app.group, app.name, name) if item.state != "Running"]
        token = az.log_token(app.group, app.name) if containers else ""
    except AzureCliError as error:
        yield f"Azure does not show the containers: {' '.join(error.details[-1:])}"
        return
    if not containers:
        yield "Azure shows no container of it (any more)."
    for item in containers:
        yield ", ".join(filter(None, [f"{item.name}: {item.state or 'not started'}", item.detail]))
        yield from (f"  {line}" for line in _lines(item, token))


def _lines(container: Container, token: str) -> list[str]:
    """The last lines that a container printed; none when Azure does not have them (any more)."""
    # `az containerapp logs show` refuses init containers, and config-renderer is one.
    if not container.log_url.startswith("https://"):
        return []
    try:
        answer = httpx.get(
            container.log_url,
            params={"follow": "false", "tailLines": str(_LINES), "output": "text"},
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_SECONDS,
        )
    except httpx.HTTPError:
        return []
    return answer.text.splitlines()[-_LINES:] if answer.is_success else []


def _where_there_is_more(app: App, name: str) -> str:
    query = f"ContainerAppConsoleLogs | where RevisionName == '{name}' | project ContainerName, Log"
    workspace = f"az monitor log-analytics workspace show --ids {app.workspace_id} --query customerId -o tsv"
    return (
        "If there was a revision before it, that one goes on serving. Correct the cause and run the command "
        f"again. What the system did: az containerapp logs show -g {app.group} -n {app.name} --type system. "
        "What all containers printed, some minutes later: az monitor log-analytics query "
        f'--workspace "$({workspace})" --analytics-query "{query}"'
    )
