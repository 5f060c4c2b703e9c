"""Where the time of a request goes, and its picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from e2e.bench import backend, flame, wrk
from e2e.bench.pools import ONE
from e2e.bench.profile import Frame, profile, shares, tree
from e2e.bench.targets import site_of

STACKS = """\
/l/apisix/init.lua:access;/l/apisix/plugins/azure-openai/serve.lua:begin 60
/l/apisix/init.lua:access;/l/apisix/plugins/azure-openai/serve.lua:begin;garbage collection 20
/l/apisix/init.lua:log;/l/apisix/plugins/prometheus/exporter.lua:http_log 15
/l/apisix/init.lua:log 4
pcall 1
"""


def all_frames(frame: Frame) -> list[str]:
    return [frame.name, *(name for callee in frame.callees.values() for name in all_frames(callee))]


@pytest.fixture
def root() -> Frame:
    return tree(STACKS)


def test_shares_by_state(root: Frame) -> None:
    assert shares(root, by_state=True) == [("Lua", 0.8), ("garbage collection", 0.2)]


def test_shares_by_part(root: Frame) -> None:
    parts = {"this gateway": 0.8, "APISIX's metrics": 0.15, "APISIX and its libraries": 0.04, "nginx": 0.01}
    assert dict(shares(root, by_state=False)) == parts


def test_frames_are_as_wide_as_they_were_seen(root: Frame) -> None:
    drawn = ElementTree.fromstring(flame.picture("Title", root))
    widths = {
        str(group[0].text): float(group[1].get("width", 0))
        for group in drawn.iter("{http://www.w3.org/2000/svg}g")
    }
    assert widths["serve.lua:begin, 80.0%"] == pytest.approx(widths["all, 100.0%"] * 0.8, abs=1)


def test_a_busy_worker_is_seen_in_the_gateways_lua(tmp_path: Path) -> None:
    missing = backend.missing() or (None if wrk.is_installed() else "wrk is not installed")
    if missing:
        pytest.skip(missing)
    with backend.running_backends(tmp_path) as backends, site_of(ONE, tmp_path, backends) as site:
        found = profile("embedded", site, warm_up_seconds=1, seconds=1)
    assert any("/azure-openai/serve.lua" in name for name in all_frames(found))
