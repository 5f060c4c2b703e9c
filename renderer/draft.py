"""From texts to a draft of the settings. Each group is parsed by itself, so all mistakes are found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from renderer.model import Settings
from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.model.group import Group, NumberedGroup
from renderer.names import NUMBERED_GROUPS, place_of, scalar_groups, variable
from renderer.problems import Problem
from renderer.wording import explain

G = TypeVar("G", bound=Group)
M = TypeVar("M", bound=NumberedGroup)

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass
class Draft:
    """The settings as far as they are valid: a group or a member with a mistake in it is None.

    `unknown` are the texts that have no place in the model. `damaged` has a problem for each variable whose
    text was damaged on its way; `problems` has the others.
    """

    texts: Mapping[str, str]
    groups: dict[type[Group], Group | None] = field(default_factory=dict)
    members: dict[type[NumberedGroup], dict[int, NumberedGroup | None]] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    damaged: dict[str, Problem] = field(default_factory=dict)

    def group(self, kind: type[G]) -> G | None:
        """The group of that class, when it is valid."""
        return cast("G | None", self.groups[kind])

    def valid(self, kind: type[M]) -> dict[int, M]:
        """The valid members of a numbered group, by index."""
        return {i: cast("M", m) for i, m in self.members[kind].items() if m is not None}

    def sound(self, kind: type[NumberedGroup], name: str) -> dict[int, str]:
        """The texts of one field of all members that have it, by index, without those that are wrong.

        For rules about that field alone: a mistake in another field of the member does not hide theirs.
        """
        wrong = {problem.setting for problem in self.problems}
        names = {index: variable(kind, name, index) for index in self.members[kind]}
        return {
            index: str(self.texts[name])
            for index, name in names.items()
            if name in self.texts and name not in wrong
        }

    def is_set(self, kind: type[Group], name: str, index: int | None = None) -> bool:
        """Whether some source has the variable of that field."""
        return variable(kind, name, index) in self.texts

    def settings(self) -> Settings:
        """The whole; to be called when there are no problems."""
        groups: dict[str, Any] = {name: self.groups[kind] for name, kind in scalar_groups().items()}
        backends, clients = self.valid(Backend).values(), self.valid(Client).values()
        return Settings(backends=tuple(backends), clients=tuple(clients), **groups)


def parse(texts: Mapping[str, str]) -> Draft:
    """Parse every variable that the model knows, and set the others aside.

    Example: `{"REDIS_HOST": "a"}` → a draft whose `group(Redis).host` is `a`, and without any backend.
    """
    draft = Draft(texts)
    by_member: dict[tuple[type[Group], int | None], dict[str, str]] = {}
    for name, text in texts.items():
        place = place_of(name)
        if place is None:
            draft.unknown[name] = text
            continue
        by_member.setdefault((place.group, place.index), {})[place.field] = str(text)
        if damage := _damage(text):
            draft.damaged[name] = Problem(name, *damage)
    for group in scalar_groups().values():
        draft.groups[group] = _validated(group, None, by_member.get((group, None), {}), draft.problems)
    for kind in NUMBERED_GROUPS:
        indices = sorted(index for group, index in by_member if group is kind and index is not None)
        draft.members[kind] = {
            index: _validated(kind, index, by_member[kind, index], draft.problems) for index in indices
        }
        draft.problems += _gaps(kind, {index: by_member[kind, index] for index in indices})
    return draft


def _damage(text: str) -> tuple[str, str] | None:
    if _UNPRINTABLE.search(text):
        return "has control characters or bytes that are not UTF-8", "Write it again as plain text"
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":  # only an env file takes them off
        return "has quotation marks around it, which would be part of the value", "Write it without them"
    return None


def _validated(
    group: type[G], index: int | None, data: Mapping[str, str], problems: list[Problem]
) -> G | None:
    try:
        return group.model_validate(data)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False, include_input=False):
            name = str(error["loc"][0])
            what, remedy = explain(group, name, error, data.get(name))
            problems.append(Problem(variable(group, name, index), what, remedy))
    return None


def _gaps(group: type[NumberedGroup], members: Mapping[int, Mapping[str, str]]) -> Iterator[Problem]:
    """A problem for each run of missing numbers, naming the variables that come after it."""
    expected = 0
    for place, (index, given) in enumerate(members.items()):
        if index > expected:
            missing = str(expected) if index == expected + 1 else f"{expected} to {index - 1}"
            orphans = ", ".join(variable(group, name, index) for name in group.model_fields if name in given)
            yield Problem(
                f"{group.prefix}_*_{expected}",
                f"is missing: there is no {group.member} {missing}, which leaves {orphans} behind a gap",
                f"Number the {group.member}s from 0 without gaps: rename _{index} to _{place} (and those "
                f"after it), or set {variable(group, next(iter(group.model_fields)), expected)}",
            )
        expected = index + 1
