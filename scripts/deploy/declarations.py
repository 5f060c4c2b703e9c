"""Reads what a stack declares: its variables with their types, its outputs, where it keeps its state.

And compares the user's settings with that: unknown names and attributes, missing names, other types.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hcl2
from lark import Token, Tree

from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.hcl import AS_WRITTEN, near, plain_key, text_of


@dataclass(frozen=True, slots=True)
class Attributes:
    """The shape of an object: the shape of each attribute by its name."""

    by_name: Mapping[str, Shape]
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Each:
    """The shape of a map, list or set: the shape of each member."""

    member: Shape


@dataclass(frozen=True, slots=True)
class Plain:
    """The shape of a single value: `string`, `number` or `bool`."""

    type: str


Shape = Attributes | Each | Plain | None
"""What a value contains; None for anything that is not checked."""


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


def read_declarations(directory: Path) -> Declarations:
    """Variables that the configuration in `directory` declares.

    `variable "name" { type = string }` gives a required `name` with the shape `Plain("string")`.
    """
    bodies = dict(_blocks(directory, "variable"))
    optional = frozenset(name for name, body in bodies.items() if "default" in body)
    shapes = {
        name: shape_of(body.get("type", "any").removeprefix("${").removesuffix("}"))
        for name, body in bodies.items()
    }
    return Declarations(frozenset(bodies) - optional, optional, shapes)


def declared_outputs(directory: Path) -> frozenset[str]:
    """Names of the outputs that the configuration in `directory` declares."""
    return frozenset(name for name, _ in _blocks(directory, "output"))


def backend_type(directory: Path) -> str:
    """Kind of the state backend in the configuration, such as `azurerm`; `local` when there is none."""
    for path, parsed in _files(directory):
        if path.name.endswith("_override.tf"):  # deploy-bootstrap writes one for a while
            continue
        for block in parsed.get("terraform", []):
            for backend in block.get("backend", []):
                return plain_key(next(iter(backend)))
    return "local"


def _blocks(directory: Path, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and body of each block of a kind that has one label."""
    for _, parsed in _files(directory):
        for block in parsed.get(kind, []):
            for name, body in block.items():
                yield plain_key(name), body


def _files(directory: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each file of a stack with its blocks by kind. Raises `InvalidSettingsError` with file and line."""
    for path in sorted(directory.glob("*.tf")):
        try:
            yield path, _parsed(path.read_text(encoding="utf-8"))
        except Exception as error:
            raise InvalidSettingsError(
                f"{path} cannot be read{near(error)}.",
                remedy=f"terraform -chdir={path.parent} validate may say more.",
            ) from None


# Parsing the variables of one stack takes half a second, and a command asks for them again and again.
@functools.lru_cache(maxsize=128)
def _parsed(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = hcl2.loads(text, serialization_options=AS_WRITTEN)
    return parsed


@functools.lru_cache(maxsize=512)
def shape_of(constraint: str) -> Shape:
    """The shape of a type constraint: `map(object({ a = string }))` gives
    `Each(Attributes({"a": Plain("string")}))`.
    """
    body = hcl2.parses_to_tree(f"type = {constraint}\n").children[0]
    return _shape(body.children[0].children[-1])


def _shape(expression: Any) -> Shape:
    call = next(_trees(expression, "function_call"), None)
    if call is None:
        kind = text_of(expression).strip()
        return Plain(kind) if kind in {"string", "number", "bool"} else None
    argument: Any = next(_trees(call, "arguments")).children[0]
    match text_of(call.children[0]):
        case "map" | "list" | "set":
            return Each(_shape(argument))
        case "optional":
            return _shape(argument)
        case "object":
            elements = {
                text_of(item.children[0]): item.children[-1]
                for item in _trees(argument.children[0], "object_elem")
            }
            optional = frozenset(name for name, item in elements.items() if _is_optional(item))
            return Attributes({name: _shape(item) for name, item in elements.items()}, optional)
    return None


def _is_optional(expression: Any) -> bool:
    call = next(_trees(expression, "function_call"), None)
    return call is not None and text_of(call.children[0]) == "optional"


def _trees(parent: Any, kind: str) -> Iterator[Tree[Token]]:
    return (child for child in parent.children if isinstance(child, Tree) and child.data == kind)


def missing_names(required: Iterable[str], *given: Iterable[str]) -> list[str]:
    """A complaint about every required name that is not given, such as `location is missing.`"""
    return [f"{name} is missing." for name in sorted(set(required).difference(*given))]


def unknown_names(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """A complaint about every name that is not known, with the known name that resembles it.

    `["loction"]` and `["location"]` give
    `["loction is not a setting of this stack. Did you mean location?"]`.
    """
    known = sorted(known)
    return [_unknown(name, name, known) for name in sorted(set(given) - set(known))]


def unknown_attributes(given: Mapping[str, Any], declared: Declarations) -> list[str]:
    """The same for attributes inside the values: Terraform drops those without a word."""
    return [
        _unknown(f"{place}.{name}", name, known)
        for variable, value in given.items()
        for place, name, known in undeclared(variable, value, declared.shapes.get(variable))
    ]


def _unknown(written: str, name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"{written} is not a setting of this stack.{hint}"


def undeclared(name: str, value: Any, shape: Shape) -> Iterator[tuple[str, str, Collection[str]]]:
    """Each undeclared attribute in `value`: its place, its name, and the names that are declared there."""
    match shape:
        case Attributes(by_name) if isinstance(value, Mapping):
            for key, item in value.items():
                if key in by_name:
                    yield from undeclared(f"{name}.{key}", item, by_name[key])
                else:
                    yield name, key, by_name
        case Each(member):
            for place, item in _members(name, value):
                yield from undeclared(place, item, member)


def _members(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The members of a map or a list, each with its place; none of anything else."""
    match value:
        case Mapping():
            yield from ((f"{name}.{key}", item) for key, item in value.items())
        case list():
            yield from ((f"{name}[{index}]", item) for index, item in enumerate(value))


def unsuitable(name: str, value: Any, shape: Shape) -> Iterator[str]:
    """A complaint about each part of `value` that has another type, or is missing, with its place.

    Terraform names neither the attribute nor a second mistake. `{"a": {"priority": "high"}}` may give
    `accounts.a.priority: a number is required.` and `accounts.a.location is missing.`
    """
    match shape:
        case _ if value is None:
            return
        case Attributes(by_name, optional) if isinstance(value, Mapping):
            yield from missing_names(f"{name}.{key}" for key in by_name if key not in {*optional, *value})
            for key in filter(by_name.__contains__, value):
                yield from unsuitable(f"{name}.{key}", value[key], by_name[key])
        case Each(member) if isinstance(value, Mapping | list):
            for place, item in _members(name, value):
                yield from unsuitable(place, item, member)
        case Attributes():
            yield f"{name}: attributes are required: {name} = {{ … }}."
        case Each():
            yield f"{name}: more than one value is required, in {{ … }} or [ … ]."
        case Plain(kind) if not _is_of(kind, value):
            yield f"{name}: {_WORDS[kind]} is required."


_WORDS = {"string": "a text", "number": "a number", "bool": "true or false"}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def _is_of(kind: str, value: Any) -> bool:
    """Whether Terraform takes a value for this type. It reads a number or a boolean out of a text."""
    match value:
        case bool():
            return kind != "number"
        case int() | float():
            return kind != "bool"
        case str():
            is_number = _NUMBER.fullmatch(value) is not None
            return kind == "string" or (is_number if kind == "number" else value in {"true", "false"})
    return False
