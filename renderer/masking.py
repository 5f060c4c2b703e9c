"""Shows configuration without its secrets; a changed secret still looks changed."""

from __future__ import annotations

import difflib
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterator

import yaml

# Keys of the rendered files whose values are secrets, or digests by which a weak secret can be guessed.
_SECRET_KEYS = re.compile(
    r"key|key_sha256|.*password|.*secret|.*connection_string|.*token|authorization", re.I
)

# In these blocks `key` says what to count or hash by.
_KEY_IS_NO_SECRET = frozenset({"balancer", "limit-req", "limit-count"})

_SECRET_TEXT = re.compile(r"(?i)\b(InstrumentationKey|AccountKey|SharedAccessKey|api[-_]?key)=[^;\s\"']+")

Mask = Callable[[str], str]


def fingerprints() -> Mask:
    """A mask that gives equal secrets equal stand-ins.

    The stand-in is a keyed hash with a random key that ends with the process. Within one diff a changed
    secret looks changed, and the output is no use for guessing. Example: `hunter2` → `<secret 3f9c0a1b>`.
    """
    key = secrets.token_bytes(32)

    def mask(secret: str) -> str:
        return f"<secret {hmac.new(key, secret.encode(), hashlib.sha256).hexdigest()[:8]}>"

    return mask


def masked_diff(name: str, old: str | None, new: str) -> str:
    """A unified diff of two versions of a rendered file, secrets masked; "" when they are equal.

    Example: the changed line `key: a` appears as `-key: <secret 11…>` and `+key: <secret 22…>`.
    """
    if old == new:
        return ""
    mask = fingerprints()
    before = [] if old is None else masked_lines(old, mask)
    lines = difflib.unified_diff(before, masked_lines(new, mask), f"{name} (now)", f"{name} (new)", "", "", 2)
    return "\n".join(line.rstrip("\n") for line in lines)


def masked_lines(text: str, mask: Mask) -> list[str]:
    """A YAML document as lines, secrets masked; a text that cannot be parsed is not shown at all.

    Example: `{name: a, key: b}` → `["name: a", "key: <secret …>"]`.
    """
    try:
        document = yaml.load(text, Loader=yaml.CBaseLoader)  # noqa: S506 - every scalar stays text
        return list(_lines(_masked(document, mask, parent=""), indent=""))
    except (yaml.YAMLError, RecursionError):  # an anchor can contain itself
        return ["<not valid YAML>"]


def _lines(value: object, indent: str) -> Iterator[str]:
    """YAML's block layout, a line for each scalar. PyYAML's dumper takes seconds for thousands of clients."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _entry(f"{indent}{key}:", inner, indent)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _entry(f"{indent}-", inner, indent)
    else:
        yield f"{indent}{_scalar(value)}"


def _entry(head: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from _lines(value, f"{indent}  ")
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value, default=str)


def _masked(value: object, mask: Mask, parent: str) -> object:
    if isinstance(value, dict):
        return dict(_masked_items(value, mask, parent))
    if isinstance(value, list):
        return [_masked(item, mask, parent) for item in value]
    if isinstance(value, str):
        return _SECRET_TEXT.sub(lambda found: f"{found[1]}={mask(found[0])}", value)
    return value


def _masked_items(value: dict[object, object], mask: Mask, parent: str) -> Iterator[tuple[object, object]]:
    for key, inner in value.items():
        name = str(key)
        harmless = name == "key" and parent in _KEY_IS_NO_SECRET
        if _SECRET_KEYS.fullmatch(name) and not harmless:
            yield key, _all_masked(inner, mask)
        else:
            yield key, _masked(inner, mask, parent=name)


def _all_masked(value: object, mask: Mask) -> object:
    """Mask every scalar below a secret key."""
    if isinstance(value, dict):
        return {key: _all_masked(inner, mask) for key, inner in value.items()}
    if isinstance(value, list):
        return [_all_masked(item, mask) for item in value]
    return mask(str(value))
