"""O4: alerts on records count the requests of every surface, and what is a failure."""

from __future__ import annotations

import re

import pytest

from tests.dashboards.promql import ROOT

ALERTS = (ROOT / "infra/terraform/modules/observability/alerts.tf").read_text()
SURFACES = (ROOT / "apisix/plugins/azure-openai/base/surfaces.lua").read_text()


def of_a_surface(path: str) -> bool:
    """Whether the alerts count a request with this path."""
    [pattern] = re.findall(r'matches regex "([^"]+)"', ALERTS)
    return re.search(pattern, path) is not None


@pytest.mark.parametrize("beginning", re.findall(r'\bpath = "([^"]+)"', SURFACES))
def test_o4_they_count_the_requests_of_every_surface(beginning: str) -> None:
    assert of_a_surface(f"{beginning}chat/completions")


@pytest.mark.parametrize("path", ["/", "/wp-admin/openai/", "/live/events", "/health/ready"])
def test_o4_they_count_nothing_else(path: str) -> None:
    assert not of_a_surface(path)


def test_o4_the_limit_of_a_lane_is_no_failure() -> None:
    """Its record says `lane`, as `test_o2_o3_the_limit_of_a_lane_…` in `tests/behaviour` shows."""
    assert 'tostring(Properties.error) != \\"lane\\"' in ALERTS
