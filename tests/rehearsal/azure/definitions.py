"""Checks bodies of requests against Microsoft's definitions of the resource types in `tests/data/azure-api`.

An object that lists its properties and does not say that it takes others takes no others here. Azure may
ignore an unknown property; it is then an error all the same, because what it asks for does not happen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs

FOLDER = Path(__file__).parents[2] / "data" / "azure-api"


class Definition:
    """What one version of a resource type takes."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.resource_type: str = document["resourceType"]
        self.version: str = document["apiVersion"]
        self._document = document
        self._definitions = {name: _closed(item) for name, item in document["definitions"].items()}

    def problems(self, method: str, body: Any) -> list[str]:
        """What is wrong with the body of a PUT or PATCH: `["properties.cpu: 3 is not a string"]`."""
        return [
            f"{'.'.join(map(str, error.instance_path)) or 'body'}: {error.message}"
            for error in self._validator(method).iter_errors(without_nulls(body))
        ]

    def _validator(self, method: str) -> Any:
        return self._of_put if method == "PUT" or self._document.get("patch") is None else self._of_patch

    @cached_property
    def _of_put(self) -> Any:
        return jsonschema_rs.Draft7Validator({**self._document["put"], "definitions": self._definitions})

    @cached_property
    def _of_patch(self) -> Any:
        patch = self._document["patch"]
        definitions = self._definitions
        if patch["$ref"] == self._document["put"]["$ref"]:  # a merge patch: nothing is required
            definitions = {name: _without_required(item) for name, item in definitions.items()}
        return jsonschema_rs.Draft7Validator({"$ref": patch["$ref"], "definitions": definitions})


class Definitions:
    """All definitions, by resource type and version."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._versions: dict[str, dict[str, Definition]] = {}
        for path in sorted(folder.glob("*.json")):
            found = Definition(json.loads(path.read_text(encoding="utf-8")))
            self._versions.setdefault(found.resource_type.lower(), {})[found.version] = found

    def find(self, resource_type: str, version: str) -> Definition | None:
        """The definition; None when it is not among the recorded ones."""
        return self._versions.get(resource_type.lower(), {}).get(version)

    def types(self, namespace: str) -> Iterator[tuple[str, list[str]]]:
        """The recorded types of a resource provider, each with its versions: `("vaults", ["2026-02-01"])`."""
        for name in sorted(self._versions):
            if name.startswith(f"{namespace.lower()}/"):
                yield name.partition("/")[2], self.versions(name)

    def versions(self, resource_type: str) -> list[str]:
        """The recorded versions of a type."""
        return sorted(self._versions.get(resource_type.lower(), {}))


def without_nulls(value: Any) -> Any:
    """The body without members that are null: `{"a": None, "b": 1}` gives `{"b": 1}`. Clients send them."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(item) for name, item in schema.items()}
    # The base of variants stays open: each variant lists all the properties.
    if "properties" in schema and not {"additionalProperties", "oneOf"} & set(schema):
        closed["properties"] = {name: _closed(item) for name, item in schema["properties"].items()}
        closed["additionalProperties"] = False
    return closed


def _without_required(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_required(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _without_required(item)
        for name, item in schema.items()
        if not (name == "required" and isinstance(item, list))
    }
