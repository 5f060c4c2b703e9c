"""Reads the user's tfvars. Nothing here ever writes a user's file."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hcl2
from lark import Token, Tree

from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.hcl import AS_WRITTEN, near, plain_key, plain_value, text_of

_PLACEHOLDER = re.compile(r"<[^<>]*>|(change|replace)[-_ ]?me|todo|x{3,}|\.{3}|…|your[-_ ].*", re.IGNORECASE)


def is_placeholder(value: str) -> bool:
    """Whether a value only marks a place: `<your key>`, `change-me`, an empty text …"""
    return not value.strip() or _PLACEHOLDER.fullmatch(value.strip()) is not None


def read_tfvars(path: Path) -> dict[str, Any]:
    """Values of a tfvars file by variable name. Raises `InvalidSettingsError` with file and line.

    `name = "aigw"` gives `{"name": "aigw"}`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a byte order mark first
    except OSError as error:
        raise InvalidSettingsError(f"{path} cannot be read: {error.strerror or 'unreadable'}.") from None
    except UnicodeDecodeError:
        raise InvalidSettingsError(f"{path} is not UTF-8 text.") from None
    try:
        parsed, twice = _parsed(text)
    except Exception as error:  # the parser's message quotes the text around the mistake, and so a secret
        raise InvalidSettingsError(
            f"{path} is not valid tfvars{near(error)}.",
            remedy='Each setting is `name = value`; texts are in double quotes, maps are { KEY = "value" }.',
        ) from None
    if twice:
        details = [f"{name} is given twice." for name in twice]
        raise InvalidSettingsError(f"{path} cannot be used:", details=details, remedy="Keep one of each.")
    return {plain_key(name): plain_value(value, path, name) for name, value in parsed.items()}


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> tuple[dict[str, Any], list[str]]:
    """The values as written, and the names that are given twice. A command reads the same file many times."""
    tree = hcl2.parses_to_tree(text + "\n")
    return hcl2.serialize(hcl2.transform(tree), serialization_options=AS_WRITTEN), list(_duplicates(tree))


def _duplicates(tree: Tree[Token], prefix: str = "") -> Iterator[str]:
    """Names that occur more than once in the same map. Terraform silently keeps one, as the parser does."""
    seen: set[str] = set()
    for child in tree.children:
        if not isinstance(child, Tree):
            continue
        if child.data not in {"attribute", "object_elem"}:
            yield from _duplicates(child, prefix)
            continue
        name = prefix + text_of(child.children[0]).strip().strip('"')
        if name in seen:
            yield name
        seen.add(name)
        yield from _duplicates(child, f"{name}.")


def lines_of(path: Path) -> dict[str, int]:
    """The line of each setting of a file: `app_settings = {`, `A = 1` give `{"app_settings.A": 2, …}`.

    Empty when there is no such file, or it cannot be read as one: who reads its values says so.
    """
    try:
        tree = hcl2.parses_to_tree(path.read_text(encoding="utf-8-sig") + "\n")
    except Exception:
        return {}
    return dict(_lines(tree))


def _lines(tree: Tree[Token], prefix: str = "") -> Iterator[tuple[str, int]]:
    for child in tree.children:
        if not isinstance(child, Tree):
            continue
        if child.data not in {"attribute", "object_elem"}:
            yield from _lines(child, prefix)
            continue
        name = prefix + text_of(child.children[0]).strip().strip('"')
        first = next(child.scan_values(lambda _: True), None)
        if isinstance(first, Token) and first.line is not None:
            yield name, first.line
        yield from _lines(child, f"{name}.")


def texts(name: str, value: Any) -> tuple[dict[str, str], list[str]]:
    """A map of settings as texts, and what is wrong with it.

    Numbers and booleans become the texts that the gateway reads: `{"A": True, "B": 3}` gives
    `{"A": "true", "B": "3"}` and no problems. A null is left out.
    """
    if value is None:
        return {}, []
    if not isinstance(value, Mapping):
        return {}, [f'{name} must be a map: {name} = {{ NAME = "value" }}.']
    given = {key: _text(item) for key, item in value.items() if item is not None}
    wrong = [key for key, text in given.items() if text is None]
    problems = [f"{name}.{key} must be a text, a number or a boolean." for key in wrong]
    return {key: text for key, text in given.items() if text is not None}, problems


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
