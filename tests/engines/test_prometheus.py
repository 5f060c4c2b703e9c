"""The metrics of a gateway, and of plugins that add their own."""

import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.engines.support import start

COUNTER = """
local exporter = require("apisix.plugins.prometheus.exporter")
local _M = { version = 0.1, priority = 0, name = "counter", schema = { type = "object" } }
local metrics

local function register()
    local registry = exporter.get_prometheus()
    return {
        counter = registry:counter("tests_total", "A counter", { "kind" }),
        gauge = registry:gauge("tests_level", "A gauge"),
        histogram = registry:histogram("tests_size", "A histogram", { "kind" }, { 1, 5 }),
    }
end

function _M.access()
    metrics = metrics or register()
    metrics.counter:inc(2, { 'a "quoted" \\\\ label' })
    metrics.gauge:set(7)
    metrics.histogram:observe(1, { "x" })
    metrics.histogram:observe(4, { "x" })
    metrics.histogram:observe(9, { "x" })
    return 200, tostring(ngx.worker.id())
end

return _M
"""

MISSING = """
local _M = { version = 0.1, priority = 0, name = "missing", schema = { type = "object" } }

function _M.access()
    return 404
end

return _M
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with start(
        tmp_path_factory.mktemp("bundle"),
        plugins={"counter": COUNTER, "missing": MISSING},
        stock=("prometheus",),
        workers=2,
        routes=[
            {"id": name, "uri": f"/{name}", "plugins": {name: {}, "prometheus": {"prefer_name": True}}}
            for name in ("counter", "missing")
        ],
    ) as started:
        httpx.get(f"{started.url}/counter")
        httpx.get(f"{started.url}/missing")
        # A request is counted after its answer, perhaps by another worker than the one that renders.
        eventually(lambda: {'code="200"', 'code="404"'} <= codes(started))
        yield started


def codes(gateway: Gateway) -> set[str]:
    """The statuses of requests that the metrics know of."""
    return set(re.findall(r'apisix_http_status\{(code="\d+")', httpx.get(gateway.metrics_url).text))


@pytest.fixture(scope="module")
def page(gateway: Gateway) -> Callable[[], list[str]]:
    return lambda: httpx.get(gateway.metrics_url).text.splitlines()


def test_the_page_is_plain_text(gateway: Gateway) -> None:
    assert httpx.get(gateway.metrics_url).headers["content-type"].startswith("text/plain")


def test_any_other_page_of_the_metrics_port_is_a_404(gateway: Gateway) -> None:
    assert httpx.get(f"{gateway.metrics_url}/other").status_code == 404


@pytest.mark.parametrize(
    "line",
    [
        "# HELP apisix_tests_total A counter",
        "# TYPE apisix_tests_total counter",
        'apisix_tests_total{kind="a \\"quoted\\" \\\\ label"} 2',
        "# TYPE apisix_tests_level gauge",
        "apisix_tests_level 7",
        "# TYPE apisix_tests_size histogram",
        'apisix_tests_size_bucket{kind="x",le="1"} 1',
        'apisix_tests_size_bucket{kind="x",le="5"} 2',
        'apisix_tests_size_bucket{kind="x",le="+Inf"} 3',
        'apisix_tests_size_count{kind="x"} 3',
        'apisix_tests_size_sum{kind="x"} 14',
    ],
)
def test_a_plugin_adds_metrics_through_the_exporters_registry(
    page: Callable[[], list[str]], line: str
) -> None:
    assert line in page()


@pytest.mark.parametrize(
    "labels",
    [
        f'code="{code}",route="{name}",matched_uri="/{name}"'
        for code, name in ((200, "counter"), (404, "missing"))
    ],
)
def test_requests_are_counted_by_status_and_route(page: Callable[[], list[str]], labels: str) -> None:
    assert any(line.startswith(f"apisix_http_status{{{labels}") for line in page())


def test_every_metric_is_described_once(page: Callable[[], list[str]]) -> None:
    described = [line for line in page() if line.startswith("# TYPE")]
    assert len(described) == len(set(described))
