"""O4: the workbook shows in the Azure portal what the dashboard shows in Grafana."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.dashboards.promql import ROOT, registered_labels
from tests.dashboards.test_grafana import PANELS

WORKBOOK: dict[str, Any] = json.loads(
    (ROOT / "dashboards" / "azure-openai-gateway.workbook.json").read_text()
)
# Types of a workbook's items: 1 is text, 9 are parameters, 3 is a query.
(CHOICES,) = [item["content"]["parameters"] for item in WORKBOOK["items"] if item["type"] == 9]
QUERIES = [item for item in WORKBOOK["items"] if item["type"] == 3]
each_query = pytest.mark.parametrize("item", QUERIES, ids=[item["name"] for item in QUERIES])
each_list = pytest.mark.parametrize("choice", CHOICES[2:], ids=[choice["name"] for choice in CHOICES[2:]])

# The workbook's form of each variable of Grafana. Five minutes contain several samples.
IN_GRAFANA = {
    "{Deployment}": "$deployment",
    "{Backend}": "$backend",
    "{Client}": "$client",
    "[{TimeRange:seconds}s]": "[$__range]",
    "[5m]": "[$__rate_interval]",
}


def asked(content: dict[str, Any]) -> dict[str, Any]:
    """The query of an item or a list, without the parts that are the same for all."""
    assert content["queryType"] == 16, "Prometheus"
    assert content["resourceType"] == "microsoft.monitor/accounts"
    assert content["crossComponentResources"] == ["{Workspace}"]
    assert content["timeContextFromParameter"] == "TimeRange"
    query: dict[str, Any] = json.loads(content["query"])
    assert query.pop("version") == "PrometheusQueryProvider/1.0"
    return query


def in_grafana(expression: str) -> str:
    """The expression as Grafana's dashboard would have it."""
    for ours, theirs in IN_GRAFANA.items():
        expression = expression.replace(ours, theirs)
    return expression


def test_o4_the_workbook_asks_what_the_dashboard_asks() -> None:
    shown = {item["name"]: in_grafana(asked(item["content"])["queryText"]) for item in QUERIES}
    assert shown == {panel["title"]: panel["targets"][0]["expr"] for panel in PANELS}


@each_query
def test_o4_a_chart_asks_for_a_range_and_a_table_for_a_moment(item: dict[str, Any]) -> None:
    kinds = {"timechart": "query_range", "table": "query"}
    assert asked(item["content"])["type"] == kinds[item["content"]["visualization"]]


@each_query
def test_o4_a_chart_has_series_to_tell_apart(item: dict[str, Any]) -> None:
    """A workbook cannot draw a chart of a result without labels."""
    if item["content"]["visualization"] == "timechart":
        assert " by (" in asked(item["content"])["queryText"]


@each_query
def test_o4_a_query_takes_only_what_can_be_chosen(item: dict[str, Any]) -> None:
    taken = re.findall(r"\{([A-Z]\w+)(?::\w+)?\}", item["content"]["query"])
    assert set(taken) <= {choice["name"] for choice in CHOICES}


def test_o4_what_is_chosen_is_the_time_the_workspace_deployments_backends_and_clients() -> None:
    names = [choice["name"] for choice in CHOICES]
    assert names == ["TimeRange", "Workspace", "Deployment", "Backend", "Client"]


@each_list
def test_o4_a_list_is_of_a_label_that_exists(choice: dict[str, Any]) -> None:
    query = asked(choice)
    assert query["type"] == "labelvalues"
    assert query["queryText"] in registered_labels()[query["filterName"]]


@each_list
def test_o4_what_is_chosen_of_a_list_makes_a_pattern(choice: dict[str, Any]) -> None:
    assert (choice["multiSelect"], choice["quote"], choice["delimiter"]) == (True, "", "|")
    assert choice["value"] == ["value::all"]
    assert choice["typeSettings"]["selectAllValue"] == ".*"


def test_o4_each_part_of_the_workbook_has_a_name_of_its_own() -> None:
    names = [item["name"] for item in WORKBOOK["items"]]
    assert len(names) == len(set(names))
    assert len({choice["id"] for choice in CHOICES}) == len(CHOICES)
