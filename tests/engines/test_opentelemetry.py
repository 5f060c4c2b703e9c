"""The opentelemetry plugin: how a gateway continues traces, and how much the embedded engine offers.

tests/behaviour/test_observability.py specifies the content of the gateway's spans.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.waiting import eventually
from scripts.engines import EngineError, Gateway
from tests.engines.support import start
from tests.support.otlp import SERVER, OtlpReceiver, Span

SHOW = """
local core = require("apisix.core")
local _M = { version = 0.1, priority = 0, name = "show", schema = { type = "object" } }
function _M.access(conf, ctx)
    local headers = core.request.headers(ctx)
    return 200, { traceparent = headers["traceparent"], tracestate = headers["tracestate"] }
end
return _M
"""
TRACE, CALLER = "ab" * 16, "cd" * 8
ARRIVAL_SECONDS = 20


def settings(fraction: float = 1) -> dict[str, Any]:
    """The plugin's block."""
    root = {"name": "trace_id_ratio", "options": {"fraction": fraction}}
    return {"sampler": {"name": "parent_base", "options": {"root": root}}}


def metadata(address: str, **batch: Any) -> dict[str, Any]:
    """The plugin's metadata for a collector."""
    return {
        "id": "opentelemetry",
        "trace_id_source": "random",
        "resource": {"service.name": "of the test"},
        "collector": {"address": address, "request_timeout": 3},
        "batch_span_processor": {
            "drop_on_queue_full": True,
            "max_queue_size": 64,
            "max_export_batch_size": 16,
            "batch_timeout": 1,
            "inactive_timeout": 1,
            **batch,
        },
    }


def gateway(
    root: Path, conf: dict[str, Any], plugin_metadata: dict[str, Any], engine: str = "embedded"
) -> Gateway:
    return start(
        root,
        engine=engine,
        plugins={"show": SHOW},
        stock=("opentelemetry",),
        routes=[{"id": "show", "uri": "/show/*", "plugins": {"show": {}}}],
        global_rules=[{"id": "traces", "plugins": {"opentelemetry": conf}}],
        plugin_metadata=[plugin_metadata],
    )


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def client(
    engine: str, receiver: OtlpReceiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("bundle")
    with (
        gateway(root, settings(), metadata(receiver.endpoint), engine) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        yield client


def spans_named(receiver: OtlpReceiver, path: str) -> list[Span]:
    """The spans of the requests for a path; waits for the first one."""

    def look() -> list[Span]:
        return [span for span in receiver.spans if span.attributes["url.path"] == path]

    return eventually(look, seconds=ARRIVAL_SECONDS)


def says(running: Gateway, text: str, times: int = 1) -> bool:
    """Waits until the error log holds a text this many times."""
    return eventually(lambda: running.error_log.read_text().count(text) == times, ARRIVAL_SECONDS)


@pytest.mark.parametrize(
    "given",
    [
        f"00-{TRACE}-{CALLER}-01",
        f"01-{TRACE}-{CALLER}-01",
        f"cc-{TRACE}-{CALLER}-01-what-the-future-will-bring",
    ],
)
def test_a_trace_is_continued(client: httpx.Client, given: str) -> None:
    parts = client.get("/show/x", headers={"traceparent": given}).json()["traceparent"].split("-")
    assert (parts[:2], parts[2] != CALLER, parts[3:]) == (["00", TRACE], True, ["01"])


@pytest.mark.parametrize(
    "given",
    [
        "",
        "nonsense",
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}-01-more",
        f"00-{TRACE}-{CALLER}",
        f"00-{TRACE}-{CALLER}-03",
        f"00-{TRACE[1:]}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}cd-01",
        f"00-{TRACE.upper()}-{CALLER}-01",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{CALLER}-xy",
    ],
)
def test_a_caller_that_cannot_be_understood_is_none(client: httpx.Client, given: str) -> None:
    traceparent = client.get("/show/x", headers={"traceparent": given}).json()["traceparent"]
    assert (traceparent[:3], TRACE in traceparent, traceparent[-3:]) == ("00-", False, "-01")


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        ("a=1,tenant@b=2", "a=1,tenant@b=2"),
        ("a=1, b=2", "a=1,b=2"),
        ("UPPER=1", ""),
        ("a", ""),
        ("=1", ""),
        (",".join(f"k{n}=v" for n in range(33)), ""),
    ],
)
def test_what_vendors_add_to_a_trace_is_passed_on(client: httpx.Client, given: str, passed_on: str) -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": given}
    assert (client.get("/show/x", headers=headers).json().get("tracestate") or "") == passed_on


def test_what_vendors_add_to_no_trace_is_not_passed_on(client: httpx.Client) -> None:
    assert not client.get("/show/x", headers={"tracestate": "a=1"}).json().get("tracestate")


