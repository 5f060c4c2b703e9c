"""Metrics and labels: those in PromQL expressions, and those of the gateway."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = (ROOT / "apisix" / "plugins" / "azure-openai" / "account" / "registry.lua").read_text()


def registered_labels() -> dict[str, set[str]]:
    """The metrics that the Lua bundle registers, with their labels."""
    found = re.findall(r'registry:\w+\(\s*"(\w+)".*?\{([^}]*)\}', REGISTRY, re.DOTALL)
    return {f"apisix_{name}": set(re.findall(r'"(\w+)"', labels)) for name, labels in found}


def metrics_of(expression: str) -> set[str]:
    """Names of the gateway's metrics in an expression."""
    return {name.removesuffix("_bucket") for name in re.findall(r"apisix_azure_openai_\w+", expression)}


def labels_of(expression: str) -> set[str]:
    """Labels that an expression selects or groups by, except `le` of histograms and `instance` of scrapes."""
    selected = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", expression)
    grouped = [name for group in re.findall(r"by \(([^)]*)\)", expression) for name in group.split(", ")]
    return {*selected, *grouped} - {"le", "instance"}


def unknown_labels(expression: str) -> set[str]:
    """Labels that the metrics of the expression do not have. A grouping needs a metric that has the label."""
    known = registered_labels()
    unknown: set[str] = set()
    for name, selector in re.findall(r"(apisix_azure_openai_\w+)(?:\{([^}]*)\})?", expression):
        unknown |= labels_of(selector) - known[name.removesuffix("_bucket")]
    grouped = labels_of(re.sub(r"\{[^}]*\}", "", expression))
    return unknown | grouped.difference(*(known[name] for name in metrics_of(expression)))
