"""What a check before a deployment found: one row of `doctor`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from scripts.deploy.deploy_errors import DeployError, InvalidSettingsError
from scripts.terraform.runner import TerraformError, TerraformMissingError


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"  # nothing is wrong yet
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at, what was found and what to do."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def attempt(check: str, look: Callable[[], Finding]) -> Finding:
    """What a check finds; when it cannot be made, why not."""
    return attempt_all(check, lambda: [look()])[0]


def attempt_all(check: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """As `attempt`, of a check that finds several things at once."""
    try:
        return look()
    except DeployError as error:
        return [Finding(check, Verdict.BAD, _told(error), error.remedy)]
    except TerraformError as error:
        return [Finding(check, Verdict.BAD, " ".join(["Terraform failed.", *error.diagnostics[:1]]))]
    except TerraformMissingError as error:
        return [Finding(check, Verdict.SKIPPED, f"needs {error.binary}")]


def _told(error: DeployError) -> str:
    """What is wrong: every point of settings, and of a program's words the first line."""
    if isinstance(error, InvalidSettingsError) and error.details:
        return "\n".join(error.details)
    return " ".join([error.message, *error.details[:1]])
