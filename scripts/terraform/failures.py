"""The errors that a failed call of Terraform raises."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from scripts.terraform.messages import Result, StateLock, diagnostics, parse_lock


class TerraformError(Exception):
    """Terraform failed; `diagnostics` are its own words, one paragraph each, most important first."""

    def __init__(
        self, command: str, diagnostics: Sequence[str], *, interrupted: bool = False, killed: bool = False
    ) -> None:
        self.command = command
        self.diagnostics = list(diagnostics)
        self.interrupted = interrupted  # it was asked to stop
        self.killed = killed  # and it did not get the time to save its state
        super().__init__(f"terraform {command} failed:\n" + "\n".join(self.diagnostics))


class StateLockedError(TerraformError):
    """Another run holds the lock of the state (for Azure: the lease of its blob)."""

    def __init__(self, command: str, diagnostics: Sequence[str], lock: StateLock) -> None:
        super().__init__(command, diagnostics)
        self.lock = lock


class StalePlanError(TerraformError):
    """The state has changed since the plan was saved. Nothing was applied."""


class TerraformMissingError(Exception):
    """There is no such program, or it does not run."""

    def __init__(self, binary: str) -> None:
        self.binary = binary
        super().__init__(f"{binary} was not found or does not run")


def failure_of(command: str, result: Result) -> TerraformError:
    """The error for a run that ended badly: a locked state, a stale plan, an interrupt or anything else."""
    texts = diagnostics(result)
    everything = "\n".join(texts)
    if "acquiring the state lock" in everything:
        return StateLockedError(command, texts, parse_lock(everything))
    if "Saved plan is stale" in everything:
        return StalePlanError(command, texts)
    return TerraformError(command, texts, interrupted=result.code == -signal.SIGINT)
