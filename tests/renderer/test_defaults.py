"""A default is written in the model; wherever else it has to be written, it is the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from renderer.model.backends import Backend
from renderer.names import place_of
from renderer.parsers.urls import surfaces_of
from renderer.resources import PLUGIN_SCHEMAS
from renderer.variable_of_path import variable_of_path

PLUGIN = json.loads((PLUGIN_SCHEMAS / "azure-openai-gateway.json").read_text())
FOUNDRY = Path(__file__).resolve().parents[2] / "infra/terraform/stacks/15-foundry/variables.tf"


def defaults_of_the_schema(schema: dict[str, Any], path: list[str | int]) -> Iterator[tuple[str, Any]]:
    """Each variable of the gateway whose value the schema has a default for, with that default."""
    variable = variable_of_path("plugin_metadata/azure-openai-gateway", path)
    if variable is not None and "default" in schema:
        yield variable, schema["default"]
    for name, inner in schema.get("properties", {}).items():
        yield from defaults_of_the_schema(inner, [*path, name])
    if "items" in schema:
        yield from defaults_of_the_schema(schema["items"], [*path, 0])


SCHEMA_DEFAULTS = dict(defaults_of_the_schema(PLUGIN["metadata_schema"], []))


def default_of_the_model(variable: str) -> Any:
    place = place_of(variable)
    assert place is not None
    default = place.group.model_fields[place.field].default
    return list(surfaces_of(None)) if default is PydanticUndefined else default


@pytest.mark.parametrize("variable", SCHEMA_DEFAULTS)
def test_a_default_of_the_plugins_schema_is_that_of_the_model(variable: str) -> None:
    assert SCHEMA_DEFAULTS[variable] == default_of_the_model(variable)


def test_the_defaults_of_the_schema_are_found() -> None:
    assert {"AZURE_OPENAI_WEIGHT_0", "AZURE_OPENAI_SURFACES_0", "BREAKER_FAILURES", "LB_ALG"} <= set(
        SCHEMA_DEFAULTS
    )


def test_the_default_of_the_largest_body_is_that_of_the_model() -> None:
    default = PLUGIN["schema"]["properties"]["max_req_body_size"]["default"]
    assert default == default_of_the_model("MAX_REQUEST_BODY_MB") * 1024 * 1024


@pytest.mark.parametrize("field", ["weight", "priority"])
def test_a_default_of_a_model_accounts_backend_is_that_of_the_model(field: str) -> None:
    found = re.search(rf"\b{field}\s*= optional\(number, (-?\d+)\)", FOUNDRY.read_text())
    assert found is not None
    assert int(found[1]) == Backend.model_fields[field].default
