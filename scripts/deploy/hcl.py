"""The values of an HCL file as Python values: what quotes, escapes and heredocs stand for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hcl2.utils import SerializationOptions
from lark import Token, Tree

from scripts.deploy.deploy_errors import InvalidSettingsError

# Strings stay quoted, so that they differ from expressions. Heredocs stay as they are: the parser's own
# conversion loses the last line's end.
AS_WRITTEN = SerializationOptions(with_comments=False, explicit_blocks=False)
"""How the parser hands over values; `plain_key` and `plain_value` read these."""


def near(error: Exception) -> str:
    """Where the parser failed, such as ` near line 3`; empty when it does not say."""
    line = getattr(error, "line", None)
    return f" near line {line}" if isinstance(line, int) and line > 0 else ""


def text_of(part: Tree[Token] | Token) -> str:
    """The text that a part of the parser's tree was read from."""
    tokens = part.scan_values(lambda _: True) if isinstance(part, Tree) else [part]
    return "".join(map(str, tokens))


def plain_key(name: str) -> str:
    """A key without its quotes: `"dashed-key"` and `dashed-key` are the same."""
    return _unquote(name) if name.startswith('"') else name


def plain_value(value: Any, path: Path, name: str) -> Any:
    """A parsed value as a Python value: `{"A": '"x\\\\ty"'}` gives `{"A": "x<tab>y"}`.

    `name` is where it stands in the file at `path`. Raises `InvalidSettingsError` for an expression: only
    Terraform could say what that gives.
    """
    if isinstance(value, dict):
        return {
            plain_key(key): plain_value(item, path, f"{name}.{plain_key(key)}") for key, item in value.items()
        }
    if isinstance(value, list):
        return [plain_value(item, path, name) for item in value]
    if not isinstance(value, str):
        return value
    if not (len(value) >= 2 and value[0] == value[-1] == '"'):
        raise InvalidSettingsError(
            f"{path}: {name} is an expression.",
            remedy="tfvars hold plain values; put a text in double quotes.",
        )
    if re.search(r"(?<![$%])(\$\$|%%)*[$%]\{", value):
        raise InvalidSettingsError(
            f"{path}: {name} contains ${{…}} or %{{…}}, which Terraform would try to evaluate.",
            remedy="Write the value itself, or $${ and %%{ for the characters.",
        )
    heredoc = _HEREDOC.fullmatch(value)
    return _unquote(value) if heredoc is None else _heredoc(heredoc)


# An ordinary text has no line end inside its quotes but an escaped one, so it never matches.
_HEREDOC = re.compile(r'"<<(?P<indented>-?)(?P<word>\w+)\n(?P<lines>.*?)[ \t]*(?P=word)"', re.DOTALL)


def _heredoc(match: re.Match[str]) -> str:
    lines = match["lines"].splitlines(keepends=True)
    if match["indented"]:
        margin = min((len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()), default=0)
        lines = [line[margin:] if line.strip() else line.lstrip(" \t") for line in lines]
    return "".join(lines).replace("$${", "${").replace("%%{", "%{")


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def _unquote(quoted: str) -> str:
    def character(match: re.Match[str]) -> str:
        if match[1]:
            return _ESCAPES[match[1]]
        if match[2]:
            return chr(int(match[2][1:], 16))
        return match[0][1:]  # $${ and %%{ lose one sign

    return re.sub(r'\\(["\\nrt])|\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})|\$\$\{|%%\{', character, quoted[1:-1])
