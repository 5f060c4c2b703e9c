"""The format of the file given with `--env-file`."""

from __future__ import annotations

import re
from pathlib import Path

from renderer.problems import ConfigurationError, Problem

# python-dotenv would accept without a word what is a mistake here: a second line of a quoted value, a
# variable that is set twice, a line without "=".
_ASSIGNMENT = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")
_QUOTED = re.compile(r"""(?P<quote>["'])(?P<text>(?:(?!(?P=quote)).)*)(?P=quote)\s*(#.*)?""")


def read_env_file(path: Path | str) -> dict[str, str]:
    """Read a file of `NAME=value` lines.

    `#` begins a comment, at the start of a line or after a blank. Quotes around a value are taken off and
    protect a `#`. A value ends with its line, and nothing is expanded. Example: the lines `# mine` and
    `export REDIS_HOST = "a" # b` → `{"REDIS_HOST": "a"}`. Raises `ConfigurationError` with a problem for each
    bad line.
    """
    file = Path(path)
    values: dict[str, str] = {}
    first_set: dict[str, int] = {}
    problems: list[Problem] = []
    for number, line in enumerate(_text(file).split("\n"), start=1):
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
            problems.append(Problem(where, "has a quotation mark too many or too few", _QUOTES_REMEDY))
        else:
            first_set[match["name"]] = number
            values[match["name"]] = value
    if problems:
        raise ConfigurationError(problems)
    return values


_QUOTES_REMEDY = (
    "Write the value on one line. Put a value that has quotation marks between those of the other kind: "
    """'{"a":1}'"""
)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problem = Problem(str(file), "does not exist", "Correct the path in --env-file")
    except UnicodeDecodeError:
        remedy = "Save it as UTF-8 (PowerShell: Set-Content -Encoding utf8)"
        problem = Problem(str(file), "is not UTF-8 text", remedy)
    except OSError as error:
        reason = (error.strerror or "read error").lower()
        problem = Problem(str(file), f"cannot be read ({reason})", "Check the path and its permissions")
    raise ConfigurationError([problem])


def _unquoted(value: str) -> str | None:
    """The value without quotes and comment; None when it begins with a quote and does not end with it."""
    quoted = _QUOTED.fullmatch(value)
    if quoted:
        return quoted["text"]
    return None if value.startswith(("'", '"')) else re.split(r"(?:^|\s)#", value, maxsplit=1)[0]
