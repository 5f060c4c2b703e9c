"""Checks everything that a deployment needs, before one starts."""

from __future__ import annotations

import platform
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from renderer import Problem
from scripts.deploy.azure_cli import INSTALL_AZURE_CLI
from scripts.deploy.check_result import CheckResult, Verdict, run_check, run_checks
from scripts.deploy.deploy_errors import DeployError, InvalidSettingsError
from scripts.deploy.explanations import INSTALL_TERRAFORM
from scripts.deploy.layout import STACKS, Stack
from scripts.deploy.model_quota import look_at_quota
from scripts.deploy.roles import look_at_roles
from scripts.deploy.session import Session
from scripts.deploy.state_store import resource_names
from scripts.deploy.value_check import check_missing, check_values
from scripts.deploy.workload_settings import WorkloadSettings, multiplied_limits
from scripts.terraform import MINIMUM_VERSION, Terraform, TerraformMissingError

PROVIDERS = (
    "Microsoft.AlertsManagement",
    "Microsoft.App",
    "Microsoft.CognitiveServices",
    "Microsoft.ContainerRegistry",
    "Microsoft.ContainerService",
    "Microsoft.Dashboard",
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.ManagedIdentity",
    "Microsoft.Monitor",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
)
"""The resource providers that the stacks register: all of `resource_providers_to_register`."""

AZURE_CLI_MINIMUM = (2, 53)
"""The first version with `az containerapp`. An older one would ask for an extension after the deployment."""

UNIQUE = (
    (("storage", "account"), "state_storage_account"),
    (("acr",), "container_registry"),
    (("keyvault",), "key_vault"),
)
"""Resources whose names are unique in all of Azure: the kind for `az`, and the key in the naming module."""


def examine(session: Session) -> list[CheckResult]:
    """Make every check, also after one that fails."""
    results = [*_tools(session), *_settings(session)]
    subscription = _subscription(session)
    if not session.az.is_installed():
        return [*results, CheckResult("Azure", Verdict.SKIPPED, "needs the Azure CLI")]
    login = run_check("Azure login", lambda: _login(session, subscription))
    results.append(login)
    if login.verdict is not Verdict.OK or subscription is None:
        return [
            *results,
            CheckResult("Azure subscription", Verdict.SKIPPED, "needs a login and a subscription_id"),
        ]
    results.append(run_check("resource providers", lambda: _providers(session)))
    results.append(run_check("state storage", lambda: _storage(session)))
    results += run_checks("roles", lambda: look_at_roles(session, subscription))
    results += run_checks("names", lambda: _names(session))
    return [*results, *look_at_quota(session)]


def _tools(session: Session) -> Iterator[CheckResult]:
    yield CheckResult("Python", Verdict.OK, platform.python_version())
    try:
        version = Terraform(session.layout.stacks, binary=session.binary).version()
    except TerraformMissingError:
        yield CheckResult(
            session.binary,
            Verdict.BAD,
            "not found",
            INSTALL_TERRAFORM,
        )
    else:
        enough = version[:2] >= MINIMUM_VERSION
        remedy = "" if enough else INSTALL_TERRAFORM
        shown = ".".join(map(str, version))
        yield CheckResult(session.binary, Verdict.OK if enough else Verdict.BAD, shown, remedy)
    if session.az.is_installed():
        yield run_check("Azure CLI", lambda: _azure_cli(session))
    else:
        yield CheckResult("Azure CLI", Verdict.BAD, "not found", INSTALL_AZURE_CLI)


def _azure_cli(session: Session) -> CheckResult:
    version = session.az.version()
    if tuple(map(int, re.findall(r"\d+", version)[:2])) >= AZURE_CLI_MINIMUM:
        return CheckResult("Azure CLI", Verdict.OK, version)
    return CheckResult("Azure CLI", Verdict.BAD, version, "Install 2.53 or newer: az upgrade")


def _settings(session: Session) -> Iterator[CheckResult]:
    files = session.settings.files
    if not any(files.paths(stack) for stack in STACKS.values()):
        environment = session.layout.environment
        yield CheckResult(
            "settings", Verdict.NOTE, "not there yet", f"aoai-gateway deploy init {environment}"
        )
        return
    told: dict[str, str] = {}
    for stack in STACKS.values():
        label = f"settings of {stack.name}"
        for result in run_checks(label, partial(_stack_settings, session, stack, label)):
            yield _told_once(result, stack, told)
    yield from _readable_by_others(session)


