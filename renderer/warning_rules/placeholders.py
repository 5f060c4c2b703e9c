"""Texts that only mark a place: what nothing expands, and what an example or a template has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from renderer.draft import Draft
from renderer.model.backends import Backend
from renderer.model.clients import TokenLimits
from renderer.model.group import is_secret, types_in
from renderer.names import Place, place_of, variable
from renderer.parsers.basics import AsJson
from renderer.parsers.urls import host_of
from renderer.problems import Problem

_MARK = re.compile(
    r"<[^<>]*>|(change|replace)[-_ ]?(me|this)|todo|tbd|fixme|placeholder|x{3,}|\*{3,}|\.{3,}|…|"
    r"(your|insert|enter|paste)[-_ ].*",
    re.IGNORECASE,
)
_MARK_OF_A_KEY = re.compile(r"my[-_ ].*key", re.IGNORECASE)

_MAY_BE_UNEXPANDED = re.compile(r"[$%@{]")
# Each with how a message shows it: the text itself may hold a part of a secret.
_UNEXPANDED = (
    (re.compile(r"\$\{\{[^{}]*\}\}"), "${{…}}"),
    (re.compile(r"\$\{[^{}]*\}"), "${…}"),
    (re.compile(r"\$\([^()]*\)"), "$(…)"),
    (re.compile(r"\{\{[^{}]*\}\}"), "{{…}}"),
    (re.compile(r"^%[A-Za-z_]\w*%$"), "%…%"),
    (re.compile(r"^\$(env:)?[A-Za-z_]\w*$"), "$…"),
    (re.compile(r"^@Microsoft\.KeyVault\(.*\)$", re.IGNORECASE), "@Microsoft.KeyVault(…)"),
)

EXAMPLE_RESOURCES = ("my-resource", "my-eastus", "my-westus")
"""Names of resources in our own examples."""

# RFC 2606 reserves these names, so nobody has them.
_RESERVED = re.compile(r"(?:.*\.)?(?:example\.(?:com|net|org)|example|invalid)")


def is_mark(text: str) -> bool:
    """Whether a text only marks a place: `<your key>`, `change-me`, `…`."""
    return _MARK.fullmatch(text.strip()) is not None


def placeholder(setting: str, text: str) -> Problem | None:
    """What is wrong with a text that stands where a value should be; None for any other text."""
    found = _unexpanded(text) if _MAY_BE_UNEXPANDED.search(text) else None
    place = place_of(setting) if found or is_mark(text) or _MARK_OF_A_KEY.fullmatch(text) else None
    if place is None or _is_free_text(place):
        return None
    if found:
        return Problem(setting, f"has {found} in it, which nothing replaces here", "Write the value itself")
    if is_mark(text) or is_secret(place.group.model_fields[place.field]):
        return Problem(setting, "is a placeholder", "Write the real value")
    return None


def _unexpanded(text: str) -> str | None:
    return next((shown for pattern, shown in _UNEXPANDED if pattern.search(text)), None)


def _is_free_text(place: Place) -> bool:
    """Whether such texts have a meaning of their own: regular expressions, JSON, messages."""
    info = place.group.model_fields[place.field]
    is_message = (place.group, place.field) == (TokenLimits, "reject_message")
    return is_message or any(isinstance(kind, AsJson) for kind in types_in(info.annotation))


def _texts(draft: Draft) -> Iterator[Problem]:
    for setting, text in draft.texts.items():
        found = placeholder(setting, text)
        if found is not None:
            yield found


def _examples(draft: Draft) -> Iterator[Problem]:
    for index, backend in draft.valid(Backend).items():
        host = host_of(backend.endpoint)
        is_ours = host.split(".")[0] in EXAMPLE_RESOURCES
        if is_ours or host.startswith("your") or _RESERVED.fullmatch(host):
            yield Problem(
                variable(Backend, "endpoint", index),
                "is the address of an example",
                "Write the endpoint of your resource, which the portal shows beside its keys",
            )


RULES = (_texts, _examples)
