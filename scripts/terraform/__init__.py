"""Runs Terraform (or OpenTofu) for the deploy commands. Each module imports only modules below it:

commands   the calls that the deploy commands make: init, plan, apply, outputs …
runner     starts the program, passes on what it prints, stops it on Ctrl-C
failures   the errors that a failed call raises
messages   reads what Terraform prints: events, changes, diagnostics, the lock of a state
"""

from scripts.terraform.commands import MINIMUM_VERSION, Output, Plan, Terraform
from scripts.terraform.failures import StalePlanError, StateLockedError, TerraformError, TerraformMissingError
from scripts.terraform.messages import Change

__all__ = [
    "MINIMUM_VERSION",
    "Change",
    "Output",
    "Plan",
    "StalePlanError",
    "StateLockedError",
    "Terraform",
    "TerraformError",
    "TerraformMissingError",
]
