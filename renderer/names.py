"""The names of all settings, derived from the model: from a name to its place in the model and back.

A setting has two names: its variable, and its path in a YAML file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from renderer.model import Settings
from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.model.group import Group, NumberedGroup, extra_of, is_secret, types_in

NUMBERED_GROUPS: tuple[type[NumberedGroup], ...] = (Backend, Client)

_NUMBERED = re.compile(r"(?P<stem>[A-Z][A-Z_]*)_(?P<index>0|[1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the model keeps a variable: the group, its field, and the index of a numbered group's member."""

    group: type[Group]
    field: str
    index: int | None = None


@cache
def place_of(name: str) -> Place | None:
    """The place of a variable; None when the model has no such variable.

    Examples: `AZURE_OPENAI_KEY_0` → `Place(Backend, "key", 0)`, `REDIS_HOST` → `Place(Redis, "host")`.
    """
    match = _NUMBERED.fullmatch(name)
    if match is None or match["stem"] not in numbered_stems():
        return _scalar_places().get(name)
    place = numbered_stems()[match["stem"]]
    return Place(place.group, place.field, int(match["index"]))


def variable(group: type[Group], field: str, index: int | None = None) -> str:
    """The variable that a field is read from. Example: `(Backend, "key", 0)` → `AZURE_OPENAI_KEY_0`."""
    env = extra_of(group.model_fields[field])["env"]
    if not issubclass(group, NumberedGroup):
        return env
    return f"{group.prefix}_{env}_{'<N>' if index is None else index}"


def yaml_path(place: Place) -> str:
    """Where a YAML file has a setting: the names of the model.

    Examples: `Place(Backend, "key", 0)` → `backends[0].key`, `Place(Redis, "host")` → `redis.host`.
    """
    section = next(name for name, group in sections().items() if group is place.group)
    if not issubclass(place.group, NumberedGroup):
        return f"{section}.{place.field}"
    return f"{section}[{'N' if place.index is None else place.index}].{place.field}"


def variables(group: type[NumberedGroup], index: int, fields: Mapping[str, str]) -> dict[str, str]:
    """Settings of one member of a numbered group.

    Example: `(Backend, 0, {"name": "eastus", "key": "k"})` →
    `{"AZURE_OPENAI_NAME_0": "eastus", "AZURE_OPENAI_KEY_0": "k"}`.
    """
    return {variable(group, field, index): value for field, value in fields.items()}


def indices(group: type[NumberedGroup], names: Iterable[str]) -> list[int]:
    """The members of a numbered group that variables speak of, in order.

    Example: `(Backend, ["AZURE_OPENAI_KEY_2", "AZURE_OPENAI_NAME_0", "LB_ALG"])` → `[0, 2]`.
    """
    places = map(place_of, names)
    return sorted({place.index or 0 for place in places if place is not None and place.group is group})


def is_known(name: str) -> bool:
    """Whether the model has a variable of that name."""
    return place_of(name) is not None


def secret_of(name: str) -> str:
    """The secret of Key Vault for a variable. Example: `AZURE_OPENAI_KEY_0` → `azure-openai-key-0`."""
    return name.lower().replace("_", "-")


def is_secret_name(name: str) -> bool:
    """Whether values of that variable must never be shown. Example: `REDIS_PASSWORD` → `True`."""
    place = place_of(name)
    return place is not None and is_secret(place.group.model_fields[place.field])


@cache
def sections() -> dict[str, type[Group]]:
    """All groups by their field in `Settings`, which is the section of a YAML file."""
    return {
        field: next(
            kind for kind in types_in(info.annotation) if isinstance(kind, type) and issubclass(kind, Group)
        )
        for field, info in Settings.model_fields.items()
    }


@cache
def scalar_groups() -> dict[str, type[Group]]:
    """The groups that are not numbered, by their field in `Settings`."""
    return {field: group for field, group in sections().items() if not issubclass(group, NumberedGroup)}


def scalar_names() -> frozenset[str]:
    """The variables outside the numbered groups."""
    return frozenset(_scalar_places())


@cache
def _scalar_places() -> dict[str, Place]:
    return {
        variable(group, field): Place(group, field)
        for group in scalar_groups().values()
        for field in group.model_fields
    }


@cache
def numbered_stems() -> dict[str, Place]:
    """The variables of numbered groups without their number. Example: `AZURE_OPENAI_KEY` → its place."""
    return {
        variable(group, field, 0).removesuffix("_0"): Place(group, field)
        for group in NUMBERED_GROUPS
        for field in group.model_fields
    }
