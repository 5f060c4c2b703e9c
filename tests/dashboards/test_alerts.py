"""O4: alerts use metrics that the gateway really has, and fire when they should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dashboards.promql import ROOT, metrics_of, registered_labels, unknown_labels

TEMPLATE = ROOT / "infra" / "terraform" / "modules" / "observability" / "prometheus-rules.yaml.tftpl"
THRESHOLDS = {
    "exhausted_percent": "2",
    "failover_percent": "30",
    "silent_minutes": "10",
    "daily_budget_usd": "100",
}


def filled_in() -> str:
    """The rule file, as Terraform fills it in."""
    return re.sub(r"\$\{(\w+)\}", lambda match: THRESHOLDS[match[1]], TEMPLATE.read_text())


RULES: list[dict[str, Any]] = yaml.safe_load(filled_in())["groups"][0]["rules"]
each_rule = pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])


@each_rule
def test_o4_alerts_use_metrics_that_exist(rule: dict[str, Any]) -> None:
    asked = metrics_of(rule["expr"])
    assert asked
    assert asked <= set(registered_labels())


@each_rule
def test_o4_alerts_use_labels_that_exist(rule: dict[str, Any]) -> None:
    assert unknown_labels(rule["expr"]) == set()


@each_rule
def test_o4_alerts_say_how_bad_it_is_and_what_happened(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"0", "1", "2", "3", "4"}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert set(rule) == {"alert", "expr", "labels", "annotations"}, "Terraform passes on nothing else"


def test_o4_alerts_name_outcomes_and_reasons_that_the_gateway_gives() -> None:
    source = "".join(
        (ROOT / "apisix" / "plugins" / "azure-openai" / name).read_text()
        for name in (
            "account/metrics.lua",
            "account/labels.lua",
            "routing/availability.lua",
            "outcome/verdict.lua",
        )
    )
    named = {
        value
        for rule in RULES
        for text in re.findall(r'(?:outcome|reason|deployment)(?:=|!=|=~|!~)"([^"]*)"', rule["expr"])
        for value in text.split("|")
    }
    assert named
    assert {value for value in named if f'"{value}"' not in source} == set()


def test_o4_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool in PROMTOOL or on PATH: it comes with Prometheus")
    (tmp_path / "rules.yaml").write_text(filled_in())
    tests = shutil.copy(Path(__file__).parent / "alerts_test.yaml", tmp_path)
    result = subprocess.run(
        [promtool, "test", "rules", str(tests)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_o4_the_check_of_labels_notices() -> None:
    expression = 'sum by (colour) (apisix_azure_openai_exhausted_total{backend="east", status="429"})'
    assert unknown_labels(expression) == {"colour", "backend"}
