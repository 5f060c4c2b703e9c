"""The format of a YAML file of settings: the groups of the model as sections, backends and clients as lists.

Each value becomes the text that its variable would have, so both formats go the same way from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from renderer.file_text import text_of_file
from renderer.model.group import Group, NumberedGroup, types_in
from renderer.names import Place, sections, variable, yaml_path
from renderer.origins import Origin, Text
from renderer.parsers.basics import AsJson
from renderer.problems import ConfigurationError, Problem

# Prices have the deepest: section, setting, model, kind. More than that gets a better message elsewhere.
_DEEPEST = 8
_NULL = "tag:yaml.org,2002:null"
# The first line that is no comment.
_ENV_FILE = re.compile(r"(?:[ \t]*(?:#.*)?\n)*(?P<name>(?:export[ \t]+)?[A-Za-z_]\w*=)")
_ENV_FILE_REMEDY = "Give the file a name that does not end in .yaml, such as .env, or write YAML"
_SYNTAX_REMEDY = "Check indentation, colons and quotation marks; a value with : # { } [ ] * & needs quotes"


def read_yaml_file(path: Path | str) -> dict[str, str]:
    """Read a YAML file; returns the text of each variable, and of each name that the model does not know.

    Scalars stay as they are written (`0x10`, `yes`). Lists are joined by commas, mappings become lists of
    `name=value`, and null is an empty text. Each text knows its line. Example: `backends: [{weight: 2,
    deployments: {chat: gpt-4o}}]` → `{"AZURE_OPENAI_WEIGHT_0": "2", "AZURE_OPENAI_DEPLOYMENTS_0":
    "chat=gpt-4o"}`. Raises `ConfigurationError` with a problem for everything that has the wrong shape.
    """
    reading = _Reading(Path(path))
    reading.read()
    if reading.problems:
        raise ConfigurationError(reading.problems, readable=reading.texts)
    return reading.texts


class _ShapeError(Exception):
    """A value has a shape that its setting does not take."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what)


class _Reading:
    """One reading of a file: what it says, and what is wrong with it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.texts: dict[str, str] = {}
        self.problems: list[Problem] = []

    def read(self) -> None:
        root = self._root()
        if root is None:
            return
        for name, node in self._items(root, ""):
            group = sections().get(name)
            if group is None:
                self._unknown(name, node)
            elif issubclass(group, NumberedGroup):
                self._members(name, group, node)
            elif not _is_null(node):
                self._fields(group, None, name, node)

    def _root(self) -> Node | None:
        text = text_of_file(self._file)
        if begins := _ENV_FILE.match(text):
            first = text.count("\n", 0, begins.start("name")) + 1
            self._refuse(first, "is a NAME=value line, as in an env file", _ENV_FILE_REMEDY)
            return None
        try:
            if (line := _too_deep(text)) is not None:
                self._refuse(line, "has lists and mappings inside each other that no setting has")
                return None
            return yaml.compose(text, Loader=yaml.CSafeLoader)
        except yaml.YAMLError as error:  # its own words may quote a value
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            line = mark.line + 1 if mark else None
            if line is not None and _is_indented_with_tab(text, line):
                self._refuse(line, "is indented with a tab, which YAML does not allow", "Indent with spaces")
            else:
                self._refuse(line, "is not valid YAML")
            return None

    def _refuse(self, line: int | None, what: str, remedy: str = _SYNTAX_REMEDY) -> None:
        where = str(self._file) if line is None else f"{self._file}, line {line},"
        self.problems.append(Problem(where, what, remedy))

    def _members(self, section: str, group: type[NumberedGroup], node: Node) -> None:
        if _is_null(node):
            return
        if not isinstance(node, SequenceNode):
            self._complain(
                section, node, "is not a list", f"Begin each {group.member} with a dash: - name: …"
            )
            return
        for index, member in enumerate(node.value):
            path = f"{section}[{index}]"
            if (isinstance(member, MappingNode) and not member.value) or _is_null(member):
                self._complain(path, member, "has no settings", "Write some, or remove its dash")
            else:
                self._fields(group, index, path, member)

    def _fields(self, group: type[Group], index: int | None, path: str, node: Node) -> None:
        for name, value in self._items(node, path):
            info = group.model_fields.get(name)
            if info is None:
                self._unknown(f"{path}.{name}", value)
                continue
            place = Place(group, name, index)
            try:
                text = _text(info, value)
            except _ShapeError as error:
                self._complain(
                    variable(group, name, index), value, error.what, error.remedy, yaml_path(place)
                )
            else:
                self.texts[variable(group, name, index)] = Text(text, self._origin(value, yaml_path(place)))

    def _items(self, node: Node, path: str) -> Iterator[tuple[str, Node]]:
        """The names of a mapping with their values, each once."""
        if not isinstance(node, MappingNode):
            what = "is not a mapping" if path else "has no sections"
            self._complain(path or str(self._file), node, what, "Write name: value on lines of their own")
            return
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self._complain(
                    path or str(self._file), key, "has a name that is not a word", "Write name: value"
                )
            elif key.value in lines:
                shown = f"{path}.{key.value}" if path else key.value
                remedy = "Keep one of the two"
                self._complain(shown, key, f"is there a second time, after line {lines[key.value]}", remedy)
            else:
                lines[key.value] = line
                yield key.value, value

    def _unknown(self, path: str, node: Node) -> None:
        """Keep a name that the model does not know; `unknown_names` says what was meant."""
        self.texts[path] = Text("", self._origin(node, path))

    def _complain(self, setting: str, node: Node, what: str, remedy: str, path: str = "") -> None:
        origin = str(self._origin(node, path))
        self.problems.append(Problem(setting, what, remedy, origin))

    def _origin(self, node: Node, path: str) -> Origin:
        return Origin(f"{self._file}, line {node.start_mark.line + 1}", path)


def _is_indented_with_tab(text: str, line: int) -> bool:
    written = text.split("\n")[line - 1 : line]
    return bool(written) and "\t" in written[0][: len(written[0]) - len(written[0].lstrip())]


def _too_deep(text: str) -> int | None:
    """The line where a text goes deeper than any setting; else None. The C composer overflows on such."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            mark = event.start_mark
            return mark.line + 1 if mark else 1
    return None


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == _NULL


