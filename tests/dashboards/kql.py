"""Finds every query in KQL: of log alerts, of the workbook, in documents and in messages."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.dashboards.promql import ROOT

PLACES = ("README.md", "docs", "infra", "dashboards", "scripts", "examples", "e2e", "renderer")
STEP = re.compile(r"\|\s*(?:where|extend|project|summarize|order by|sort by|join|union|take|top|count)\b")
"""The beginning of a step of a query."""


def files_with_kql() -> list[Path]:
    """Every file that holds a step of a query."""
    files = [file for place in PLACES for file in [ROOT / place, *sorted((ROOT / place).rglob("*"))]]
    texts = {".md", ".tf", ".tftpl", ".tfvars", ".json", ".yaml", ".yml", ".py", ".j2", ".html"}
    return [file for file in files if file.suffix in texts and file.is_file() and steps(file.read_text())]


def steps(text: str) -> int:
    """How many steps a text holds.

    >>> steps("T | where a == 1 | count")
    2
    """
    return len(STEP.findall(text))


def queries_of(file: Path) -> list[str]:
    """The queries of a file, each whole."""
    return list(
        {".md": _fenced, ".tf": _of_alerts, ".json": _of_workbook, ".py": _in_strings}[file.suffix](file)
    )


def _fenced(file: Path) -> Iterator[str]:
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", file.read_text(), re.DOTALL | re.MULTILINE)
    return (textwrap.dedent(block) for block in blocks if steps(block))


def _of_alerts(file: Path) -> Iterator[str]:
    text = file.read_text()
    parts = dict(re.findall(r"(\w+) = <<-KQL\n(.*?)\n\s*KQL", text, re.DOTALL))
    for condition in re.findall(r'matching\s+= "((?:[^"\\]|\\.)*)"', text):
        yield f"{parts['requests']}\n{parts['share']}".replace("MATCHING", json.loads(f'"{condition}"'))
    for whole in re.findall(r'query\s+= "((?:[^"$\\]|\\.)*)"', text):
        yield json.loads(f'"{whole}"')


def _of_workbook(file: Path) -> Iterator[str]:
    def walk(part: Any) -> Iterator[str]:
        if isinstance(part, dict) and steps(str(part.get("query", ""))):
            yield part["query"]
        children = part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
        for child in children:
            yield from walk(child)

    return walk(json.loads(file.read_text()))


def _in_strings(file: Path) -> Iterator[str]:
    """Queries in messages and the like, each from its table to the end of the string."""
    tree = ast.parse(file.read_text())
    formatted = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in formatted for part in ast.walk(node)}
    plain = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in inside]
    for node in [*formatted, *plain]:
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts)
        yield from re.findall(r"\w+ \| where .*", text)
