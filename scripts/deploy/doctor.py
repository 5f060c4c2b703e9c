"""Looks at everything a deployment needs before one is started."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from scripts.deploy.errors import DeployError, InvalidSettingsError
from scripts.deploy.layout import STACKS
from scripts.deploy.session import Session
from scripts.deploy.settings import WorkloadSettings
from scripts.deploy.tfvars import check_names, read_declarations
from scripts.terraform import MINIMUM_VERSION, Terraform, TerraformMissingError

PROVIDERS = (
    "Microsoft.App",
    "Microsoft.CognitiveServices",
    "Microsoft.ContainerRegistry",
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.ManagedIdentity",
    "Microsoft.Monitor",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
)


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


def examine(session: Session) -> list[Finding]:
    """Make every check, also after one that fails."""
    findings = [*_tools(session), *_settings(session)]
    subscription = _subscription(session)
    if not session.az.is_installed():
        return [*findings, Finding("Azure", Verdict.SKIPPED, "needs the Azure CLI")]
    login = _attempt("Azure login", lambda: _login(session, subscription))
    findings.append(login)
    if login.verdict is not Verdict.OK or subscription is None:
        return [
            *findings,
            Finding("Azure subscription", Verdict.SKIPPED, "needs a login and a subscription_id"),
        ]
    for namespace in PROVIDERS:
        findings.append(_attempt(namespace, partial(_provider, session, namespace)))
    findings.append(_attempt("state storage", lambda: _storage(session)))
    return [*findings, *_quota(session)]


def _attempt(check: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except DeployError as error:
        found = " ".join([error.message, *error.details[:1]])
        return Finding(check, Verdict.BAD, found, error.remedy)


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
        yield Finding("Azure CLI", Verdict.OK, "installed")
    else:
        yield Finding("Azure CLI", Verdict.BAD, "not found", "Install it: https://aka.ms/install-azure-cli")


def _settings(session: Session) -> Iterator[Finding]:
    for stack in STACKS.values():
        path = session.layout.tfvars(stack)
        label = f"{stack.directory}/{path.name}"
        if not path.exists():
            yield Finding(
                label, Verdict.NOTE, "not there yet", f"cp {session.layout.example(stack).name} {path.name}"
            )
            continue
        yield _attempt(label, partial(_stack_settings, session, stack.name, label))


def _stack_settings(session: Session, name: str, label: str) -> Finding:
    stack = STACKS[name]
    values = session.settings(stack)
    session.check_agreement(stack, values)
    declared = read_declarations(session.layout.directory(stack))
    # Which of the missing ones come from other stacks is known when those are deployed.
    check_names(session.layout.tfvars(stack), values, declared, declared.required, extra=("secrets",))
    if name == "workload":
        WorkloadSettings.read(session.layout.tfvars(stack), values).check_early()
    return Finding(label, Verdict.OK, "valid")


def _subscription(session: Session) -> str | None:
    for stack in STACKS.values():
        if session.layout.tfvars(stack).exists():
            try:
                return str(session.settings(stack).get("subscription_id"))
            except InvalidSettingsError:
                continue
    return None


def _login(session: Session, subscription: str | None) -> Finding:
    account = session.az.account()
    if subscription is not None and not session.az.can_use_subscription(subscription):
        return Finding(
            "Azure login",
            Verdict.BAD,
            f"{account.user} cannot see subscription {subscription}",
            "Run `az login` with an account that can, or correct subscription_id.",
        )
    return Finding("Azure login", Verdict.OK, account.user)


def _provider(session: Session, namespace: str) -> Finding:
    state = session.az.provider_state(namespace)
    if state == "Registered":
        return Finding(namespace, Verdict.OK, "registered")
    return Finding(
        namespace,
        Verdict.NOTE,
        state or "unknown",
        f"The stacks register it, if you may: az provider register --namespace {namespace}",
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
        accounts = session.settings(stack).get("accounts") or {}
    except InvalidSettingsError:
        return  # reported with the settings
    wanted: dict[tuple[str, str], float] = {}
    for account in accounts.values():
        for deployment in account.get("deployments", {}).values():
            kind = f"OpenAI.{deployment.get('sku', 'GlobalStandard')}.{deployment.get('model')}"
            key = (account.get("location", ""), kind)
            wanted[key] = wanted.get(key, 0) + deployment.get("capacity", 10)
    for location in sorted({location for location, _ in wanted}):
        asked = {kind: capacity for (where, kind), capacity in wanted.items() if where == location}
        yield _attempt(f"quota in {location}", partial(_region, session, location, asked))


def _region(session: Session, location: str, asked: dict[str, float]) -> Finding:
    usage: dict[str, dict[str, Any]] = {
        item["name"].lower(): item for item in session.az.model_quota(location)
    }
    short = []
    for kind, capacity in asked.items():
        item = usage.get(kind.lower())
        if item is None:
            short.append(f"no quota is listed for {kind}")
        elif capacity > item["limit"]:
            short.append(f"{kind} asks for {capacity:g} of {item['limit']:g}")
    if short:
        return Finding(
            f"quota in {location}",
            Verdict.BAD,
            "; ".join(short),
            "Lower the capacity, or ask for quota: https://aka.ms/oai/quotaincrease",
        )
    return Finding(f"quota in {location}", Verdict.OK, f"{len(asked)} kinds fit")
