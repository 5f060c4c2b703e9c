"""Looks at everything a deployment needs before one is started."""

from __future__ import annotations

import platform
import re
import stat
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from scripts.deploy.check_result import Finding, Verdict, attempt, attempt_all
from scripts.deploy.deploy_errors import DeployError, InvalidSettingsError
from scripts.deploy.layout import STACKS, Stack
from scripts.deploy.roles import look_at_roles
from scripts.deploy.session import Session
from scripts.deploy.state_store import resource_names
from scripts.deploy.tfvars import missing_names, read_tfvars
from scripts.deploy.workload_settings import WorkloadSettings
from scripts.terraform.runner import MINIMUM_VERSION, Terraform, TerraformMissingError

PROVIDERS = (
    "Microsoft.AlertsManagement",
    "Microsoft.App",
    "Microsoft.CognitiveServices",
    "Microsoft.ContainerRegistry",
    "Microsoft.ContainerService",
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.ManagedIdentity",
    "Microsoft.Monitor",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
)
"""What the stacks register: all of `resource_providers_to_register`."""

AZURE_CLI_MINIMUM = (2, 53)
"""The first with `az containerapp`; older ones ask for an extension when the gateway is already deployed."""

UNIQUE = (
    (("storage", "account"), "state_storage_account"),
    (("acr",), "container_registry"),
    (("keyvault",), "key_vault"),
)
"""Kinds of resources whose names are unique in all of Azure, as `az` calls them, and their names' names."""


def examine(session: Session) -> list[Finding]:
    """Make every check, also after one that fails."""
    findings = [*_tools(session), *_settings(session)]
    subscription = _subscription(session)
    if not session.az.is_installed():
        return [*findings, Finding("Azure", Verdict.SKIPPED, "needs the Azure CLI")]
    login = attempt("Azure login", lambda: _login(session, subscription))
    findings.append(login)
    if login.verdict is not Verdict.OK or subscription is None:
        return [
            *findings,
            Finding("Azure subscription", Verdict.SKIPPED, "needs a login and a subscription_id"),
        ]
    findings.append(attempt("resource providers", lambda: _providers(session)))
    findings.append(attempt("state storage", lambda: _storage(session)))
    findings += attempt_all("roles", lambda: look_at_roles(session, subscription))
    findings += attempt_all("names", lambda: _names(session))
    return [*findings, *_quota(session)]


def _tools(session: Session) -> Iterator[Finding]:
    yield Finding("Python", Verdict.OK, platform.python_version())
    try:
        version = Terraform(session.layout.stacks, binary=session.binary).version()
    except TerraformMissingError:
        yield Finding(
            session.binary,
            Verdict.BAD,
            "not found",
            "Install Terraform 1.9 or newer, or set TERRAFORM_BINARY.",
        )
    else:
        enough = version[:2] >= MINIMUM_VERSION
        remedy = "" if enough else "Install 1.9 or newer."
        shown = ".".join(map(str, version))
        yield Finding(session.binary, Verdict.OK if enough else Verdict.BAD, shown, remedy)
    if session.az.is_installed():
        yield attempt("Azure CLI", lambda: _azure_cli(session))
    else:
        yield Finding("Azure CLI", Verdict.BAD, "not found", "Install it: https://aka.ms/install-azure-cli")


def _azure_cli(session: Session) -> Finding:
    version = session.az.version()
    if tuple(map(int, re.findall(r"\d+", version)[:2])) >= AZURE_CLI_MINIMUM:
        return Finding("Azure CLI", Verdict.OK, version)
    return Finding("Azure CLI", Verdict.BAD, version, "Install 2.53 or newer: az upgrade")


def _settings(session: Session) -> Iterator[Finding]:
    for stack in STACKS.values():
        path = session.layout.tfvars(stack)
        label = f"{stack.directory}/{path.name}"
        if not path.exists():
            yield Finding(label, Verdict.NOTE, "not there yet", f"cp {session.layout.example(stack)} {path}")
            continue
        yield attempt(label, partial(_stack_settings, session, stack, label))


def _stack_settings(session: Session, stack: Stack, label: str) -> Finding:
    path = session.layout.tfvars(stack)
    values = session.settings(stack)
    session.check_agreement(stack, values)
    _check_missing(session, stack, values)
    if not stack.own:
        return Finding(label, Verdict.OK, "valid")
    WorkloadSettings.read(path, values).check_early()
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return Finding(
            label, Verdict.NOTE, "valid; others on this machine can read its secrets", f"chmod 600 {path}"
        )
    return Finding(label, Verdict.OK, "valid")


def _check_missing(session: Session, stack: Stack, values: Mapping[str, Any]) -> None:
    """Complain about what only the user can give: the rest comes from other stacks, or from the command."""
    declared = session.declared(stack)
    example = session.layout.example(stack)
    asked = set(read_tfvars(example)) if example.exists() else set()
    missing = missing_names(declared.required & asked, values)
    if missing:
        raise InvalidSettingsError("Settings are missing:", details=missing)


