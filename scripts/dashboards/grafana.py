"""Writes the panels as a dashboard that Grafana imports."""

from __future__ import annotations

from typing import Any

from scripts.dashboards.panels import PURPOSE, Panel

_COLUMNS = 24
_HEIGHTS = {"number": 4, "chart": 8, "table": 8}
_TYPES = {"number": "stat", "chart": "timeseries", "table": "table"}
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_CHOICES = {
    "deployment": "label_values(apisix_azure_openai_requests_total, deployment)",
    "backend": "label_values(apisix_azure_openai_requests_total, backend)",
    "client": "label_values(apisix_azure_openai_client_requests_total, client)",
}


def in_grafana(query: str) -> str:
    """A query with Grafana's variables of time. Example: `rate(m[RATE])` → `rate(m[$__rate_interval])`."""
    return query.replace("[RANGE]", "[$__range]").replace("[RATE]", "[$__rate_interval]")


def dashboard(panels: list[Panel]) -> dict[str, Any]:
    """The dashboard as Grafana's JSON model has it."""
    return {
        "title": "Azure OpenAI gateway",
        "uid": "azure-openai-gateway",
        "description": PURPOSE,
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "tags": ["azure-openai", "apisix"],
        "templating": {"list": [_source(), *(_choice(name, query) for name, query in _CHOICES.items())]},
        "panels": _placed(panels),
    }


def _source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
    }


def _choice(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": "var"},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _placed(panels: list[Panel]) -> list[dict[str, Any]]:
    """The panels from left to right and from top to bottom, with a row above each section."""
    placed: list[dict[str, Any]] = []
    section, x, y, height = None, 0, 0, 0
    for panel in panels:
        if panel.section != section:
            section, x, y = panel.section, 0, y + height
            placed.append(_row(section, y, len(placed) + 1))
            y, height = y + 1, 0
        if x + panel.width > _COLUMNS:
            x, y, height = 0, y + height, 0
        height = max(height, _HEIGHTS[panel.kind])
        place = {"x": x, "y": y, "w": panel.width, "h": _HEIGHTS[panel.kind]}
        placed.append(_panel(panel, place, len(placed) + 1))
        x += panel.width
    return placed


def _row(title: str, y: int, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "title": title,
        "type": "row",
        "collapsed": False,
        "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
        "panels": [],
    }


def _panel(panel: Panel, place: dict[str, int], number: int) -> dict[str, Any]:
    return {
        "id": number,
        "title": panel.title,
        "description": panel.about,
        "type": _TYPES[panel.kind],
        "gridPos": place,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, **_style(panel)}, "overrides": []},
        "targets": [_target(panel)],
        **_options(panel),
    }


def _style(panel: Panel) -> dict[str, Any]:
    if panel.kind != "chart":
        return {}
    stacking = {"stacking": {"mode": "normal"}} if panel.stacked else {}
    return {"custom": {"drawStyle": "line", "fillOpacity": 20 if panel.stacked else 0, **stacking}}


def _target(panel: Panel) -> dict[str, Any]:
    target = {
        "refId": "A",
        "expr": in_grafana(panel.query),
        "legendFormat": ": ".join(f"{{{{{label}}}}}" for label in panel.labels),
        "instant": panel.kind != "chart",
        "datasource": _SOURCE,
    }
    return target | ({"format": "table"} if panel.kind == "table" else {})


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "number":
        return {"options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value"}}
    if panel.kind == "chart":
        return {"options": {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["mean"]}}}
    return {"transformations": [{"id": "organize", "options": {"excludeByName": {"Time": True}}}]}
