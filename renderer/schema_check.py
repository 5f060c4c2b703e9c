"""Checks the rendered files as APISIX does, and more strictly, before they are written.

APISIX skips an invalid item with a log line and ignores a key that it does not know. Here both are problems.
They are found with the JSON schemas of the pinned release (`data/apisix-3.18.0-schema.json`) and of the
gateway's plugins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from renderer.problems import ConfigurationError, Problem
from renderer.resources import DATA, PLUGIN_SCHEMAS
from renderer.variable_of_path import variable_of_path

Schema = dict[str, Any]

APISIX_SCHEMA = DATA / "apisix-3.18.0-schema.json"

# The bundle adds this driver to the providers of ai-proxy-multi.
DRIVER = "azure-openai-pool"

END_MARK = "#END"

_APPLICATORS = ("allOf", "anyOf", "oneOf")
_CONDITIONALS = ("if", "then", "else")


def parse_document(name: str, text: str) -> dict[str, Any]:
    """Parse a rendered file; raises `ConfigurationError` when it is not a YAML mapping.

    Example: `("config.yaml", "plugins: [cors]")` → `{"plugins": ["cors"]}`.
    """
    try:
        # The C parser with the safe constructors: five thousand clients are to take less than a second.
        document = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        document = None
    if not isinstance(document, dict):
        what = "was not rendered as valid YAML"
    elif name == "apisix.yaml" and not text.endswith(f"{END_MARK}\n"):
        what = f"does not end with {END_MARK}"
    else:
        return document
    raise ConfigurationError([Problem(name, what, "Report this as a defect of its template")])


def require_valid(items: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` unless every item fits its schema and every plugin in use is loaded."""
    problems = [*_item_problems(items), *_unloaded(items, config)]
    if problems:
        raise ConfigurationError(dict.fromkeys(problems))


def _item_problems(items: Mapping[str, Any]) -> Iterator[Problem]:
    schema = _apisix_schemas()["main"]["route"]
    for item in items["routes"]:
        block = f"routes/{item.get('id')}"
        yield from _violations(block, schema, item)
        for name, conf in item.get("plugins", {}).items():
            yield from _plugin_problems(f"{block}/{name}", name, "schema", conf)
    for item in items["plugin_metadata"]:
        name = str(item.get("id"))
        conf = {key: value for key, value in item.items() if key != "id"}
        yield from _plugin_problems(f"plugin_metadata/{name}", name, "metadata_schema", conf)


def _plugin_problems(block: str, plugin: str, kind: str, conf: object) -> Iterable[Problem]:
    schema = plugin_schema(plugin, kind)
    if schema is None:
        missing = "has no metadata" if kind == "metadata_schema" else "does not exist in APISIX 3.18.0"
        return [Problem(block, f"uses a plugin that {missing}", "Report this as a defect of the template")]
    return _violations(block, schema, conf)


def _unloaded(items: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Problem]:
    loaded = set(config.get("plugins", ()))
    used = {name for route in items["routes"] for name in route["plugins"]}
    for name in sorted(used - loaded):
        yield Problem("config.yaml/plugins", f"lacks {name}, which is in use", "Report this as a defect")


@cache
def _apisix_schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = json.loads(APISIX_SCHEMA.read_bytes())
    multi = schemas["plugins"]["ai-proxy-multi"]["schema"]
    multi["properties"]["instances"]["items"]["properties"]["provider"]["enum"].append(DRIVER)
    return schemas


@cache
def plugin_schema(plugin: str, kind: str) -> Schema | None:
    """The schema of a plugin's block (`schema`) or metadata (`metadata_schema`); None when there is none."""
    own = PLUGIN_SCHEMAS / f"{plugin}.json"
    if not own.is_file():
        schema: Schema | None = _apisix_schemas()["plugins"].get(plugin, {}).get(kind)
        return schema
    return _own_schema(own, kind)


