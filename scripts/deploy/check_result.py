"""The result of one check of `doctor`: a row of its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from scripts.deploy.deploy_errors import DeployError, InvalidSettingsError
from scripts.terraform import TerraformError, TerraformMissingError


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"  # worth knowing, but nothing is wrong yet
    WARNING = "warning"  # valid, but it cannot work as written
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was checked, the verdict, what was found, and what to do about it."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def run_check(check: str, look: Callable[[], CheckResult]) -> CheckResult:
    """The result of a check; when the check itself fails, a result that says why."""
    return run_checks(check, lambda: [look()])[0]


def run_checks(check: str, look: Callable[[], list[CheckResult]]) -> list[CheckResult]:
    """As `run_check`, for a check that gives several results."""
    try:
        return look()
    except DeployError as error:
        return [CheckResult(check, Verdict.BAD, _summary(error), error.remedy)]
    except TerraformError as error:
        return [CheckResult(check, Verdict.BAD, " ".join(["Terraform failed.", *error.diagnostics[:1]]))]
    except TerraformMissingError as error:
        return [CheckResult(check, Verdict.SKIPPED, f"needs {error.binary}")]


def _summary(error: DeployError) -> str:
    """Every problem with settings; of any other error the message and the first detail."""
    if isinstance(error, InvalidSettingsError) and error.details:
        return "\n".join(error.details)
    return " ".join([error.message, *error.details[:1]])
