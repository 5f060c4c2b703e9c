"""Waits until a revision of the Container App serves, or says why it does not."""

from __future__ import annotations

from scripts.deploy.azure_cli import AzureCli, Revision
from scripts.deploy.deploy_errors import DeployError
from scripts.deploy.waiting import Waiter

_PATIENCE_SECONDS = 600.0
_READY = {"Running", "RunningAtMaxScale", "ScaledToZero"}
_FAILED = {"Failed", "ActivationFailed"}  # "Degraded" may pass: some replica is not ready yet


def wait_for_revision(az: AzureCli, group: str, app: str, name: str, waiter: Waiter) -> Revision:
    """Wait for a revision to run. Raises `DeployError` when it fails or takes longer than ten minutes."""
    deadline = waiter.deadline(_PATIENCE_SECONDS)
    while True:
        revision = az.revision(group, app, name)
        if revision.running_state in _READY and revision.health_state != "Unhealthy":
            return revision
        failed = revision.provisioning_state == "Failed" or revision.running_state in _FAILED
        reason = revision.running_state or revision.provisioning_state or "not started"
        if failed or not deadline.pause(f"{name} is {reason}", 5):
            raise DeployError(
                f"Revision {name} does not run: {reason}.",
                details=[revision.provisioning_error] if revision.provisioning_error else [],
                # `az` has no logs of init containers, and one of those checks the settings.
                remedy="The one before it goes on serving. What Azure says: az containerapp logs show "
                f"-g {group} -n {app} --type system. What config-renderer and gateway say, in the Log "
                f"Analytics workspace: ContainerAppConsoleLogs | where RevisionName == '{name}'",
            )
