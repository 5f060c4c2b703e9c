"""Attributes that a variable's type does not declare: Terraform drops them without a word."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import hcl2
from lark import Token, Tree


@dataclass(frozen=True, slots=True)
class Attributes:
    """An object: its attributes by name."""

    by_name: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Each:
    """A map, list or set: what each member holds."""

    member: Shape


Shape = Attributes | Each | None
"""What is inside a value; `None` for a plain one, and for anything that is not looked into."""


def shape_of(constraint: str) -> Shape:
    """The shape of a type constraint such as `map(object({ location = string }))`."""
    body = hcl2.parses_to_tree(f"type = {constraint}\n").children[0]
    return _shape(body.children[0].children[-1])


def _shape(expression: Any) -> Shape:
    call = next(_trees(expression, "function_call"), None)
    if call is None:
        return None
    argument: Any = next(_trees(call, "arguments")).children[0]
    match _name(call.children[0]):
        case "map" | "list" | "set":
            return Each(_shape(argument))
        case "optional":
            return _shape(argument)
        case "object":
            elements = _trees(argument.children[0], "object_elem")
            return Attributes({_name(item.children[0]): _shape(item.children[-1]) for item in elements})
    return None


def _trees(parent: Any, kind: str) -> Iterator[Tree[Token]]:
    return (child for child in parent.children if isinstance(child, Tree) and child.data == kind)


def _name(part: Tree[Token] | Token) -> str:
    tokens = part.scan_values(lambda _: True) if isinstance(part, Tree) else [part]
    return "".join(map(str, tokens))


def undeclared(name: str, value: Any, shape: Shape) -> Iterator[tuple[str, str, Collection[str]]]:
    """Each undeclared attribute in `value`: where it is, its name, and those that are declared there."""
    match shape:
        case Attributes(by_name) if isinstance(value, Mapping):
            for key, item in value.items():
                if key in by_name:
                    yield from undeclared(f"{name}.{key}", item, by_name[key])
                else:
                    yield name, key, by_name
        case Each(member) if isinstance(value, Mapping):
            for key, item in value.items():
                yield from undeclared(f"{name}.{key}", item, member)
        case Each(member) if isinstance(value, list):
            for index, item in enumerate(value):
                yield from undeclared(f"{name}[{index}]", item, member)
