"""The table of model prices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from renderer.parsers.basics import DEPLOYMENT_NAME, AsJson, wrong
from renderer.resources import DATA

_SMALLEST_PRICE = 0.0001
_LARGEST_PRICE = 1_000_000

Price = dict[str, float]
"""What one model costs in USD, by kind; always with `prompt`, `cached` and `completion`."""

_LONG = {"long_from", "long_prompt", "long_cached", "long_completion"}
_KINDS = {
    *("prompt", "cached", "cache_write", "completion"),
    *(f"{other}_{kind}" for other in ("audio", "image") for kind in ("prompt", "cached", "completion")),
    *("minute", "characters", "image", "video", "large_video"),
    "web_search",
    *_LONG,
    "long_cache_write",
}
# A price has at least one of these.
_NEEDED = {"prompt", "minute", "characters", "image", "video"}
# A kind is of use only beside another.
_BESIDE = {
    "long_cache_write": "long_prompt",
    "large_video": "video",
    "cache_write": "prompt",
    "web_search": "prompt",
}


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


def shipped_prices() -> dict[str, Price]:
    """The list prices that come with the renderer."""
    return _prices(_shipped()["models"])


def prices_of_tools() -> Price:
    """What the tools of any model cost, as far as answers report their use: `{"web_search": 14.0}`."""
    tools: Price = _shipped()["tools"]
    return tools


def _shipped() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((DATA / "model-pricing.json").read_text(encoding="utf-8"))
    return table


def prices_from_json(text: str) -> dict[str, Price]:
    """Read a table of model prices from JSON; `model-pricing.json` tells the units.

    Without `cached` or `cache_write`, these tokens cost as much as `prompt`. Without `completion`, they cost
    nothing.
    Example: `{"m": {"prompt": 2, "completion": 10}}` → `{"m": {"prompt": 2, "cached": 2, "completion": 10}}`.
    """
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise wrong("is not valid JSON", "Check quotes, commas and braces") from None
    if not isinstance(table, dict):
        raise wrong("is not a JSON object", 'Write {"model name":{"prompt":1,"completion":2}}')
    return _prices(table)


def _prices(table: Mapping[str, object]) -> dict[str, Price]:
    return {
        model: _price(position, model, entry)
        for position, (model, entry) in enumerate(table.items(), start=1)
    }


def _price(position: int, model: str, entry: object) -> Price:
    if not isinstance(entry, Mapping) or not _fits(entry) or not DEPLOYMENT_NAME.fullmatch(model):
        raise wrong(
            f"has an entry (number {position}) that is not a price of a model",
            "Write for each model prompt, and optionally cached and completion: numbers of USD per million "
            f"tokens, 0 or from {_SMALLEST_PRICE:.4f} to {_LARGEST_PRICE:,}. For other kinds see "
            "docs/renderer.md",
        )
    prompt = entry.get("prompt", 0)
    whole = {"prompt": prompt, "cached": prompt, "completion": 0, **entry}
    return {kind: round(float(amount), 4) for kind, amount in whole.items()}


def _fits(entry: Mapping[str, object]) -> bool:
    kinds = set(entry)
    is_known = kinds <= _KINDS and bool(kinds & _NEEDED)
    is_known = is_known and all(other in kinds for kind, other in _BESIDE.items() if kind in kinds)
    # Prices of long prompts come together.
    return is_known and kinds & _LONG in (set(), _LONG) and all(_is_amount(one) for one in entry.values())


def _is_amount(amount: object) -> bool:
    """Whether this can be a price for a million tokens. A price for one token would be rounded to nothing."""
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        return False
    return amount == 0 or _SMALLEST_PRICE <= amount <= _LARGEST_PRICE


Pricing = Annotated[dict[str, Any], BeforeValidator(parse_pricing), AsJson()]
