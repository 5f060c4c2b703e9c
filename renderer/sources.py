"""Where the text of settings comes from: the environment, then Key Vault, then an env file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from renderer.errors import ConfigurationError, Problem

_ASSIGNMENT = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")
_QUOTED = re.compile(r"""(?P<quote>["'])(?P<text>.*)(?P=quote)\s*(#.*)?""")


def read_env_file(path: Path | str) -> dict[str, str]:
    """Read a file of `NAME=value` lines.

    `#` begins a comment, at the start of a line or after a blank; quotes around a value are taken off and
    keep such a `#`; nothing is expanded. Raises `ConfigurationError` with a problem for each bad line.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise ConfigurationError(
            [Problem(str(file), "does not exist", "Correct the path in --env-file")]
        ) from None
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(
            [Problem(str(file), "cannot be read as UTF-8 text", "Check the file and its permissions")]
        ) from None
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(text)
        where = f"{file}, line {number},"
        if match is None:
            problems.append(Problem(where, "is not an assignment", "Write NAME=value"))
        elif match["name"] in values:
            problems.append(
                Problem(where, f"sets {match['name']} a second time", "Keep one of the two lines")
            )
        else:
            values[match["name"]] = _unquote(match["value"])
    if problems:
        raise ConfigurationError(problems)
    return values


def _unquote(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    return quoted["text"] if quoted else re.split(r"(?:^|\s)#", value, maxsplit=1)[0]


def present(values: Mapping[str, str]) -> dict[str, str]:
    """Trim all values and drop the empty ones: an empty variable is an unset one."""
    trimmed = ((name, value.strip()) for name, value in values.items())
    return {name: value for name, value in trimmed if value}
