"""O4: on a real Prometheus, after a real load, each panel shows something and each alert can be evaluated."""

from __future__ import annotations

import math
import os
from pathlib import Path

import httpx
import pytest

from scripts.dashboards.draw import picture
from scripts.dashboards.panels import Panel, read
from tests.dashboards.conftest import Observed
from tests.dashboards.promql import STOCK, metrics_of

PANELS = read()
# What these show, a load without a collector does not make.
OF_NO_LOAD = {"Telemetry that was dropped"}
# One Prometheus serves all of these tests.
pytestmark = pytest.mark.xdist_group("prometheus")


@pytest.fixture(autouse=True)
def _on_this_engine(request: pytest.FixtureRequest, observed: Observed) -> None:
    """The embedded engine has no metrics of nginx."""
    panel = request.node.callspec.params.get("panel") if hasattr(request.node, "callspec") else None
    names = httpx.get(f"{observed.source.url}/api/v1/label/__name__/values").json()["data"]
    if panel and metrics_of(panel.query) & STOCK.keys() - set(names):
        pytest.skip("the engine does not export APISIX's own metrics that this panel reads")


@pytest.mark.parametrize("panel", PANELS, ids=[panel.title for panel in PANELS])
def test_o4_every_panel_shows_something(observed: Observed, panel: Panel) -> None:
    values = [value for series in observed.source.ask(panel) for _, value in series.points]
    if panel.title in OF_NO_LOAD:
        assert values == []
        return
    assert any(math.isfinite(value) and value > 0 for value in values)


def test_o4_the_number_of_requests_is_that_of_the_load(observed: Observed) -> None:
    [panel] = [panel for panel in PANELS if panel.title == "Requests"]
    [series] = observed.source.ask(panel)
    # The extrapolation to the ends of the time may add a little.
    assert series.points[-1][1] == pytest.approx(observed.requests, rel=0.03)


def test_o4_every_alert_can_be_evaluated(observed: Observed) -> None:
    [group] = httpx.get(f"{observed.source.url}/api/v1/rules").json()["data"]["groups"]
    assert {rule["name"]: rule["health"] for rule in group["rules"]} == {
        rule["name"]: "ok" for rule in group["rules"]
    }


def test_o4_the_dashboard_can_be_drawn(observed: Observed, tmp_path: Path) -> None:
    """`DASHBOARD_PICTURE` keeps the picture: it is the one in the documentation."""
    file = Path(os.environ.get("DASHBOARD_PICTURE", tmp_path / "dashboard.svg"))
    file.write_text(picture(PANELS, observed.source), encoding="utf-8")
    text = file.read_text(encoding="utf-8")
    assert [panel.title for panel in PANELS if panel.title not in text] == []
