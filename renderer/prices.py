"""The prices that hold: the shipped ones and those of the settings, and which deployments have none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from renderer.model import Settings
from renderer.model.gateway import Telemetry
from renderer.parsers.prices import Price, prices_of_tools, shipped_prices

# Every price has these.
_USUAL = {"prompt", "cached", "completion"}
_DATE_OF_VERSION = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")


def all_prices(telemetry: Telemetry) -> dict[str, Price]:
    """The shipped prices, overridden by the configured ones, by model. What writes text can use tools."""
    tools = prices_of_tools()
    models = {**shipped_prices(), **(telemetry.model_pricing or {})}
    return {
        model: {**(tools if price["completion"] else {}), **price} for model, price in sorted(models.items())
    }


def priced_name(prices: Mapping[str, Price], *names: str) -> str | None:
    """The first of some names that has a price, with or without the date of a version.

    The gateway looks prices up in the same way (account/prices.lua).
    Example: `({"gpt-4o": …}, "chat", "gpt-4o-2024-08-06")` → `gpt-4o`.
    """
    for name in names:
        for candidate in (name, _DATE_OF_VERSION.sub("", name)):
            if candidate in prices:
                return candidate
    return None


@dataclass(frozen=True, slots=True)
class PricedDeployment:
    """How requests for a deployment of a backend are priced."""

    backend: str
    deployment: str
    price: str | None
    """The model whose price its name has, or `by the hour`; None when only its answers can tell the model."""
    kinds: tuple[str, ...] = ()
    """What has a price beside prompts, cached tokens and completions: `("cache_write", "web_search")`."""


def pricing_of_deployments(settings: Settings) -> Iterator[PricedDeployment]:
    """How each configured deployment is priced, as far as its name tells.

    The gateway goes by the model that an answer names, else by the name of the deployment. Backends without
    `DEPLOYMENTS` serve any and are left out.
    """
    prices = all_prices(settings.telemetry)
    for backend in settings.backends:
        for name, own_name in (backend.deployments or {}).items():
            model = priced_name(prices, name, own_name)
            by_hour = "by the hour" if backend.provisioned_usd_per_hour is not None else None
            kinds = tuple(kind for kind in prices[model] if kind not in _USUAL) if model else ()
            yield PricedDeployment(str(backend.name), name, by_hour or model, kinds)
