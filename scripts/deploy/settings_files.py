"""Which of the user's files hold the settings of a stack, and what each of them says.

One file holds everything: what all stacks share, the settings of the gateway, and a section for each other
stack. The earlier form, a file for each stack, is read as well.

    subscription_id = "…"             # common
    app_settings    = { … }           # of the gateway, the workload stack
    min_replicas    = 1
    platform        = {               # of another stack
      registry_sku = "Premium"
    }
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.layout import STACKS, Layout, Stack
from scripts.deploy.tfvars import read_tfvars

GATEWAY = STACKS["workload"]
SECTIONS = tuple(name for name, stack in STACKS.items() if stack is not GATEWAY)
"""The names of the sections in the one file."""


IDENTITY = ("subscription_id", "name", "environment", "suffix")
"""Settings that must be the same in every stack: names, and so the state, depend on them."""

COMMON = (*IDENTITY, "location", "tags", "adopt_existing")
"""Settings that every stack has. In a section, location and tags may differ from those at the top."""


@dataclass(frozen=True, slots=True)
class Part:
    """Settings of one stack in one file."""

    path: Path
    values: Mapping[str, Any]
    section: str = ""
    """The section that they are in; empty at the top of the file."""

    def place(self, name: str) -> str:
        """A setting as the user finds it: `location` gives `platform.location` in that section."""
        return f"{self.section}.{name}" if self.section else name


@dataclass(frozen=True, slots=True)
class SettingsFiles:
    """The user's files of one environment."""

    layout: Layout

    def whole(self) -> list[Path]:
        """The files for all stacks that exist, the one to name first."""
        return [path for path in (self.layout.settings, self.layout.settings_of_gateway) if path.exists()]

    def earlier(self) -> list[Path]:
        """The files of the earlier form that exist."""
        paths = (self.layout.settings_of_stack(stack) for stack in STACKS.values())
        return [path for path in paths if path.exists()]

    def paths(self, stack: Stack) -> list[Path]:
        """The files that may hold settings of a stack and exist, the one to name first."""
        own = self.layout.settings_of_stack(stack)
        return [*self.whole(), *([own] if own.exists() else [])]

    def hold(self, stack: Stack) -> bool:
        """Whether there are settings of a stack. One that is not optional needs no section."""
        if self.layout.settings_of_stack(stack).exists():
            return True
        if not stack.is_optional:
            return bool(self.whole())
        return any(stack.name in read_tfvars(path) for path in self.whole())

    def names(self) -> Iterator[tuple[Path, list[str]]]:
        """What stands at the top of each file for all stacks, without the sections."""
        for path in self.whole():
            yield path, [name for name in read_tfvars(path) if name not in SECTIONS]

    def parts(self, stack: Stack) -> list[Part]:
        """What the files say of a stack. Raises `InvalidSettingsError` when two of them say the same."""
        whole = self.whole()
        parts = [
            part
            for path in self.paths(stack)
            for part in (_of_whole(path, stack) if path in whole else [Part(path, read_tfvars(path))])
        ]
        _refuse_repeated(parts)
        return parts


def _of_whole(path: Path, stack: Stack) -> Iterator[Part]:
    """The settings of a stack in a file for all stacks. Outside of sections are those of the gateway."""
    values = read_tfvars(path)
    sections = {name: values.pop(name) for name in SECTIONS if name in values}
    wrong = [name for name, section in sections.items() if not isinstance(section, Mapping)]
    if wrong:
        raise InvalidSettingsError(
            f"{path} cannot be used:", details=[f"{name} must be a map: {name} = {{ … }}." for name in wrong]
        )
    if stack is GATEWAY:
        yield Part(path, values)
        return
    section = sections.get(stack.name, {})
    shared = {name for name in COMMON if name in IDENTITY or name not in section}
    yield Part(path, {name: value for name, value in values.items() if name in shared})
    yield Part(path, section, stack.name)


def _refuse_repeated(parts: list[Part]) -> None:
    names = Counter(name for part in parts for name in part.values)
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        raise InvalidSettingsError(
            "Settings are given twice:",
            details=[
                f"{name}: {' and '.join(_where(part, name) for part in parts if name in part.values)}"
                for name in repeated
            ],
            remedy="Keep one of each.",
        )


def _where(part: Part, name: str) -> str:
    return f"{part.place(name)} in {part.path}" if part.section else str(part.path)
