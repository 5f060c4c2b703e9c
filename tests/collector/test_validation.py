"""The collector accepts every file that the renderer writes for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.collector.conftest import rendered, require_components
from tests.collector.running import validation_errors, version

ROOT = Path(__file__).resolve().parents[2]
BUILDER = yaml.safe_load((ROOT / "tests/collector/builder.yaml").read_text())

INSIGHTS = {
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=00000000-0000-0000-0000-000000000001"
}
IDENTITY = {"AZURE_CLIENT_ID": "00000000-0000-0000-0000-000000000002"}
WORKSPACE = IDENTITY | {
    "AZURE_MONITOR_METRICS_ENDPOINT": "https://workspace.example.com/write?api-version=2023-04-24",
}
NO_CLIENT_ID = {"AZURE_MONITOR_METRICS_ENDPOINT": "https://workspace.example.com/write"}
AWKWARD_NAME = {"OTEL_SERVICE_NAME": "${env:PATH} $0 'a' \"b\" #c: [d]"}


@pytest.mark.parametrize("mode", ["dev", "test", "prod"])
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="plain"),
        pytest.param(INSIGHTS, id="insights"),
        pytest.param(INSIGHTS | IDENTITY, id="insights-with-identity"),
        pytest.param(WORKSPACE, id="workspace"),
        pytest.param(NO_CLIENT_ID, id="platform-identity"),
        pytest.param(INSIGHTS | WORKSPACE, id="insights-and-workspace"),
        pytest.param(AWKWARD_NAME, id="awkward-name"),
        pytest.param({"PROMETHEUS_SCRAPE_INTERVAL_SECONDS": "1"}, id="every-second"),
        pytest.param({"PROMETHEUS_SCRAPE_INTERVAL_SECONDS": "3600"}, id="every-hour"),
    ],
)
def test_the_rendered_file_is_valid(
    executable: str, settings: dict[str, str], mode: str, tmp_path: Path
) -> None:
    text = rendered(GATEWAY_LOG_MODE=mode, **settings)
    require_components(executable, text)
    path = tmp_path / "otel-collector.yaml"
    path.write_text(text)
    assert validation_errors(executable, path, environment=settings) == ""


def test_a_wrong_file_is_not_valid(executable: str, tmp_path: Path) -> None:
    path = tmp_path / "otel-collector.yaml"
    path.write_text(rendered().replace("scrape_interval", "scrape_intervall"))
    assert "scrape_intervall" in validation_errors(executable, path, environment={})


def test_the_collector_is_of_the_pinned_version(executable: str) -> None:
    assert version(executable) == BUILDER["dist"]["version"]


@pytest.mark.parametrize("path", ["infra/terraform/stacks/20-workload/variables.tf", "compose.yaml"])
def test_the_manifest_builds_the_version_that_runs_beside_the_gateway(path: str) -> None:
    image = re.search(r"opentelemetry-collector-contrib:([\d.]+)", (ROOT / path).read_text())
    assert image is not None
    assert image[1] == BUILDER["dist"]["version"]


def test_the_manifest_has_every_component_that_a_rendered_file_uses() -> None:
    modules = "\n".join(
        each["gomod"]
        for kind in ("extensions", "receivers", "processors", "exporters")
        for each in BUILDER[kind]
    )
    document = yaml.safe_load(rendered(**INSIGHTS, **WORKSPACE))
    document["exporters"] |= yaml.safe_load(rendered())["exporters"]
    for kind in ("extensions", "receivers", "processors", "exporters"):
        for name in document[kind]:
            assert f"/{name.replace('_', '')}{kind.removesuffix('s')} " in modules
