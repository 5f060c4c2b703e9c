"""Every argument of every resource is one that the provider has, checked without the provider."""

from __future__ import annotations

import json

import pytest

from tests.infra.schema import RECORDED, Use, complaints, configurations, parse, uses

SCHEMA = json.loads(RECORDED.read_text())
USES = list(uses())


@pytest.mark.parametrize("use", USES, ids=str)
def test_the_provider_accepts_every_argument(use: Use) -> None:
    assert list(complaints(use.body, SCHEMA[use.kind][use.type])) == []


def test_the_recorded_schema_has_nothing_that_is_not_used() -> None:
    for kind in ("resource", "data"):
        assert set(SCHEMA[kind]) == {use.type for use in USES if use.kind == kind}


def test_the_provider_block_is_accepted() -> None:
    for directory in configurations():
        for path in directory.glob("*.tf"):
            for block in parse(path).get("provider", []):
                assert list(complaints(block["azurerm"], SCHEMA["provider"])) == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"nmae": "x"}, "nmae is unknown"),
        ({}, "location is missing"),
        ({"timeouts": {}, "for_each": {}, "depends_on": []}, "name is missing"),
    ],
)
def test_the_check_notices(body: dict[str, object], complaint: str) -> None:
    assert complaint in list(complaints(body, SCHEMA["resource"]["azurerm_resource_group"]))


def test_the_check_notices_what_only_azure_sets() -> None:
    found = list(complaints({"query_endpoint": "x"}, SCHEMA["resource"]["azurerm_monitor_workspace"]))
    assert "query_endpoint cannot be set" in found


def test_the_check_looks_into_dynamic_blocks() -> None:
    body = {"dynamic": [{"email_receiver": {"for_each": [], "content": {"adress": "x"}}}]}
    found = list(complaints(body, SCHEMA["resource"]["azurerm_monitor_action_group"]))
    assert "email_receiver.adress is unknown" in found
