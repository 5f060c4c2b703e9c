"""The format of an env file: `NAME=value` lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from renderer.file_text import text_of_file
from renderer.names import is_known
from renderer.origins import Origin, Text
from renderer.problems import ConfigurationError, Problem

# python-dotenv would accept without a word what is a mistake here: a second line of a quoted value, a
# variable that is set twice, a line without "=".
_ASSIGNMENT = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")
_QUOTED = re.compile(r"""(?P<quote>["'])(?P<text>(?:(?!(?P=quote)).)*)(?P=quote)\s*(#.*)?""")

# How other programs write settings. A line of a private key, for example, is none of them, and is not shown.
_OTHER_FORMATS = (
    (re.compile(r"(?i:set)\s+\"?[A-Za-z_]\w*=.*"), "begins with set, as in the Windows command prompt"),
    (re.compile(r"(?i:setx)\s+\w+\s.*"), "begins with setx, as in the Windows command prompt"),
    (re.compile(r"(?i:\$env:)\w+\s*=.*"), "is an assignment of PowerShell"),
    (re.compile(r"(?i:env|arg)\s+[A-Za-z_]\w*[= ].*"), "is an instruction of a Dockerfile"),
    (re.compile(r"export\s+[A-Za-z_]\w*"), "exports a variable without a value"),
)
_YAML = re.compile(r"(-\s+)?[A-Za-z_][\w-]*\s*:(\s.*)?|-\s+\S.*|---")
_WRITE = "Write NAME=value"


def read_env_file(path: Path | str) -> dict[str, str]:
    """Read a file of `NAME=value` lines.

    `#` begins a comment, at the start of a line or after a blank. Quotes around a value are taken off and
    protect a `#`. A value ends with its line, and nothing is expanded. Example: the lines `# mine` and
    `export REDIS_HOST = "a" # b` → `{"REDIS_HOST": "a"}`. Each text knows its line. Raises
    `ConfigurationError` with a problem for each bad line.
    """
    file = Path(path)
    values: dict[str, str] = {}
    first_set: dict[str, int] = {}
    problems: list[Problem] = []
    yaml_lines: list[int] = []
    for number, line in enumerate(text_of_file(file).split("\n"), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(text)
        where = f"{file}, line {number},"
        if match is None and _YAML.fullmatch(text):
            yaml_lines.append(number)
        elif match is None:
            problems.append(Problem(where, *_no_assignment(text)))
        elif match["name"] in first_set:
            first = first_set[match["name"]]
            what = f"sets {_shown(match['name'])} again, after line {first}"
            problems.append(Problem(where, what, "Keep one of the two lines"))
        elif (value := _unquoted(match["value"])) is None:
            what = f"has a quotation mark too many or too few in {_shown(match['name'])}"
            problems.append(Problem(where, what, _QUOTES_REMEDY))
        else:
            first_set[match["name"]] = number
            values[match["name"]] = Text(value, Origin(f"{file}, line {number}"))
    problems += _of_yaml(file, yaml_lines)
    if problems:
        raise ConfigurationError(sorted(problems, key=_line), readable=values)
    return values


def _line(problem: Problem) -> int:
    """The line of a problem, which its place ends with."""
    return int(problem.setting.removesuffix(",").rpartition(" ")[2])


_QUOTES_REMEDY = (
    "Write the value on one line. Put a value that has quotation marks between those of the other kind: "
    """'{"a":1}'"""
)


def _no_assignment(text: str) -> tuple[str, str]:
    """What is wrong with a line that is no assignment, and what to write; never its text."""
    for pattern, what in _OTHER_FORMATS:
        if pattern.fullmatch(text):
            return what, f"{_WRITE} alone"
    return "is not an assignment", _WRITE


def _of_yaml(file: Path, lines: list[int]) -> Iterator[Problem]:
    """One problem for all the lines that are YAML: in a file of them each would have the same."""
    if lines:
        others = (
            f", and so {'are' if len(lines) > 2 else 'is'} {len(lines) - 1} more" if len(lines) > 1 else ""
        )
        yield Problem(
            f"{file}, line {lines[0]},",
            f"is YAML{others}",
            f"{_WRITE}, or give a file of YAML a name that ends in .yaml",
        )


def _shown(name: str) -> str:
    """A name in a message. Any other may be a part of a secret: `bXktc2VjcmV0=` looks like an assignment."""
    return name if is_known(name) else "a variable"


def _unquoted(value: str) -> str | None:
    """The value without quotes and comment; None when it begins with a quote and does not end with it."""
    quoted = _QUOTED.fullmatch(value)
    if quoted:
        return quoted["text"]
    return None if value.startswith(("'", '"')) else re.split(r"(?:^|\s)#", value, maxsplit=1)[0]