def _told_once(result: CheckResult, stack: Stack, told: dict[str, str]) -> CheckResult:
    """A fault of what all stacks share, such as `subscription_id`, in full with the first of them only."""
    if result.verdict is not Verdict.BAD:
        return result
    first = told.setdefault(result.found, stack.name)
    if first == stack.name:
        return result
    return replace(result, found=f"the same as in {first}", remedy="")


def _stack_settings(session: Session, stack: Stack, label: str) -> list[CheckResult]:
    if not session.settings.files.hold(stack):
        return [CheckResult(label, Verdict.NOTE, "none")]
    values = session.settings.read(stack)
    session.settings.check_agreement(stack, values)
    check_missing(session, stack, values)
    check_values(session, stack, values)
    if not stack.own:
        return [CheckResult(label, Verdict.OK, "valid")]
    has_accounts = session.settings.files.hold(STACKS["foundry"])
    user = WorkloadSettings.read(session.settings.path(stack), values)
    checked = user.check_early(azure_openai=has_accounts)
    if checked is None:
        return [CheckResult(label, Verdict.OK, "valid")]
    note = multiplied_limits(checked.settings, values)
    return [
        CheckResult(label, Verdict.NOTE if note else Verdict.OK, note or "valid"),
        *map(_warning, checked.warnings),
    ]


def _warning(warning: Problem) -> CheckResult:
    found = f"{warning.message}{warning.place}"
    return CheckResult(warning.setting, Verdict.WARNING, found, warning.remedy_sentence)


def _readable_by_others(session: Session) -> Iterator[CheckResult]:
    for path in session.settings.files.paths(STACKS["workload"]):
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield CheckResult(
                path.name,
                Verdict.NOTE,
                "other users of this machine can read its secrets",
                f"chmod 600 {path}",
            )


def _subscription(session: Session) -> str | None:
    for stack in STACKS.values():
        try:
            return str(session.settings.read(stack)["subscription_id"])
        except InvalidSettingsError:
            continue
    return None


def _login(session: Session, subscription: str | None) -> CheckResult:
    account = session.az.account()
    account.check_cloud()
    if subscription is None:
        return CheckResult("Azure login", Verdict.OK, account.user)
    try:
        session.az.token_expiry()
    except DeployError as error:
        return CheckResult(
            "Azure login",
            Verdict.BAD,
            " ".join([f"{account.user} gets no token for subscription {subscription}.", *error.details[:1]]),
            "Run `az login` with an account that can see it, or correct subscription_id.",
        )
    return CheckResult("Azure login", Verdict.OK, account.user)


def _providers(session: Session) -> CheckResult:
    states = session.az.provider_states()
    missing = [name for name in PROVIDERS if states.get(name) != "Registered"]
    if not missing:
        return CheckResult("resource providers", Verdict.OK, f"{len(PROVIDERS)} registered")
    return CheckResult(
        "resource providers",
        Verdict.NOTE,
        f"not registered: {', '.join(missing)}",
        "The stacks register them if you have the right. By hand: az provider register --namespace <name>",
    )


def _names(session: Session) -> list[CheckResult]:
    """Whether the globally unique names are free, or in use by this installation."""
    if session.store.kind != "azurerm":
        return []
    names = resource_names(session.layout, session.settings.read_any(), session.binary)
    return [
        run_check(f"name {names[which]}", partial(_name, session, kind, names[which]))
        for kind, which in UNIQUE
    ]


def _name(session: Session, kind: tuple[str, ...], name: str) -> CheckResult:
    problem = session.az.name_problem(kind, name)
    if not problem:
        return CheckResult(f"name {name}", Verdict.OK, "free")
    if session.az.owns(name):
        return CheckResult(f"name {name}", Verdict.OK, "in use by this subscription")
    return CheckResult(f"name {name}", Verdict.BAD, problem, 'Set another `suffix`, for example "x7".')


def _storage(session: Session) -> CheckResult:
    if session.has_storage():
        return CheckResult("state storage", Verdict.OK, "exists")
    return CheckResult("state storage", Verdict.NOTE, "does not exist", "Run deploy-bootstrap.")