def _subscription(session: Session) -> str | None:
    for stack in STACKS.values():
        try:
            return str(session.settings(stack)["subscription_id"])
        except InvalidSettingsError:
            continue
    return None


def _login(session: Session, subscription: str | None) -> Finding:
    account = session.az.account()
    account.check_cloud()
    if subscription is None:
        return Finding("Azure login", Verdict.OK, account.user)
    try:
        session.az.token_expiry()
    except DeployError as error:
        return Finding(
            "Azure login",
            Verdict.BAD,
            " ".join([f"{account.user} gets no token for subscription {subscription}.", *error.details[:1]]),
            "Run `az login` with an account that can see it, or correct subscription_id.",
        )
    return Finding("Azure login", Verdict.OK, account.user)


def _providers(session: Session) -> Finding:
    states = session.az.provider_states()
    missing = [name for name in PROVIDERS if states.get(name) != "Registered"]
    if not missing:
        return Finding("resource providers", Verdict.OK, f"{len(PROVIDERS)} registered")
    return Finding(
        "resource providers",
        Verdict.NOTE,
        f"not registered: {', '.join(missing)}",
        "The stacks register them, if you may; or: az provider register --namespace <name>",
    )


def _names(session: Session) -> list[Finding]:
    """Whether the names that are unique in all of Azure are free, or this installation's already."""
    if session.store.kind != "azurerm":
        return []
    names = resource_names(session.layout, session.any_settings(), session.binary)
    return [
        attempt(f"name {names[which]}", partial(_name, session, kind, names[which])) for kind, which in UNIQUE
    ]


def _name(session: Session, kind: tuple[str, ...], name: str) -> Finding:
    problem = session.az.name_problem(kind, name)
    if not problem:
        return Finding(f"name {name}", Verdict.OK, "free")
    if session.az.owns(name):
        return Finding(f"name {name}", Verdict.OK, "in use by this subscription")
    return Finding(
        f"name {name}", Verdict.BAD, problem, 'Set another `suffix` in every tfvars file, for example "x7".'
    )


def _storage(session: Session) -> Finding:
    if session.has_storage():
        return Finding("state storage", Verdict.OK, "exists")
    return Finding("state storage", Verdict.NOTE, "does not exist", "Run deploy-bootstrap.")


def _quota(session: Session) -> Iterator[Finding]:
    """Whether each region has room for the capacity that the foundry stack asks for."""
    stack = STACKS["foundry"]
    if not session.layout.tfvars(stack).exists():
        return
    try:
        wanted = _capacities(session.settings(stack).get("accounts"))
    except InvalidSettingsError:
        return  # reported with the settings
    for location, asked in sorted(wanted.items()):
        yield attempt(f"quota in {location}", partial(_region, session, location, asked))


def _capacities(accounts: Any) -> dict[str, dict[str, float]]:
    """Capacity asked for by location and kind; what has another form is for Terraform to complain about."""
    wanted: dict[str, dict[str, float]] = {}
    for account in _maps(accounts):
        for deployment in _maps(account.get("deployments")):
            kind = f"OpenAI.{deployment.get('sku', 'GlobalStandard')}.{deployment.get('model')}"
            capacity = deployment.get("capacity", 10)
            if isinstance(capacity, int | float):
                asked = wanted.setdefault(str(account.get("location")), {})
                asked[kind] = asked.get(kind, 0) + capacity
    return wanted


def _maps(value: Any) -> list[Mapping[str, Any]]:
    values = value.values() if isinstance(value, Mapping) else ()
    return [item for item in values if isinstance(item, Mapping)]


def _region(session: Session, location: str, asked: Mapping[str, float]) -> Finding:
    check = f"quota in {location}"
    usage: dict[str, dict[str, Any]] = {
        item["name"].lower(): item for item in session.az.model_quota(location)
    }
    short, tight = [], []
    for kind, capacity in sorted(asked.items()):
        item = usage.get(kind.lower())
        if item is None:
            short.append(f"no quota is listed for {kind}")
        elif capacity > item["limit"]:
            short.append(f"{kind} asks for {capacity:g} of {item['limit']:g}")
        elif capacity > item["limit"] - item["used"]:
            tight.append(f"{kind} asks for {capacity:g} of {item['limit']:g}, {item['used']:g} are in use")
    remedy = "Lower the capacity, or ask for quota: https://aka.ms/oai/quotaincrease"
    if short:
        return Finding(check, Verdict.BAD, "; ".join(short), remedy)
    if tight:  # which is so as well when this very installation uses it
        return Finding(check, Verdict.NOTE, "; ".join(tight), f"Unless that is this installation: {remedy}")
    return Finding(check, Verdict.OK, "1 kind fits" if len(asked) == 1 else f"{len(asked)} kinds fit")