def test_a_request_is_a_span_of_its_route(client: httpx.Client, receiver: OtlpReceiver) -> None:
    client.get("/show/span", headers={"user-agent": "the-test"})
    (span,) = spans_named(receiver, "/show/span")
    expected = {
        "http.method": "GET",
        "http.request.method": "GET",
        "http.scheme": "http",
        "url.scheme": "http",
        "http.target": "/show/span",
        "http.user_agent": "the-test",
        "user_agent.original": "the-test",
        "net.host.name": "127.0.0.1",
        "apisix.route_id": "show",
        "http.route": "/show/*",
        "apisix.response_source": "apisix",
        "http.status_code": 200,
        "http.response.status_code": 200,
    }
    assert (span.name, span.kind, span.parent_id, span.status) == ("GET /show/*", SERVER, "", 0)
    assert {name: span.attributes.get(name) for name in expected} == expected


def test_a_request_without_a_route_is_a_span_too(client: httpx.Client, receiver: OtlpReceiver) -> None:
    client.get("/nothing")
    (span,) = spans_named(receiver, "/nothing")
    assert (span.name, span.attributes["http.status_code"]) == ("GET", 404)


def test_a_long_name_survives(client: httpx.Client, receiver: OtlpReceiver) -> None:
    path = "/show/" + "x" * 3000
    client.get(path)
    assert len(spans_named(receiver, path)) == 1


def test_what_is_sampled_is_a_share_of_the_traces(
    engine: str, receiver: OtlpReceiver, tmp_path: Path
) -> None:
    # 400 draws at one half fall outside 140 to 260 once in a thousand million runs.
    with (
        gateway(tmp_path, settings(0.5), metadata(receiver.endpoint), engine) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        headers = [client.get("/show/share").json()["traceparent"] for _ in range(400)]
    sampled = [header for header in headers if header.endswith("-01")]
    assert 140 <= len(sampled) <= 260


class TestTheEmbeddedEngine:
    def test_drops_spans_that_do_not_fit_into_its_queue(self, receiver: OtlpReceiver, tmp_path: Path) -> None:
        batch = {"max_queue_size": 3, "max_export_batch_size": 2, "inactive_timeout": 3}
        with (
            gateway(tmp_path, settings(), metadata(receiver.endpoint, **batch)) as running,
            httpx.Client(base_url=running.url) as client,
        ):
            # On one connection, so that they end long before the first look at the queue.
            answers = [client.get("/show/drop").status_code for _ in range(8)]
            assert eventually(
                lambda: "did not fit into the queue: 5" in running.error_log.read_text(), ARRIVAL_SECONDS
            )
        assert (answers, len(spans_named(receiver, "/show/drop"))) == ([200] * 8, 3)

    def test_sends_what_it_holds_when_it_stops(self, receiver: OtlpReceiver, tmp_path: Path) -> None:
        batch = {"batch_timeout": 600, "inactive_timeout": 600}
        with gateway(tmp_path, settings(), metadata(receiver.endpoint, **batch)) as running:
            httpx.get(f"{running.url}/show/last")
        assert len(spans_named(receiver, "/show/last")) == 1

    def test_says_so_when_the_collector_takes_nothing(self, tmp_path: Path) -> None:
        with gateway(tmp_path, settings(), metadata("127.0.0.1:9")) as running:
            httpx.get(f"{running.url}/show/x")
            assert says(running, "spans that the collector did not take: 1 (connection refused)")

    def test_tries_again_with_the_next_spans(self, tmp_path: Path) -> None:
        with gateway(tmp_path, settings(), metadata("127.0.0.1:9")) as running:
            for failures in (1, 2):
                httpx.get(f"{running.url}/show/x")
                assert says(running, "the collector did not take", failures)


def problems(root: Path, conf: dict[str, Any], plugin_metadata: dict[str, Any]) -> list[str]:
    """The reasons why a gateway with these settings does not start."""
    try:
        gateway(root, conf, plugin_metadata).stop()
    except EngineError as error:
        return error.problems
    return []


@pytest.mark.parametrize("name", ["always_on", "always_off", "trace_id_ratio"])
def test_another_sampler_is_refused(tmp_path: Path, name: str) -> None:
    conf = settings()
    conf["sampler"]["name"] = name
    (problem,) = problems(tmp_path, conf, metadata("127.0.0.1:9"))
    assert 'plugin opentelemetry: property "sampler"' in problem


def test_further_settings_are_refused_by_name(tmp_path: Path) -> None:
    conf = {**settings(), "additional_attributes": ["http_x"], "additional_header_prefix_attributes": ["x-*"]}
    refused = problems(tmp_path, conf, metadata("127.0.0.1:9") | {"set_ngx_var": True})
    assert [problem.removesuffix(" is not offered by the embedded engine") for problem in refused] == [
        "global_rule traces: plugin opentelemetry: "
        "additional_attributes, additional_header_prefix_attributes",
        "plugin_metadata opentelemetry: plugin opentelemetry: set_ngx_var",
    ]


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("collector", "request_headers", {"x": "y"}),
        ("batch_span_processor", "drop_on_queue_full", False),
        ("batch_span_processor", "max_queue_size", 0),
    ],
)
def test_other_ways_to_send_are_refused(tmp_path: Path, group: str, name: str, value: Any) -> None:
    changed = deepcopy(metadata("127.0.0.1:9"))
    changed[group][name] = value
    (problem,) = problems(tmp_path, settings(), changed)
    assert name in problem
