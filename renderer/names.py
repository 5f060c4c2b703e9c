"""The names of all settings, derived from the model, and the search for misspelt ones."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import get_args

from pydantic.fields import FieldInfo

from renderer.model import Backend, Client, Group, NumberedGroup, Settings
from renderer.problems import Problem

NUMBERED_GROUPS: tuple[type[NumberedGroup], ...] = (Backend, Client)

# Every variable that begins so is ours, hence a mistake when the model does not know it. Prefixes that other
# software uses as well (AZURE_, REDIS_, OTEL_, ENABLE_, APISIX_ …) are not here: for those only a near miss
# of a known name is a mistake.
OWN_PREFIXES = (
    "AI_PROXY_",
    "AI_RATE_LIMIT_",
    "AZURE_OPENAI_",
    "BREAKER_",
    "COOLDOWN_",
    "CORS_",
    "ENTRA_",
    "GATEWAY_",
    "LB_",
    "LOW_LANE_",
    "QUOTA_",
    "RATE_LIMIT_",
)

# The OpenAI SDKs read these; a shell or container may have them for other programs.
SDK_VARIABLES = frozenset(
    {
        "AZURE_OPENAI_AD_TOKEN",
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_API_VERSION",
        "AZURE_OPENAI_ENDPOINT",
    }
)

# Kubernetes and Docker describe a service called "gateway" with variables like GATEWAY_PORT_9080_TCP_ADDR.
_SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?$")

_NUMBERED = re.compile(r"(?P<stem>[A-Z][A-Z_]*)_(?P<index>0|[1-9][0-9]{0,8})")

_NUMBER = re.compile(r"(?<!\d)\d{1,9}(?!\d)")


@dataclass(frozen=True, slots=True)
class Numbered:
    """The parts of a numbered variable: its group, the model's field and the index."""

    group: type[NumberedGroup]
    field: str
    index: int


def env_of(info: FieldInfo) -> str:
    """The variable, or the part of it, that a field of the model is read from."""
    extra = info.json_schema_extra
    assert isinstance(extra, dict)
    return str(extra["env"])


def unit_of(info: FieldInfo) -> str:
    """The unit of a field's values; "" without one."""
    extra = info.json_schema_extra
    assert isinstance(extra, dict)
    return str(extra["unit"])


def is_secret(info: FieldInfo) -> bool:
    """Whether values of this field must never be shown."""
    kinds = (info.annotation, *get_args(info.annotation))
    return any(getattr(kind, "__name__", "") == "SecretStr" for kind in _flatten(kinds))


def _flatten(kinds: tuple[object, ...]) -> Iterator[object]:
    for kind in kinds:
        yield kind
        yield from _flatten(get_args(kind))


@cache
def scalar_groups() -> dict[str, type[Group]]:
    """The groups that are not numbered, by their field in `Settings`."""
    return {
        field: info.annotation
        for field, info in Settings.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, Group)
    }


@cache
def scalar_names() -> frozenset[str]:
    """The variables outside the numbered groups."""
    return frozenset(
        env_of(info) for group in scalar_groups().values() for info in group.model_fields.values()
    )


@cache
def _numbered_stems() -> dict[str, tuple[type[NumberedGroup], str]]:
    return {
        f"{group.prefix}_{env_of(info)}": (group, field)
        for group in NUMBERED_GROUPS
        for field, info in group.model_fields.items()
    }


@cache
def numbered(name: str) -> Numbered | None:
    """Take a variable such as `AZURE_OPENAI_KEY_0` apart; None when the model has no such variable."""
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return None
    found = _numbered_stems().get(match["stem"])
    return None if found is None else Numbered(found[0], found[1], int(match["index"]))


def is_known(name: str) -> bool:
    """Whether the model has a variable of that name."""
    return name in scalar_names() or numbered(name) is not None


def variable(group: type[Group], field: str, index: int | None = None) -> str:
    """The variable that a field is read from."""
    env = env_of(group.model_fields[field])
    if not issubclass(group, NumberedGroup):
        return env
    return f"{group.prefix}_{env}_{'<N>' if index is None else index}"


def misspelt(values: Mapping[str, str]) -> list[Problem]:
    """One problem for every variable that was evidently meant for the gateway but is unknown to it."""
    problems = []
    for name, value in values.items():
        if is_known(name) or name in SDK_VARIABLES or _is_service_link(name, value):
            continue
        suggestion = _suggestion(name)
        if suggestion is not None:
            problems.append(Problem(name, "is not a setting of the gateway", f"Did you mean {suggestion}?"))
        elif name.startswith(OWN_PREFIXES):
            problems.append(
                Problem(
                    name, "is not a setting of the gateway", "Remove it, or look its name up in the reference"
                )
            )
    return problems


def _suggestion(name: str) -> str | None:
    spelt_right = name.upper().replace("-", "_")  # as in Key Vault: azure-openai-key-0
    if is_known(spelt_right):
        return spelt_right
    return closest_name(name) if name.startswith(OWN_PREFIXES) else _near_miss(name)


def _is_service_link(name: str, value: str) -> bool:
    return bool(_SERVICE_LINK.search(name)) or (name.endswith("_PORT") and value.startswith("tcp://"))


def closest_name(name: str) -> str | None:
    """The known variable that resembles `name` most, with the same index where it has one."""
    found = difflib.get_close_matches(name, _candidates(name), n=1, cutoff=0.75)
    return found[0] if found else None


def _candidates(name: str) -> list[str]:
    """What `name` may be meant for: the plain variables, and the numbered ones with its last number."""
    numbers = _NUMBER.findall(name)
    index = int(numbers[-1]) if numbers else 0  # reads the digits of any script
    return sorted([*scalar_names(), *(f"{stem}_{index}" for stem in _numbered_stems())])


def _near_miss(name: str) -> str | None:
    """A known variable one slip of the keyboard away; two slips for long names."""
    slips = 1 if len(name) <= 12 else 2
    letters = Counter(name)
    for known in _candidates(name):
        near = abs(len(known) - len(name)) <= slips and (letters - Counter(known)).total() <= slips
        if near and len(known) >= 8 and _distance(name, known) <= slips:
            return known
    return None


def _distance(left: str, right: str) -> int:
    """Edits (insert, delete, replace, swap neighbours) that turn `left` into `right`."""
    last: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        second_last, last, row = last, row, [i]
        for j, b in enumerate(right, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, second_last[j - 2] + 1)
            row.append(cost)
    return row[-1]
