"""Metrics and labels: those in PromQL expressions, and those of the gateway."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = (ROOT / "apisix" / "plugins" / "azure-openai" / "account" / "registry.lua").read_text()


# APISIX's own metrics that the dashboards read.
STOCK = {
    "apisix_nginx_http_current_connections": {"state"},
    "apisix_shared_dict_free_space_bytes": {"name"},
    "apisix_shared_dict_capacity_bytes": {"name"},
}
# Labels of histograms and of scrapes.
OF_EVERY_SERIES = {"le", "job", "instance"}


def registered_labels() -> dict[str, set[str]]:
    """The metrics that the Lua bundle registers, and `STOCK`, with their labels."""
    found = re.findall(r'registry:\w+\(\s*"(\w+)".*?\{([^}]*)\}', REGISTRY, re.DOTALL)
    ours = {f"apisix_{name}": set(re.findall(r'"(\w+)"', labels)) for name, labels in found}
    return ours | STOCK


def metrics_of(expression: str) -> set[str]:
    """Names of metrics in an expression."""
    return {name.removesuffix("_bucket") for name in re.findall(r"apisix_\w+", expression)}


def labels_of(expression: str) -> set[str]:
    """Labels that an expression selects or groups by, except `OF_EVERY_SERIES`."""
    selected = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", expression)
    grouped = [name for group in re.findall(r"by \(([^)]*)\)", expression) for name in group.split(", ")]
    return {*selected, *grouped} - OF_EVERY_SERIES


def unknown_labels(expression: str) -> set[str]:
    """Labels that the metrics of the expression do not have. A grouping needs a metric that has the label."""
    known = registered_labels()
    unknown: set[str] = set()
    for name, selector in re.findall(r"(apisix_\w+)(?:\{([^}]*)\})?", expression):
        unknown |= labels_of(selector) - known[name.removesuffix("_bucket")]
    grouped = labels_of(re.sub(r"\{[^}]*\}", "", expression))
    return unknown | grouped.difference(*(known[name] for name in metrics_of(expression)))
