"""O4: the dashboard answers its questions with metrics that the gateway really has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "dashboards" / "azure-openai-gateway.json").read_text())
METRICS_SOURCE = (ROOT / "apisix" / "plugins" / "azure-openai" / "metrics.lua").read_text()
PANELS = DASHBOARD["panels"]


def registered_labels() -> dict[str, set[str]]:
    """The metrics that the Lua bundle registers, with their labels."""
    found = re.findall(r'registry:\w+\(\s*"(\w+)".*?\{([^}]*)\}', METRICS_SOURCE, re.DOTALL)
    return {f"apisix_{name}": set(re.findall(r'"(\w+)"', labels)) for name, labels in found}


def metric_of(expression: str) -> str:
    return re.findall(r"apisix_azure_openai_\w+", expression)[0].removesuffix("_bucket")


def labels_of(expression: str) -> set[str]:
    selected = re.findall(r"(\w+)(?:=~|!=|=)", expression)
    grouped = [name for group in re.findall(r"by \(([^)]*)\)", expression) for name in group.split(", ")]
    return {*selected, *grouped} - {"le"}


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_o4_panels_use_metrics_that_exist(panel: dict[str, Any]) -> None:
    assert metric_of(panel["targets"][0]["expr"]) in registered_labels()


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_o4_panels_use_labels_that_exist(panel: dict[str, Any]) -> None:
    expression = panel["targets"][0]["expr"]
    assert labels_of(expression) <= registered_labels()[metric_of(expression)]


@pytest.mark.parametrize(
    "question", ["Which backend", "Which region", "How often failover triggers, and why", "cost"]
)
def test_o4_each_question_has_a_panel(question: str) -> None:
    assert any(question in panel["title"] for panel in PANELS)


def test_o4_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in PANELS
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
