"""Where the text of settings comes from: the environment, then Key Vault, then an env file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from renderer.problems import ConfigurationError, Problem

_ASSIGNMENT = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")
_QUOTED = re.compile(r"""(?P<quote>["'])(?P<text>(?:(?!(?P=quote)).)*)(?P=quote)\s*(#.*)?""")
_QUOTES = ("'", '"')


def read_env_file(path: Path | str) -> dict[str, str]:
    """Read a file of `NAME=value` lines.

    `#` begins a comment, at the start of a line or after a blank; quotes around a value are taken off and
    keep such a `#`; a value ends with its line; nothing is expanded. Raises `ConfigurationError` with a
    problem for each bad line.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise ConfigurationError(
            [Problem(str(file), "does not exist", "Correct the path in --env-file")]
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            [
                Problem(
                    str(file),
                    "is not UTF-8 text",
                    "Save it as UTF-8 (PowerShell: Set-Content -Encoding utf8)",
                )
            ]
        ) from None
    except OSError as error:
        reason = (error.strerror or "read error").lower()
        raise ConfigurationError(
            [Problem(str(file), f"cannot be read ({reason})", "Check the path and its permissions")]
        ) from None
    values: dict[str, str] = {}
    first_set: dict[str, int] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(text)
        where = f"{file}, line {number},"
        if match is None:
            problems.append(Problem(where, "is not an assignment", "Write NAME=value"))
        elif match["name"] in first_set:
            what = f"sets a variable a second time, after line {first_set[match['name']]}"
            problems.append(Problem(where, what, "Keep one of the two lines"))
        elif (value := _unquoted(match["value"])) is None:
            problems.append(
                Problem(
                    where,
                    "has a quotation mark too many or too few",
                    "Write the value on one line, and quotation marks that belong to it between those of the "
                    """other kind: '{"a":1}'""",
                )
            )
        else:
            first_set[match["name"]] = number
            values[match["name"]] = value
    if problems:
        raise ConfigurationError(problems)
    return values


def _unquoted(value: str) -> str | None:
    """The value without quotes and comment; None when it begins with a quote and does not end with it."""
    quoted = _QUOTED.fullmatch(value)
    if quoted:
        return quoted["text"]
    return None if value.startswith(_QUOTES) else re.split(r"(?:^|\s)#", value, maxsplit=1)[0]


def in_quotes(value: str) -> bool:
    """Whether quotation marks are around the value, which only an env file takes off."""
    return len(value) > 1 and value[0] == value[-1] and value.startswith(_QUOTES)


def present(values: Mapping[str, str]) -> dict[str, str]:
    """Trim all values and drop the empty ones: an empty variable is an unset one."""
    trimmed = ((name, value.strip()) for name, value in values.items())
    return {name: value for name, value in trimmed if value}
