"""Both major versions of the provider know every argument of every resource; checked without the provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.infra.schema import complaints, configurations, parse, recorded_schemas, uses, uses_in

SCHEMAS = recorded_schemas()
NEWEST = SCHEMAS[max(SCHEMAS)]

# To read the files takes seconds, so one process does it for all of these tests.
pytestmark = pytest.mark.xdist_group("terraform files")
each_version = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)


def test_each_major_version_is_recorded() -> None:
    assert {version.split(".")[0] for version in SCHEMAS} == {"4", "5"}


@each_version
@pytest.mark.parametrize("directory", configurations(), ids=lambda path: path.name)
def test_the_provider_accepts_every_argument(directory: Path, schema: dict[str, Any]) -> None:
    assert [
        f"{use}: {complaint}"
        for use in uses_in(directory)
        for complaint in complaints(use.body, schema[use.kind][use.type])
    ] == []


@each_version
def test_the_recorded_schema_has_nothing_that_is_not_used(schema: dict[str, Any]) -> None:
    for kind in ("resource", "data"):
        assert set(schema[kind]) == {use.type for use in uses() if use.kind == kind}


@each_version
def test_the_provider_block_is_accepted(schema: dict[str, Any]) -> None:
    for directory in configurations():
        for path in directory.glob("*.tf"):
            for block in parse(path).get("provider", []):
                assert list(complaints(block["azurerm"], schema["provider"])) == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"nmae": "x"}, "nmae is unknown"),
        ({}, "location is missing"),
        ({"timeouts": {}, "for_each": {}, "depends_on": []}, "name is missing"),
    ],
)
def test_the_check_notices(body: dict[str, object], complaint: str) -> None:
    assert complaint in list(complaints(body, NEWEST["resource"]["azurerm_resource_group"]))


def test_the_check_notices_what_only_azure_sets() -> None:
    found = list(complaints({"query_endpoint": "x"}, NEWEST["resource"]["azurerm_monitor_workspace"]))
    assert "query_endpoint cannot be set" in found


def test_the_check_looks_into_dynamic_blocks() -> None:
    body = {"dynamic": [{"email_receiver": {"for_each": [], "content": {"adress": "x"}}}]}
    found = list(complaints(body, NEWEST["resource"]["azurerm_monitor_action_group"]))
    assert "email_receiver.adress is unknown" in found
