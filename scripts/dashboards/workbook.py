"""Writes the panels as a workbook of the Azure portal."""

from __future__ import annotations

import json
import uuid
from typing import Any

from scripts.dashboards.panels import PURPOSE, Panel

_IDS = uuid.UUID("8f0b2c52-3f39-5d0c-9d0e-6f1f6c2f6a3b")
_METRICS = {
    "Deployment": "apisix_azure_openai_requests_total",
    "Backend": "apisix_azure_openai_requests_total",
    "Client": "apisix_azure_openai_client_requests_total",
}
_MINUTES = (30, 60, 240, 360, 720, 1440, 2880, 10080, 43200)
_INTRODUCTION = (
    f"{PURPOSE}\n\nAll empty? Reading the workspace needs the role *Monitoring Data Reader* on it, and the "
    "gateway writes metrics only with its collector on."
)
_PROMETHEUS = {
    "timeContextFromParameter": "TimeRange",
    "queryType": 16,
    "resourceType": "microsoft.monitor/accounts",
    "crossComponentResources": ["{Workspace}"],
}


def in_workbook(query: str) -> str:
    """A query with the workbook's own variables. Rates are over five minutes, which hold several samples."""
    for name in _METRICS:
        query = query.replace(f"${name.lower()}", f"{{{name}}}")
    return query.replace("[RANGE]", "[{TimeRange:seconds}s]").replace("[RATE]", "[5m]")


def workbook(panels: list[Panel]) -> dict[str, Any]:
    """The workbook as the portal's advanced editor has it."""
    items: list[dict[str, Any]] = [_text("introduction", _INTRODUCTION), _choices()]
    section = None
    for panel in panels:
        if panel.section != section:
            section = panel.section
            items.append(_text(section, f"## {section}"))
        items.append(_item(panel))
    return {
        "version": "Notebook/1.0",
        "items": items,
        "$schema": "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json",
    }


def _text(name: str, markdown: str) -> dict[str, Any]:
    return {"type": 1, "content": {"json": markdown}, "name": name}


def _parameter(name: str, label: str, kind: int, **members: object) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(_IDS, name)),
        "version": "KqlParameterItem/1.0",
        "name": name,
        "label": label,
        "type": kind,
        "isRequired": True,
        **members,
    }


def _choices() -> dict[str, Any]:
    return {
        "type": 9,
        "content": {
            "version": "KqlParameterItem/1.0",
            "parameters": [_time(), _workspace(), *(_labels(name) for name in _METRICS)],
            "style": "pills",
            "queryType": 1,
            "resourceType": "microsoft.resourcegraph/resources",
        },
        "name": "choices",
    }


def _time() -> dict[str, Any]:
    choices = [{"durationMs": minutes * 60_000} for minutes in _MINUTES]
    settings = {"selectableValues": choices, "allowCustom": True}
    return _parameter("TimeRange", "Time range", 4, typeSettings=settings, value={"durationMs": 21_600_000})


def _workspace() -> dict[str, Any]:
    return _parameter(
        "Workspace",
        "Azure Monitor workspace",
        5,
        query="resources | where type =~ 'microsoft.monitor/accounts' | order by name asc | project id",
        crossComponentResources=["value::all"],
        typeSettings={
            "resourceTypeFilter": {"microsoft.monitor/accounts": True},
            "additionalResourceOptions": ["value::1"],
            "showDefault": False,
        },
        queryType=1,
        resourceType="microsoft.resourcegraph/resources",
        value="value::1",
    )


def _labels(name: str) -> dict[str, Any]:
    return _parameter(
        name,
        name,
        2,
        multiSelect=True,
        quote="",
        delimiter="|",
        query=_query(name.lower(), "labelvalues", filterName=_METRICS[name]),
        typeSettings={
            "additionalResourceOptions": ["value::all"],
            "selectAllValue": ".*",
            "showDefault": False,
        },
        value=["value::all"],
        **_PROMETHEUS,
    )


def _query(text: str, kind: str, **members: str) -> str:
    query = {"version": "PrometheusQueryProvider/1.0", "queryText": text, "type": kind, **members}
    return json.dumps(query, separators=(",", ":"))


def _item(panel: Panel) -> dict[str, Any]:
    is_chart = panel.kind == "chart"
    about = panel.about[0].lower() + panel.about[1:].removesuffix(".")
    chart = {"chartSettings": {"group": "*", "createOtherGroup": 50, "showLegend": True}} if is_chart else {}
    return {
        "type": 3,
        "content": {
            "version": "KqlItem/1.0",
            "query": _query(in_workbook(panel.query), "query_range" if is_chart else "query"),
            "size": 4 if panel.kind == "number" else 0,
            "title": f"{panel.title}: {about}",
            "noDataMessage": "Nothing in this time range.",
            "visualization": "timechart" if is_chart else "table",
            **_PROMETHEUS,
            **chart,
        },
        "customWidth": str(panel.width * 100 // 24),
        "name": panel.title,
    }
