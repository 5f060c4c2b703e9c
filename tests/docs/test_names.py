"""The pages for operators name settings and metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from renderer.reference import reference_page
from scripts.engines.base import REPOSITORY

PAGES = [REPOSITORY / "docs" / f"{name}.md" for name in ("concepts", "http", "operate", "troubleshooting")]
REGISTRY = REPOSITORY / "apisix" / "plugins" / "azure-openai" / "account" / "registry.lua"
FAMILIES = re.compile(
    r"\b(?:AZURE_OPENAI|GATEWAY|AI_PROXY|AI_RATE_LIMIT|BREAKER|COOLDOWN|CORS|DEPLOYMENT|ENABLE|ENTRA|IP|LB|LOW_LANE|"
    r"PROMPT|QUOTA|RATE_LIMIT|REDIS|STORED)_[A-Z_]*[A-Z](?:_(?:<N>|\d+))?(?![A-Z_…])"
)
# Variables of commands, not of the gateway.
OF_COMMANDS = {"GATEWAY_KEY", "GATEWAY_ENVIRONMENT"}

SETTINGS = set(re.findall(r"^\| `([A-Z_]+(?:_<N>)?)`", reference_page(), re.MULTILINE))
METRICS = set(re.findall(r'"(azure_openai_\w+)"', REGISTRY.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_setting_on_the_page_exists(page: Path) -> None:
    named = {re.sub(r"_\d+$", "_<N>", name) for name in FAMILIES.findall(page.read_text())}
    assert sorted(named - SETTINGS - OF_COMMANDS) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_metric_on_the_page_exists(page: Path) -> None:
    named = set(re.findall(r"\bapisix_(azure_openai_\w+)", page.read_text()))
    assert sorted(named - METRICS) == []


def test_the_table_of_metrics_has_all_of_them() -> None:
    rows = re.findall(r"^\| `apisix_(\w+)`", (REPOSITORY / "docs" / "gateway.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(METRICS)
