"""The table of model prices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from renderer.parsers.basics import DEPLOYMENT_NAME, wrong

_SMALLEST_PRICE = 0.0001
_LARGEST_PRICE = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """List price of a model in USD per million tokens; `cached` are prompt tokens served from cache."""

    prompt: float
    cached: float
    completion: float


def parse_pricing(value: object) -> object:
    """Parse model prices, given as JSON or as the path of a JSON file; see `prices_from_json`."""
    if not isinstance(value, str):
        return value
    try:
        text = value if value.startswith(("{", "[")) else Path(value).read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        raise wrong(
            "is neither JSON nor the path of a readable file",
            'Write {"gpt-4o":{"prompt":2.5,"cached":1.25,"completion":10}} or the path of such a file',
        ) from None
    return prices_from_json(text)


def prices_from_json(text: str) -> dict[str, Price]:
    """Read a table of model prices from JSON, in USD per million tokens.

    Without `cached`, cached tokens cost as much as `prompt`. Without `completion`, completions cost nothing.
    Example: `{"gpt-4o": {"prompt": 2.5, "completion": 10}}` → `{"gpt-4o": Price(2.5, 2.5, 10.0)}`.
    """
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise wrong("is not valid JSON", "Check quotes, commas and braces") from None
    if not isinstance(table, dict):
        raise wrong("is not a JSON object", 'Write {"model name":{"prompt":1,"completion":2}}')
    return {
        str(model): _price(position, str(model), entry)
        for position, (model, entry) in enumerate(table.items(), start=1)
    }


def _price(position: int, model: str, entry: object) -> Price:
    fits = (
        isinstance(entry, Mapping)
        and {"prompt"} <= set(entry) <= {"prompt", "cached", "completion"}
        and all(_is_amount(amount) for amount in entry.values())
    )
    if not fits or not DEPLOYMENT_NAME.fullmatch(model):
        raise wrong(
            f"has an entry (number {position}) that is not a price of a model",
            "Write for each model prompt, and optionally cached and completion: numbers of USD per million "
            f"tokens, 0 or from {_SMALLEST_PRICE:.4f} to {_LARGEST_PRICE:,}",
        )
    assert isinstance(entry, Mapping)
    prompt = entry["prompt"]
    amounts = (prompt, entry.get("cached", prompt), entry.get("completion", 0))
    return Price(*(round(float(amount), 4) for amount in amounts))


def _is_amount(amount: object) -> bool:
    """Whether this can be a price for a million tokens. A price for one token would be rounded to nothing."""
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        return False
    return amount == 0 or _SMALLEST_PRICE <= amount <= _LARGEST_PRICE


Pricing = Annotated[dict[str, Any], BeforeValidator(parse_pricing)]
