"""The part of `doctor` that asks Azure whether regions offer the foundry stack's models, with quota."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from scripts.deploy.azure_cli import Offer
from scripts.deploy.check_result import CheckResult, Verdict, run_check
from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.layout import STACKS
from scripts.deploy.session import Session

DEFAULT_SKU = "GlobalStandard"
DEFAULT_CAPACITY = 10
"""What a model deployment of the foundry stack gets when its settings do not say."""

_FOUNDRY = STACKS["foundry"]
_LIST = "az cognitiveservices model list --location"
_LESS = "Lower the capacity, or ask for quota: https://aka.ms/oai/quotaincrease"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model deployment of the foundry stack. `capacity` is in thousands of tokens a minute, or units."""

    model: str
    version: str
    sku: str
    capacity: float


def look_at_quota(session: Session) -> Iterator[CheckResult]:
    """A result for each region of the foundry stack."""
    if not session.settings.files.hold(_FOUNDRY):
        return
    try:
        wanted = wanted_by_location(session.settings.read(_FOUNDRY).get("accounts"))
    except InvalidSettingsError:
        return  # another check reports it
    for location, asked in sorted(wanted.items()):
        yield run_check(f"models in {location}", partial(_region, session, location, asked))


def wanted_by_location(accounts: Any) -> dict[str, list[Wanted]]:
    """The deployments in `accounts` by location. Terraform reports values of a wrong form.

    `{"a": {"location": "x", "deployments": {"d": {"model": "m", "version": "1"}}}}` gives
    `{"x": [Wanted("m", "1", "GlobalStandard", 10)]}`.
    """
    found: dict[str, list[Wanted]] = {}
    for account in _maps(accounts):
        for deployment in _maps(account.get("deployments")):
            capacity = deployment.get("capacity", DEFAULT_CAPACITY)
            if isinstance(capacity, int | float):
                model, version = str(deployment.get("model")), str(deployment.get("version"))
                item = Wanted(model, version, str(deployment.get("sku", DEFAULT_SKU)), capacity)
                found.setdefault(str(account.get("location")), []).append(item)
    return found


def _maps(value: Any) -> list[Mapping[str, Any]]:
    values = value.values() if isinstance(value, Mapping) else ()
    return [item for item in values if isinstance(item, Mapping)]


def _region(session: Session, location: str, asked: Sequence[Wanted]) -> CheckResult:
    check = f"models in {location}"
    offers = session.az.model_offers(location)
    missing = [problem for item in asked if (problem := _not_offered(item, offers))]
    if missing:
        remedy = f"Choose what is offered: {_LIST} {location}"
        return CheckResult(check, Verdict.BAD, "; ".join(missing), remedy)
    short, tight = _lacking_quota(session, location, asked, offers)
    if short:
        return CheckResult(check, Verdict.BAD, "; ".join(short), _LESS)
    if tight:  # this installation itself may be what uses the quota
        remedy = f"Unless this installation uses them already: {_LESS}"
        return CheckResult(check, Verdict.NOTE, "; ".join(tight), remedy)
    return CheckResult(check, Verdict.OK, "1 model fits" if len(asked) == 1 else f"{len(asked)} models fit")


def _offer_of(item: Wanted, offers: Sequence[Offer]) -> Offer | None:
    wanted = (item.model, item.version, item.sku)
    return next((offer for offer in offers if (offer.model, offer.version, offer.sku) == wanted), None)


def _not_offered(item: Wanted, offers: Sequence[Offer]) -> str:
    """Why a deployment cannot be made in a region; empty when it can."""
    if _offer_of(item, offers):
        return ""
    of_model = [offer for offer in offers if offer.model == item.model]
    if not of_model:
        return f"{item.model} is not offered"
    skus = sorted({offer.sku for offer in of_model if offer.version == item.version})
    if not skus:
        versions = ", ".join(sorted({offer.version for offer in of_model}))
        return f"{item.model} has no version {item.version}, but {versions}"
    return f"{item.model} {item.version} is not offered as {item.sku}, but as {', '.join(skus)}"


def _lacking_quota(
    session: Session, location: str, asked: Sequence[Wanted], offers: Sequence[Offer]
) -> tuple[list[str], list[str]]:
    """What exceeds a limit, and what does so with what is in use already. Models may share a limit."""
    sums: dict[str, float] = {}
    for item in asked:
        offer = _offer_of(item, offers)
        if offer and offer.quota:
            sums[offer.quota] = sums.get(offer.quota, 0) + item.capacity
    usage = {limit["name"].lower(): limit for limit in session.az.model_quota(location)}
    short, tight = [], []
    for quota, capacity in sorted(sums.items()):
        listed = usage.get(quota.lower())
        if listed is None:
            continue  # Azure lists no limit, so it may have none
        limit, used = listed["limit"], listed["used"]
        if capacity > limit:
            short.append(f"{quota} asks for {capacity:g} of {limit:g}")
        elif capacity > limit - used:
            tight.append(f"{quota} asks for {capacity:g} of {limit:g}, {used:g} are in use")
    return short, tight
