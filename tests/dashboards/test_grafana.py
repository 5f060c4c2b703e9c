"""O4: the dashboard uses metrics that the gateway really has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.dashboards.__main__ import files
from tests.dashboards.promql import ROOT, metrics_of, registered_labels, unknown_labels

DASHBOARD: dict[str, Any] = json.loads((ROOT / "dashboards" / "azure-openai-gateway.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def test_o4_the_files_are_written_from_the_list_of_panels() -> None:
    stale = [path.name for path, text in files().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "python -m scripts.dashboards writes them"


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_o4_panels_use_metrics_that_exist(panel: dict[str, Any]) -> None:
    asked = metrics_of(panel["targets"][0]["expr"])
    assert asked
    assert asked <= set(registered_labels())


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_o4_panels_use_labels_that_exist(panel: dict[str, Any]) -> None:
    assert unknown_labels(panel["targets"][0]["expr"]) == set()


def test_o4_every_metric_of_the_gateway_is_on_the_dashboard() -> None:
    shown = {name for panel in PANELS for name in metrics_of(panel["targets"][0]["expr"])}
    assert set(registered_labels()) - shown == set()


@pytest.mark.parametrize(
    "question", ["Which backend", "Which region", "How often failover triggers, and why", "cost"]
)
def test_o4_each_question_has_a_panel(question: str) -> None:
    assert any(question in panel["title"] for panel in PANELS)


def test_o4_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
