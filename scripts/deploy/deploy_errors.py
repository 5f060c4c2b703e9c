"""The errors that stop a deploy command, as the operator reads them, and its exit codes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every deploy command. Scripts rely on them."""

    DONE = 0
    FAILED = 1
    INVALID = 2  # settings or options
    KEY_VAULT = 3
    NOT_READY = 4  # an earlier stack, a tool or a login is missing
    LOCKED = 5
    CHANGES = 10  # `--plan` found something to do
    INTERRUPTED = 130


class DeployError(Exception):
    """A command cannot go on: what is wrong, one detail on each line, and what to do about it."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, details: Sequence[str] = (), remedy: str = "") -> None:
        self.message = message
        self.details = list(details)
        self.remedy = remedy
        super().__init__("\n".join([message, *self.details, *([remedy] if remedy else [])]))


class InvalidSettingsError(DeployError):
    """The user's settings or options cannot be used. Nothing was changed."""

    exit_code = ExitCode.INVALID


class VaultError(DeployError):
    """Key Vault did not store or return a secret."""

    exit_code = ExitCode.KEY_VAULT


class NotReadyError(DeployError):
    """Something is missing that the command needs first: an earlier stack, a tool, a login."""

    exit_code = ExitCode.NOT_READY


class LockedError(DeployError):
    """Another run is changing the same stack."""

    exit_code = ExitCode.LOCKED


class InterruptedDeploymentError(DeployError):
    """The operator stopped the command. The message says whether the state is saved and unlocked."""

    exit_code = ExitCode.INTERRUPTED
