"""O4: the queries in KQL, of log alerts and of the workbook, are ones that Microsoft's own parser accepts.

The parser is the npm package `@kusto/language-service-next`. It knows no tables here: it checks the grammar.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.dashboards.promql import ROOT
from tests.dashboards.test_workbook import CHOICES

PACKAGE = "@kusto/language-service-next@12.4.1"
HOME = ROOT / ".cache" / "kusto"
ALERTS = ROOT / "infra" / "terraform" / "modules" / "observability" / "alerts.tf"


def alert_queries() -> list[str]:
    """The queries of the log alerts, as `alerts.tf` puts them together."""
    text = ALERTS.read_text()
    parts = dict(re.findall(r"(\w+) = <<-KQL\n(.*?)\n\s*KQL", text, re.DOTALL))
    conditions = [json.loads(f'"{one}"') for one in re.findall(r'matching\s+= "((?:[^"\\]|\\.)*)"', text)]
    whole = [json.loads(f'"{one}"') for one in re.findall(r'query\s+= "((?:[^"$\\]|\\.)*)"', text)]
    return [f"{parts['requests']}\n{parts['share']}".replace("MATCHING", one) for one in conditions] + whole


def complaints(queries: list[str]) -> list[list[str]]:
    """What the parser has to say of each query."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no Node.js with npm on PATH")
    if not (HOME / "node_modules").is_dir():
        command = [npm, "install", "--prefix", str(HOME), "--no-save", "--no-audit", "--no-fund", "--silent"]
        if subprocess.run([*command, PACKAGE], check=False).returncode != 0:
            pytest.skip(f"the npm registry did not give {PACKAGE}")
    script = Path(__file__).parent / "kql.cjs"
    done = subprocess.run(
        [node, str(script), str(HOME)], input=json.dumps(queries), capture_output=True, text=True, check=True
    )
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_o4_the_queries_of_log_alerts_are_kql() -> None:
    queries = alert_queries()
    assert len(queries) >= 3
    assert complaints(queries) == [[] for _ in queries]


def test_o4_the_workbook_finds_its_workspaces_with_kql() -> None:
    [workspaces] = [choice["query"] for choice in CHOICES if choice["name"] == "Workspace"]
    assert complaints([workspaces]) == [[]]


def test_o4_the_parser_notices() -> None:
    assert complaints(["T | wher a == 1"]) != [[]]
