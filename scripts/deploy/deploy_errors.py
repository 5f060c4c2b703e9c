"""What can stop a deployment, as the operator reads it, and the exit codes that scripts rely on."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every deploy command."""

    DONE = 0
    FAILED = 1
    INVALID = 2  # settings or options
    KEY_VAULT = 3
    NOT_READY = 4  # an earlier stack, a tool or a login is missing
    LOCKED = 5
    CHANGES = 10  # `--plan` found something to do
    INTERRUPTED = 130


class DeployError(Exception):
    """A deployment cannot go on: what is wrong, each point on its own line, and what to do about it."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, details: Sequence[str] = (), remedy: str = "") -> None:
        self.message = message
        self.details = list(details)
        self.remedy = remedy
        super().__init__("\n".join([message, *self.details, *([remedy] if remedy else [])]))


class InvalidSettingsError(DeployError):
    """The user's settings or options cannot be used. Nothing has been touched."""

    exit_code = ExitCode.INVALID


class VaultError(DeployError):
    """Key Vault did not take or give the secrets."""

    exit_code = ExitCode.KEY_VAULT


class NotReadyError(DeployError):
    """Something has to be there first: an earlier stack, a tool, a login."""

    exit_code = ExitCode.NOT_READY


class LockedError(DeployError):
    """Somebody else is changing the same stack."""

    exit_code = ExitCode.LOCKED


class InterruptedDeploymentError(DeployError):
    """Stopped on request, with the state saved and unlocked."""

    exit_code = ExitCode.INTERRUPTED
