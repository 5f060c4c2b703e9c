"""Checks the values of a stack's settings as Terraform does, but with nothing deployed and nobody logged in.

A plan checks them too, but only after the deploy command has written secrets and built images.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.deploy.declarations import Shape, missing_names, unsuitable
from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.deployment import variable_file
from scripts.deploy.example import BASE, EXAMPLES
from scripts.deploy.layout import STACKS, Stack
from scripts.deploy.session import Session
from scripts.deploy.tfvars import read_tfvars
from scripts.terraform import Terraform, TerraformError

PLATFORM = STACKS["platform"]

_STAND_IN = "none"
"""The value of a variable that only a deployment computes."""

_OF_NETWORK = ("endpoints_subnet_id", "virtual_network_id")
"""Optional variables, which the platform stack fills when it has a network."""

_APART = "stand-ins"
"""The folder of those values: Terraform may well refuse one, which says nothing about the user's settings."""


def check_values(session: Session, stack: Stack, values: Mapping[str, Any]) -> None:
    """Raise `InvalidSettingsError` with every value that Terraform would refuse.

    Only the types and conditions of the variables are checked: `min_replicas = "zero"` is an error. What a
    resource takes is not looked at, since that needs a provider.
    """
    given = {name: value for name, value in values.items() if name not in stack.own}
    problems = _problems(session, stack, given, stand_ins(session, stack, values))
    if problems:
        raise InvalidSettingsError(f"{session.settings.path(stack)} cannot be used:", details=problems)


def check_missing(session: Session, stack: Stack, values: Mapping[str, Any]) -> None:
    """Raise `InvalidSettingsError` with every setting that the user has to give: those are in the example."""
    example = read_tfvars(EXAMPLES / f"{BASE}.tfvars.example")
    asked = {*example, *example.get(stack.name, {})}
    missing = missing_names(session.settings.declared(stack).required & asked, values)
    if missing:
        raise InvalidSettingsError("Settings are missing:", details=missing)


def stand_ins(session: Session, stack: Stack, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the variables that the user does not set and an earlier stack fills."""
    secrets = values.get("secrets")
    # The stack validates the names of the secrets: a Redis needs its password among them, for example.
    versions = dict.fromkeys(secrets, _STAND_IN) if isinstance(secrets, Mapping) else {}
    declared = session.settings.declared(stack)
    missing = declared.required - set(values)
    if PLATFORM.name in stack.needs and _has_network(session):
        missing |= {name for name in _OF_NETWORK if name in declared.all and name not in values}
    return {name: versions if name == "secret_versions" else _STAND_IN for name in missing}


def _has_network(session: Session) -> bool:
    try:
        return session.settings.read(PLATFORM).get("network_address_space") is not None
    except InvalidSettingsError:
        return False  # the check of that stack says why


def _problems(
    session: Session, stack: Stack, given: Mapping[str, Any], others: Mapping[str, Any]
) -> list[str]:
    files = list(session.layout.directory(stack).glob("variables*.tf"))
    if not files:
        return []
    with tempfile.TemporaryDirectory(prefix="values-") as name:
        directory, apart = Path(name), Path(name) / _APART
        apart.mkdir()
        for path in files:
            shutil.copy(path, directory)
        with variable_file(directory, given) as first, variable_file(apart, others) as second:
            try:
                Terraform(directory, binary=session.binary).plan(directory / "plan", [first, second])
            except TerraformError as error:
                complaints = (
                    _complaint(text) for text in error.diagnostics if _APART not in text.partition(": ")[0]
                )
                shapes = session.settings.declared(stack).shapes
                return [told for complaint in complaints for told in _told(complaint, given, shapes)]
    return []


def _complaint(text: str) -> str:
    """A complaint of Terraform without where it stands in a temporary file.

    `… line 1: Invalid value for input variable`, and on the next line `The given value is not suitable for
    var.min_replicas declared at variables.tf:205,1-24: a number is required.`, give
    `min_replicas: a number is required.`
    """
    detail = _RULE.sub("", text.partition("\n")[2] or text)
    return _UNSUITABLE.sub(r"\1: ", " ".join(detail.split()))


def _told(complaint: str, given: Mapping[str, Any], shapes: Mapping[str, Shape]) -> list[str]:
    """The complaint; one about the type of a whole setting is replaced by those about its parts."""
    name, colon, _ = complaint.partition(": ")
    if not colon or name not in given:
        return [complaint]
    return list(unsuitable(name, given[name], shapes.get(name))) or [complaint]


_RULE = re.compile(r"\s*This was checked by the validation rule at .*", re.DOTALL)
_UNSUITABLE = re.compile(r"The given value is not suitable for var\.(\w+) declared at [^:]+:[\d,-]+: ")
