"""Address ranges, patterns, origins and methods."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Annotated

from pydantic import BeforeValidator

from renderer.parsers.basics import AsJson, list_matching, split_list, wrong

_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?")
_RANGED_QUANTIFIER = re.compile(r"\{[0-9]*,[0-9]*\}")


def parse_cidrs(value: object) -> object:
    """Parse a comma separated list of IP addresses and ranges.

    Example: `203.0.113.7, 10.0.0.0/8` → `("203.0.113.7", "10.0.0.0/8")`.
    """
    items = split_list(value)
    for position, item in enumerate(items if isinstance(items, tuple) else (), start=1):
        try:
            # Python knows netmasks and zones (10.0.0.0/255.0.0.0, fe80::1%eth0), nginx does not.
            network = ipaddress.ip_network(item, strict=False) if _ADDRESS.fullmatch(item) else None
        except ValueError:
            network = None
        if network is None:
            raise wrong(
                f"has an item (number {position}) that is neither an IP address nor a range",
                "Write addresses and ranges like 203.0.113.7,10.0.0.0/8,2001:db8::/32",
            )
        if "/" in item and ipaddress.ip_address(item.split("/")[0]) != network.network_address:
            raise wrong(
                f"has a range (number {position}) that does not begin at its first address",
                f"Write {network}, or the address without /{network.prefixlen} if only that one is meant",
            )
    return items


def parse_patterns(value: object) -> object:
    r"""Parse regular expressions: a JSON list of strings, or comma separated when none has a comma.

    Examples: `secret,\bkey` → `("secret", r"\bkey")`, `["a{1,3}"]` → `("a{1,3}",)`.
    """
    if not isinstance(value, str):
        return value
    patterns = _json_strings(value)
    if patterns is None:
        if _RANGED_QUANTIFIER.search(value):
            raise wrong(
                "has a comma inside a pattern, and would be split there",
                'Write the patterns as a JSON list: ["a{1,3}","b"]',
            )
        patterns = split_list(value)  # type: ignore[assignment]
    assert patterns is not None
    for position, pattern in enumerate(patterns, start=1):
        reason = _compile_error(pattern)
        if reason:
            raise wrong(
                f"has a pattern (number {position}) that does not compile: {reason}",
                'Correct it; patterns with commas are written as a JSON list: ["a{1,3}","b"]',
            )
    return patterns


def _json_strings(text: str) -> tuple[str, ...] | None:
    """The items of a JSON list; None when the text is not JSON, such as the pattern `[0-9]+`."""
    if not text.startswith("["):
        return None
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(items, list) and items and all(isinstance(item, str) and item for item in items):
        return tuple(items)
    raise wrong("is a JSON list without patterns", 'Write texts in it: ["a{1,3}","b"]')


def _compile_error(pattern: str) -> str | None:
    # APISIX matches with the same library. Imported here because only guardrails need it.
    import pcre2  # type: ignore[import-untyped]

    try:
        pcre2.compile(pattern)
    except pcre2.LibraryError as error:
        return str(error).removeprefix("compilation failed ")
    return None


Cidrs = Annotated[tuple[str, ...], BeforeValidator(parse_cidrs)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(parse_patterns), AsJson()]
Origins = Annotated[
    tuple[str, ...],
    list_matching(
        r"[a-z][a-z0-9+.-]*://[A-Za-z0-9.\[\]:_-]+",
        "has an item that is not an origin",
        "Write origins without a path, like https://app.example.com, or * alone",
        all_words=("*",),
    ),
]
Methods = Annotated[
    tuple[str, ...],
    list_matching(
        "[A-Z]+",
        "has an item that is not an HTTP method",
        "Write methods like GET,POST,OPTIONS, or *",
        all_words=("*",),
    ),
]
