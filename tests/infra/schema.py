"""The part of the provider's schema that the stacks use, recorded for each major version.

To record one again, with the provider installed: `terraform providers schema -json` in any module, then
`python -m tests.infra.schema <that output> <provider version>`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
from hcl2.utils import SerializationOptions

from scripts.deploy.layout import REPOSITORY

TERRAFORM = REPOSITORY / "infra" / "terraform"
RECORDED = Path(__file__).parent / "data"

_OPTIONS = SerializationOptions(with_comments=False, explicit_blocks=False, strip_string_quotes=True)
_META = {"depends_on", "count", "for_each", "provider", "lifecycle", "provisioner", "timeouts"}


@dataclass(frozen=True)
class Use:
    """A resource or data source in one of our files."""

    kind: str  # "resource" or "data"
    type: str
    name: str
    body: dict[str, Any]
    file: Path

    def __str__(self) -> str:
        return f"{self.file.parent.name}/{self.file.name}: {self.kind} {self.type}.{self.name}"


def configurations() -> list[Path]:
    """Stacks and modules. What stacks have in common is in each of them."""
    found = {path.parent for path in TERRAFORM.rglob("*.tf") if ".terraform" not in path.parts}
    return sorted(found - {TERRAFORM / "common"})


@cache
def parse(path: Path) -> dict[str, Any]:
    """A Terraform file as nested dictionaries."""
    return dict(hcl2.loads(path.read_text(), serialization_options=_OPTIONS))


def uses_in(directory: Path) -> Iterator[Use]:
    """Every resource and data source of a stack or module."""
    for path in sorted(directory.glob("*.tf")):
        parsed = parse(path)
        for kind in ("resource", "data"):
            for block in parsed.get(kind, []):
                for type_, named in block.items():
                    for name, body in named.items():
                        yield Use(kind, type_, name, body, path)


def uses() -> Iterator[Use]:
    """Every resource and data source that the stacks and modules have."""
    for directory in configurations():
        yield from uses_in(directory)


def recorded_schemas() -> dict[str, dict[str, Any]]:
    """The recorded schemas by provider version."""
    found = [json.loads(path.read_text()) for path in sorted(RECORDED.glob("azurerm-*.json"))]
    return {schema["version"]: schema for schema in found}


def complaints(body: dict[str, Any], schema: dict[str, Any], where: str = "") -> Iterator[str]:
    """What the provider would refuse: unknown arguments, missing ones, wrong nesting."""
    attributes, blocks = schema["attributes"], schema["blocks"]
    given = {name: value for name, value in body.items() if name not in _META or name in attributes}
    dynamic = {name: item["content"] for entry in given.pop("dynamic", []) for name, item in entry.items()}
    for name in given:
        if name not in attributes and name not in blocks:
            yield f"{where}{name} is unknown"
        elif attributes.get(name) == "computed":
            yield f"{where}{name} cannot be set"
    nested: list[tuple[str, Any]] = [(name, given[name]) for name in given if name in blocks]
    nested += dynamic.items()
    for name, value in nested:
        if name not in blocks:
            yield f"{where}{name} is no block"
            continue
        for inner in value if isinstance(value, list) else [value]:
            yield from complaints(inner, blocks[name], f"{where}{name}.")
    present = set(given) | set(dynamic)
    missing = {name for name, kind in attributes.items() if kind == "required"} - present
    missing |= {name for name, block in blocks.items() if block["required"]} - present
    yield from (f"{where}{name} is missing" for name in sorted(missing))


def compact(block: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    """Names only: which attributes and blocks there are, and whether each may or must be set."""

    def kind(attribute: dict[str, Any]) -> str:
        if attribute.get("required"):
            return "required"
        return "optional" if attribute.get("optional") else "computed"

    attributes = {name: kind(item) for name, item in sorted(block.get("attributes", {}).items())}
    blocks = {
        name: compact(item["block"], required=item.get("min_items", 0) > 0)
        for name, item in sorted(block.get("block_types", {}).items())
        if name != "timeouts"
    }
    return {"required": required, "attributes": attributes, "blocks": blocks}


def record(full: dict[str, Any], version: str) -> dict[str, Any]:
    """The part of a provider's schema that our files use."""
    (provider,) = full["provider_schemas"].values()
    sources = {"resource": provider["resource_schemas"], "data": provider["data_source_schemas"]}
    found: dict[str, Any] = {"version": version, "resource": {}, "data": {}}
    for use in uses():
        if use.type != "terraform_data":
            found[use.kind][use.type] = compact(sources[use.kind][use.type]["block"])
    found["provider"] = compact(provider["provider"]["block"])
    return found


if __name__ == "__main__":
    version = sys.argv[2]
    recorded = record(json.loads(Path(sys.argv[1]).read_text()), version)
    RECORDED.mkdir(exist_ok=True)
    target = RECORDED / f"azurerm-{version.split('.')[0]}.json"
    target.write_text(json.dumps(recorded, sort_keys=True, separators=(",", ":")) + "\n")
