"""Reads the user's tfvars and the variables that a stack declares. Nothing here ever writes a user's file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hcl2
from hcl2.utils import SerializationOptions
from lark import Token, Tree

from scripts.deploy.declarations import Shape, shape_of, undeclared
from scripts.deploy.deploy_errors import InvalidSettingsError

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
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except OSError as error:
        raise InvalidSettingsError(f"{path} cannot be read: {error.strerror or 'unreadable'}.") from None
    except UnicodeDecodeError:
        raise InvalidSettingsError(f"{path} is not UTF-8 text.") from None
    try:
        tree = hcl2.parses_to_tree(text + "\n")
        parsed = hcl2.serialize(hcl2.transform(tree), serialization_options=_AS_WRITTEN)
    except Exception as error:  # its own words quote the text around the mistake, and so a secret
        raise InvalidSettingsError(
            f"{path} is not valid tfvars{_near(error)}.",
            remedy='Each setting is `name = value`; texts are in double quotes, maps are { KEY = "value" }.',
        ) from None
    twice = [f"{name} is given twice." for name in _duplicates(tree)]
    if twice:
        raise InvalidSettingsError(f"{path} cannot be used:", details=twice, remedy="Keep one of each.")
    return {_plain_key(name): _literal(value, path, name) for name, value in parsed.items()}


def _near(error: Exception) -> str:
    """Where the parser stumbled, as far as it says."""
    line = getattr(error, "line", None)
    return f" near line {line}" if isinstance(line, int) and line > 0 else ""


def _duplicates(tree: Tree[Token], prefix: str = "") -> Iterator[str]:
    """Names that occur more than once in the same map; of those the parser, like Terraform, keeps one."""
    seen: set[str] = set()
    for child in tree.children:
        if not isinstance(child, Tree):
            continue
        if child.data not in {"attribute", "object_elem"}:
            yield from _duplicates(child, prefix)
            continue
        name = prefix + _entry_name(child)
        if name in seen:
            yield name
        seen.add(name)
        yield from _duplicates(child, f"{name}.")


def _entry_name(entry: Tree[Token]) -> str:
    name = entry.children[0]
    tokens = name.scan_values(lambda _: True) if isinstance(name, Tree) else [name]
    return "".join(map(str, tokens)).strip().strip('"')


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
    shapes: Mapping[str, Shape]

    @property
    def all(self) -> frozenset[str]:
        """Every variable, with or without a default."""
        return self.required | self.optional


def _read_configuration(path: Path) -> dict[str, Any]:
    """Blocks of a stack's file. Raises `InvalidSettingsError` with file and line."""
    try:
        parsed: dict[str, Any] = hcl2.loads(
            path.read_text(encoding="utf-8"), serialization_options=_AS_WRITTEN
        )
    except Exception as error:
        raise InvalidSettingsError(
            f"{path} cannot be read{_near(error)}.",
            remedy=f"terraform -chdir={path.parent} validate may say more.",
        ) from None
    return parsed


def read_declarations(directory: Path) -> Declarations:
    """Variables that the configuration in `directory` declares."""
    required: set[str] = set()
    optional: set[str] = set()
    shapes: dict[str, Shape] = {}
    for path in sorted(directory.glob("*.tf")):
        parsed = _read_configuration(path)
        for block in parsed.get("variable", []):
            for name, body in block.items():
                (optional if "default" in body else required).add(_plain_key(name))
                shapes[_plain_key(name)] = shape_of(
                    body.get("type", "any").removeprefix("${").removesuffix("}")
                )
    return Declarations(frozenset(required), frozenset(optional), shapes)


def declared_outputs(directory: Path) -> frozenset[str]:
    """Names of the outputs that the configuration in `directory` declares."""
    return frozenset(
        _plain_key(name)
        for path in sorted(directory.glob("*.tf"))
        for block in _read_configuration(path).get("output", [])
        for name in block
    )


def backend_type(directory: Path) -> str:
    """Kind of the state backend that the configuration names; `local` when it names none."""
    for path in sorted(directory.glob("*.tf")):
        if path.name.endswith("_override.tf"):
            continue
        parsed = _read_configuration(path)
        for block in parsed.get("terraform", []):
            for backend in block.get("backend", []):
                return _plain_key(next(iter(backend)))
    return "local"


def unknown_names(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """A complaint about every name that is not known, with a suggestion where one resembles it."""
    known = sorted(known)
    return [_unknown(name, name, known) for name in sorted(set(given) - set(known))]


def unknown_attributes(given: Mapping[str, Any], declared: Declarations) -> list[str]:
    """The same for the attributes inside the values."""
    return [
        _unknown(f"{place}.{name}", name, known)
        for variable, value in given.items()
        for place, name, known in undeclared(variable, value, declared.shapes.get(variable))
    ]


def _unknown(written: str, name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"{written} is not a setting of this stack.{hint}"


def missing_names(required: Iterable[str], *given: Iterable[str]) -> list[str]:
    """A complaint about every required name that nobody gives."""
    return [f"{name} is missing." for name in sorted(set(required).difference(*given))]


def texts(name: str, value: Any) -> tuple[dict[str, str], list[str]]:
    """A map of settings as texts, and what is wrong with it.

    Numbers and booleans are written as the gateway reads them.
    """
    if value is None:
        return {}, []
    if not isinstance(value, Mapping):
        return {}, [f'{name} must be a map: {name} = {{ NAME = "value" }}.']
    given = {key: _text(item) for key, item in value.items() if item is not None}
    wrong = [key for key, text in given.items() if text is None]
    problems = [f"{name}.{key} must be a text, a number or a boolean." for key in wrong]
    return {key: text for key, text in given.items() if text is not None}, problems


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
