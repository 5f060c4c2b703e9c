"""Which file of settings is read: the named one, else one with a usual name in the working directory."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from renderer.model.backends import Backend
from renderer.names import variable
from renderer.problems import ConfigurationError, Problem
from renderer.resources import EXAMPLE

USUAL_NAMES = (".env", "gateway.yaml", "gateway.yml")
NAMING_OPTION = "--settings"
NOT_SEARCHED_OPTION = "--no-settings"
NOT_SEARCHED_ALIAS = "--no-env-file"


@dataclass(frozen=True)
class SettingsFile:
    """A file of settings, and whether it was found without being named."""

    path: Path
    was_found: bool = False

    def __str__(self) -> str:
        if self.was_found:
            return f"{self.path} (found in this directory; {NOT_SEARCHED_OPTION} leaves it out)"
        return str(self.path)


def chosen_settings_file(named: Path | None, *, search: bool = True) -> SettingsFile | None:
    """The file that is named, which need not exist; else the one with a usual name, if `search` is on.

    Example: `chosen_settings_file(None)` in a directory with `.env` → `SettingsFile(Path(".env"),
    was_found=True)`. Raises `ConfigurationError` when options do not go together, and where several files
    have usual names: whoever reads one of them may not read what was changed last.
    """
    if named is not None:
        if not search:
            raise ConfigurationError([_contradiction()])
        return SettingsFile(named)
    found = [path for path in map(Path, USUAL_NAMES) if path.is_file()] if search else []
    if len(found) > 1:
        raise ConfigurationError([_several(found)])
    return SettingsFile(found[0], was_found=True) if found else None


def where_to_begin(error: ConfigurationError, named: Path | None, *, search: bool) -> str | None:
    """A first step for somebody who has no settings at all; None for all others."""
    first = variable(Backend, "endpoint", 0)
    has_none = any(problem.setting == first and not problem.origin for problem in error.problems)
    if named is not None or not search or not has_none or any(Path(name).is_file() for name in USUAL_NAMES):
        return None
    found = f"No file of settings was read: this directory has no {' or '.join(USUAL_NAMES[:2])}."
    if not EXAMPLE.is_file():
        return found
    here = Path.cwd()
    example = EXAMPLE.relative_to(here) if EXAMPLE.is_relative_to(here) else EXAMPLE
    return f"{found} To begin with a commented one: cp {shlex.quote(str(example))} {USUAL_NAMES[0]}"


def _contradiction() -> Problem:
    return Problem(NAMING_OPTION, f"does not go with {NOT_SEARCHED_OPTION}", "Leave one of the two out")


def _several(found: list[Path]) -> Problem:
    names = " and ".join(map(str, found))
    remedy = f"Name the one to read, as in {NAMING_OPTION} {found[-1]}, or move the other away"
    return Problem(names, "are both here, and only one file is read", remedy)