def _text(info: FieldInfo, node: Node) -> str:
    """The text that the variable of a field would have. Raises `_ShapeError`."""
    if isinstance(node, ScalarNode):
        return "" if _is_null(node) else str(node.value)
    kinds = list(types_in(info.annotation))
    is_json = any(isinstance(kind, AsJson) for kind in kinds)
    if isinstance(node, SequenceNode) and (tuple in kinds or (dict in kinds and not is_json)):
        items = [_scalar(item) for item in node.value]
        return json.dumps(items, ensure_ascii=False) if is_json and items else _joined(items)
    if isinstance(node, MappingNode) and dict in kinds:
        return _json_of(node) if is_json else _joined([_assignment(*item) for item in node.value])
    shape = "a list" if isinstance(node, SequenceNode) else "a mapping"
    raise _ShapeError(f"is {shape}", "Write one value, or a list" if tuple in kinds else "Write one value")


def _scalar(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        raise _ShapeError(
            "has an item that is itself a list or a mapping", "Write single values as its items"
        )
    return "" if _is_null(node) else str(node.value)


def _joined(items: list[str]) -> str:
    if any("," in item for item in items):
        raise _ShapeError("has an item with a comma", "Write each item by itself")
    return ",".join(items)


def _assignment(key: Node, value: Node) -> str:
    """An item of a mapping. Examples: `chat: gpt-4o` → `chat=gpt-4o`, `gpt-5: [o3, o1]` → `gpt-5=o3|o1`."""
    text = "|".join(map(_scalar, value.value)) if isinstance(value, SequenceNode) else _scalar(value)
    return f"{_scalar(key)}={text}" if text else _scalar(key)


def _json_of(node: MappingNode) -> str:
    """Model prices: a mapping of mappings of numbers."""
    table: dict[str, Any] = {}
    for model, prices in node.value:
        if not isinstance(prices, MappingNode):
            raise _ShapeError("has an entry that is not a mapping", "Write model: {prompt: 1, completion: 2}")
        if _scalar(model) in table:
            raise _ShapeError("has an entry twice", "Keep one of the two")
        table[_scalar(model)] = {_scalar(kind): _number(_scalar(price)) for kind, price in prices.value}
    return json.dumps(table, ensure_ascii=False)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