def _own_schema(file: Path, kind: str) -> Schema | None:
    """A schema of the bundle as APISIX completes it, and closed: the file is open for APISIX's additions."""
    schema: Schema | None = json.loads(file.read_bytes()).get(kind)
    if schema is None:
        return None
    schema.pop("additionalProperties", None)
    if kind == "schema":
        schema["properties"]["_meta"] = _apisix_schemas()["plugins"]["cors"]["schema"]["properties"]["_meta"]
    return schema


def _violations(block: str, schema: Schema, value: object) -> Iterator[Problem]:
    for error in _compiled(schema).validator.iter_errors(value):
        path = list(error.instance_path)
        yield _problem(block, path, _what(schema, list(error.schema_path)))
    for path in _unknown_keys(schema, value, []):
        yield _problem(block, path, "is unknown to its schema, so APISIX would ignore it")


def _problem(block: str, path: list[str | int], what: str) -> Problem:
    where = "/".join([block, *map(str, path)])
    variable = variable_of_path(block, path)
    if variable is None:
        return Problem(where, what, "Report this as a defect of the template")
    return Problem(variable, f"makes {where} invalid: it {what}", "Correct the value")


def _what(schema: Schema, path: list[str | int]) -> str:
    """The rule that a value violates, without the value, which may be a secret."""
    rule: Any = schema
    for step in path:
        rule = rule.get(step) if isinstance(rule, dict) else rule[step] if isinstance(step, int) else None
    keyword = str(path[-1]) if path else "schema"
    limit = json.dumps(rule, ensure_ascii=False)
    return f"has to satisfy {keyword} {limit}" if len(limit) <= 120 else f"has to satisfy {keyword}"


def _unknown_keys(schema: object, value: object, path: list[str | int]) -> Iterator[list[str | int]]:
    """Paths of the keys in `value` that no part of `schema` describes."""
    if not isinstance(schema, dict) or not isinstance(value, dict | list):
        return
    shape = _compiled(schema)
    if isinstance(value, dict):
        for key, inner in value.items():
            found = [sub for part in shape.describing for sub in _subschemas(part, key)]
            if shape.describing and not found:
                yield [*path, key]
            for sub in found:
                yield from _unknown_keys(sub, inner, [*path, key])
    else:
        for index, inner in enumerate(value):
            for items in shape.items:
                yield from _unknown_keys(items, inner, [*path, index])


class _Compiled:
    """A schema with its validator, its parts that name keys, and its schemas of list items."""

    def __init__(self, schema: Schema) -> None:
        parts = list(_parts(schema))
        self.schema = schema
        self.describing = [part for part in parts if _describes_keys(part)]
        self.items = [part["items"] for part in parts if "items" in part]

    @cached_property
    def validator(self) -> jsonschema_rs.Draft7Validator:
        return jsonschema_rs.Draft7Validator(self.schema, validate_formats=True)


_COMPILED: dict[int, _Compiled] = {}


def _compiled(schema: Schema) -> _Compiled:
    """Each schema is compiled once: thousands of clients share one."""
    compiled = _COMPILED.get(id(schema))
    if compiled is None:
        compiled = _COMPILED[id(schema)] = _Compiled(schema)  # keeps the schema, so no other takes its id
    return compiled


def _describes_keys(part: Schema) -> bool:
    return any(keyword in part for keyword in ("properties", "patternProperties")) or isinstance(
        part.get("additionalProperties"), dict
    )


def _subschemas(part: Schema, key: str) -> list[object]:
    if key in part.get("properties", {}):
        return [part["properties"][key]]
    matching = [sub for pattern, sub in part.get("patternProperties", {}).items() if re.search(pattern, key)]
    others = part.get("additionalProperties")
    return matching or ([others] if others is True or isinstance(others, dict) else [])


def _parts(schema: object) -> Iterator[Schema]:
    """The schema and all schemas that apply to the same value."""
    if not isinstance(schema, dict):
        return
    yield schema
    for keyword in _APPLICATORS:
        for sub in schema.get(keyword, ()):
            yield from _parts(sub)
    for keyword in _CONDITIONALS:
        yield from _parts(schema.get(keyword))
    for sub in schema.get("dependencies", {}).values():
        yield from _parts(sub)
