"""Which env file is read: the one that is named, else `.env` of the working directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

USUAL_NAME = ".env"
NOT_SEARCHED_OPTION = "--no-env-file"


@dataclass(frozen=True)
class EnvFile:
    """An env file, and whether it was found without being named."""

    path: Path
    was_found: bool = False

    def __str__(self) -> str:
        if self.was_found:
            return f"{self.path} (found in this directory; {NOT_SEARCHED_OPTION} leaves it out)"
        return str(self.path)


def chosen_env_file(named: Path | None, *, search: bool = True) -> EnvFile | None:
    """The file that is named, which need not exist; else `.env`, where there is one and `search` is on.

    Example: `chosen_env_file(None)` in a directory with `.env` → `EnvFile(Path(".env"), was_found=True)`.
    """
    if named is not None:
        return EnvFile(named)
    usual = Path(USUAL_NAME)
    return EnvFile(usual, was_found=True) if search and usual.is_file() else None
