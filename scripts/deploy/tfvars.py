"""Reads the user's tfvars and the variables that a stack declares. Nothing here ever writes a user's file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hcl2
from hcl2.utils import SerializationOptions

from scripts.deploy.errors import InvalidSettingsError

# Strings stay quoted so that they can be told from expressions, which tfvars must not hold. Heredocs stay as
# they are: the parser's own conversion loses the last line's end.
_AS_WRITTEN = SerializationOptions(with_comments=False, explicit_blocks=False)

_PLACEHOLDER = re.compile(r"<[^<>]*>|(change|replace)[-_ ]?me|todo|x{3,}|\.{3}|…|your[-_ ].*", re.IGNORECASE)


def is_placeholder(value: str) -> bool:
    """Whether a value stands for one that is not here: `<your key>`, `change-me`, nothing at all …"""
    return not value.strip() or _PLACEHOLDER.fullmatch(value.strip()) is not None


def read_tfvars(path: Path) -> dict[str, Any]:
    """Values of a tfvars file by variable name. Raises `InvalidSettingsError` with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidSettingsError(f"{path} cannot be read: {error.strerror or 'unreadable'}.") from None
    except UnicodeDecodeError:
        raise InvalidSettingsError(f"{path} is not UTF-8 text.") from None
    try:
        parsed = hcl2.loads(text + "\n", serialization_options=_AS_WRITTEN)
    except Exception as error:  # its own words quote the text around the mistake, and so a secret
        line = getattr(error, "line", None)
        place = f" near line {line}" if isinstance(line, int) and line > 0 else ""
        raise InvalidSettingsError(
            f"{path} is not valid tfvars{place}.",
            remedy='Each setting is `name = value`; texts are in double quotes, maps are { KEY = "value" }.',
        ) from None
    return {_plain_key(name): _literal(value, path, name) for name, value in parsed.items()}


def _plain_key(name: str) -> str:
    return _unquote(name) if name.startswith('"') else name


def _literal(value: Any, path: Path, name: str) -> Any:
    if isinstance(value, dict):
        return {
            _plain_key(key): _literal(item, path, f"{name}.{_plain_key(key)}") for key, item in value.items()
        }
    if isinstance(value, list):
        return [_literal(item, path, name) for item in value]
    if not isinstance(value, str):
        return value
    if not (len(value) >= 2 and value[0] == value[-1] == '"'):
        raise InvalidSettingsError(
            f"{path}: {name} is an expression.",
            remedy="tfvars hold plain values; put a text in double quotes.",
        )
    if re.search(r"(?<![$%])(\$\$|%%)*[$%]\{", value):
        raise InvalidSettingsError(
            f"{path}: {name} has ${{…}} or %{{…}} in it, which Terraform would try to evaluate.",
            remedy="Write $${ or %%{ for the characters themselves.",
        )
    heredoc = _HEREDOC.fullmatch(value)
    return _unquote(value) if heredoc is None else _heredoc(heredoc)


# Inside quotes there is no line end but an escaped one, so this cannot be an ordinary text.
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


@dataclass(frozen=True, slots=True)
class Declarations:
    """The variables of a stack."""

    required: frozenset[str]
    optional: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        """Every variable, with or without a default."""
        return self.required | self.optional


def read_declarations(directory: Path) -> Declarations:
    """Variables that the configuration in `directory` declares."""
    required: set[str] = set()
    optional: set[str] = set()
    for path in sorted(directory.glob("*.tf")):
        parsed = hcl2.loads(path.read_text(encoding="utf-8"), serialization_options=_AS_WRITTEN)
        for block in parsed.get("variable", []):
            for name, body in block.items():
                (optional if "default" in body else required).add(_plain_key(name))
    return Declarations(frozenset(required), frozenset(optional))


def backend_type(directory: Path) -> str:
    """Kind of the state backend that the configuration names; `local` when it names none."""
    for path in sorted(directory.glob("*.tf")):
        if path.name.endswith("_override.tf"):
            continue
        parsed = hcl2.loads(path.read_text(encoding="utf-8"), serialization_options=_AS_WRITTEN)
        for block in parsed.get("terraform", []):
            for backend in block.get("backend", []):
                return _plain_key(next(iter(backend)))
    return "local"


def check_names(
    path: Path,
    given: Iterable[str],
    declared: Declarations,
    provided: Iterable[str],
    extra: Iterable[str] = (),
) -> None:
    """Complain about every unknown and every missing variable at once.

    `provided` are those that come from elsewhere, `extra` the names that are ours and not Terraform's.
    """
    known = declared.all | set(extra)
    problems = []
    for name in sorted(set(given) - known):
        close = difflib.get_close_matches(name, sorted(known), n=1)
        problems.append(
            f"{name} is not a setting of this stack." + (f" Did you mean {close[0]}?" if close else "")
        )
    problems += [f"{name} is missing." for name in sorted(declared.required - set(given) - set(provided))]
    if problems:
        raise InvalidSettingsError(
            f"{path} cannot be used:",
            details=problems,
            remedy="The example beside it describes every setting.",
        )


def text_map(path: Path, name: str, value: Any) -> dict[str, str]:
    """A map of settings as texts: numbers and booleans are written as the gateway reads them."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidSettingsError(f'{path}: {name} must be a map: {name} = {{ NAME = "value" }}.')
    return {key: _text(path, f"{name}.{key}", item) for key, item in value.items() if item is not None}


def _text(path: Path, name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise InvalidSettingsError(f"{path}: {name} must be a text, a number or a boolean.")
