"""The collector's way with telemetry, from the gateway's ports to the receivers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.collector.conftest import (
    Stage,
    chat,
    exported_names,
    metrics_target,
    rendered,
    without_sign_in,
)
from tests.collector.ingestion import Ingestion
from tests.collector.remote_write import PATH, RemoteWriteReceiver
from tests.collector.running import Collector
from tests.support.certificates import Certificate
from tests.support.otlp import SERVER
from tests.support.scripted_vault import running_vault

# One gateway serves all of these tests, so they share a process.
pytestmark = pytest.mark.xdist_group("collector")

REQUESTS = "apisix_azure_openai_requests_total"
ARRIVAL_SECONDS = 20
SHOW_ALL: dict[str, Any] = {"exporters": {"debug": {"verbosity": "detailed"}}}
IDENTITY = {"AZURE_CLIENT_ID": "00000000-0000-0000-0000-000000000002"}
EVERY_SECOND = {"PROMETHEUS_SCRAPE_INTERVAL_SECONDS": "1"}


def to_workspace(workspace: RemoteWriteReceiver, **settings: str) -> str:
    """The rendered file that sends metrics to a workspace."""
    return rendered(AZURE_MONITOR_METRICS_ENDPOINT=workspace.write_url, **(EVERY_SECOND | settings))


def arrived(workspace: RemoteWriteReceiver, **labels: str) -> float:
    """The number of requests in the first sample with some labels that is not 0, as soon as there is one."""

    def values() -> list[float]:
        return [sample.value for sample in workspace.samples(REQUESTS, **labels) if sample.value]

    return eventually(values, ARRIVAL_SECONDS)[0]


def send_span(collector: Collector, name: str) -> None:
    """Exports one span to the collector, in OTLP's JSON form; returns when the collector has it."""
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": name,
        "kind": SERVER,
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000001000000000",
    }
    export = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    httpx.post(f"{collector.otlp_endpoint}/v1/traces", json=export).raise_for_status()


def trace_to(
    stage: Stage, ingestion: Ingestion, environment: dict[str, str] | None = None, **settings: str
) -> list[dict[str, Any]]:
    """Send a span through a collector; returns its envelopes when they have arrived.

    ``environment`` is the collector's own, beside the connection string; ``settings`` are the renderer's.
    """
    insights = {"APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string}
    collector = stage.collector(rendered(**insights, **settings), environment=insights | (environment or {}))
    send_span(collector, "a-span")
    return eventually(lambda: ingestion.of_type("RequestData"), ARRIVAL_SECONDS)


class Writing:
    """Starts collectors that read the gateway's metrics and write them to the workspace, without a token."""

    def __init__(self, stage: Stage, gateway: Gateway, workspace: RemoteWriteReceiver) -> None:
        self._stage = stage
        self._gateway = gateway
        self._workspace = workspace

    def start(self, environment: dict[str, str] | None = None, **settings: str) -> Collector:
        """A running one; ``environment`` is the collector's own, ``settings`` the renderer's."""
        return self._stage.collector(
            without_sign_in(to_workspace(self._workspace, **settings)),
            metrics_target=metrics_target(self._gateway),
            environment=self._workspace.trusting_environment | (environment or {}),
        )


@pytest.fixture
def writing(stage: Stage, used_gateway: Gateway, workspace: RemoteWriteReceiver) -> Writing:
    return Writing(stage, used_gateway, workspace)


def test_the_probes_get_an_answer(stage: Stage) -> None:
    assert httpx.get(stage.collector(rendered()).health_url).status_code == 200


def test_nothing_in_the_file_is_deprecated(stage: Stage) -> None:
    assert "deprecat" not in stage.collector(rendered()).log.lower()


def test_nothing_that_sends_metrics_to_a_workspace_is_deprecated(writing: Writing) -> None:
    assert "deprecat" not in writing.start().log.lower()


def test_a_trace_of_the_gateway_arrives_with_its_attributes(stage: Stage) -> None:
    collector = stage.collector(rendered(), changes=SHOW_ALL)
    chat(stage.gateway(OTEL_COLLECTOR_ENDPOINT=collector.otlp_endpoint, GATEWAY_LOG_MODE="dev"))
    eventually(lambda: "gen_ai.request.model: Str(gpt-4o)" in collector.log, ARRIVAL_SECONDS)


def test_a_record_of_the_gateway_arrives_with_its_fields(stage: Stage) -> None:
    collector = stage.collector(rendered(), changes=SHOW_ALL)
    chat(stage.gateway(OTEL_COLLECTOR_ENDPOINT=collector.otlp_endpoint, GATEWAY_LOG_MODE="dev"))
    eventually(lambda: "-> outcome: Str(success)" in collector.log, ARRIVAL_SECONDS)
    assert "-> status: Int(200)" in collector.log


def test_records_outlive_a_collector_that_restarts(stage: Stage) -> None:
    collector = stage.collector(rendered(), changes=SHOW_ALL)
    gateway = stage.gateway(OTEL_COLLECTOR_ENDPOINT=collector.otlp_endpoint, GATEWAY_LOG_MODE="dev")
    collector.stop()
    chat(gateway)
    takes_nothing = "the collector takes no logs now"
    eventually(lambda: takes_nothing in gateway.error_log.read_text(), ARRIVAL_SECONDS)
    collector.start()
    eventually(lambda: "-> outcome: Str(success)" in collector.log, ARRIVAL_SECONDS)


def test_a_trace_in_json_arrives(stage: Stage) -> None:
    collector = stage.collector(rendered(), changes=SHOW_ALL)
    send_span(collector, "a-span")
    eventually(lambda: "a-span" in collector.log, ARRIVAL_SECONDS)


def test_a_collector_that_is_stopped_sends_what_it_holds(stage: Stage) -> None:
    collector = stage.collector(rendered(), changes=SHOW_ALL | {"processors": {"batch": {"timeout": "1h"}}})
    send_span(collector, "the-last-one")
    assert (collector.stop(), "the-last-one" in collector.log) == (0, True)


def test_requests_arrive_with_their_labels(writing: Writing, workspace: RemoteWriteReceiver) -> None:
    writing.start()
    assert arrived(workspace, backend="eastus", deployment="gpt-4o", outcome="success") == 1


def test_every_series_arrives_under_the_name_that_the_gateway_gives_it(
    writing: Writing, workspace: RemoteWriteReceiver, used_gateway: Gateway
) -> None:
    writing.start()
    arrived(workspace)
    assert exported_names(used_gateway) - workspace.names == set()


def test_metrics_go_to_the_address_of_the_workspace_with_its_query(
    writing: Writing, workspace: RemoteWriteReceiver
) -> None:
    writing.start()
    arrived(workspace)
    assert set(workspace.targets) == {PATH}


def test_series_bear_the_name_of_the_service_and_of_the_replica(
    writing: Writing, workspace: RemoteWriteReceiver
) -> None:
    writing.start({"CONTAINER_APP_REPLICA_NAME": "gateway--abc-1"}, OTEL_SERVICE_NAME="my-gateway")
    assert arrived(workspace, job="my-gateway", instance="gateway--abc-1") == 1


def test_without_a_replica_name_the_instance_is_the_gateways_address(
    writing: Writing, workspace: RemoteWriteReceiver
) -> None:
    writing.start()
    assert arrived(workspace, instance="127.0.0.1:9091") == 1


def test_metrics_that_the_workspace_turns_away_are_sent_again(
    writing: Writing, workspace: RemoteWriteReceiver
) -> None:
    workspace.failures = 2
    writing.start()
    assert (arrived(workspace), workspace.turned_away) == (1, 2)


def test_metrics_are_written_with_a_token_of_the_managed_identity(
    stage: Stage, workspace: RemoteWriteReceiver, certificate: Certificate, used_gateway: Gateway
) -> None:
    # Only the token endpoint is needed, which runs beside the vault.
    with running_vault(certificate) as identity:
        stage.collector(
            to_workspace(workspace, **IDENTITY),
            metrics_target=metrics_target(used_gateway),
            environment=workspace.trusting_environment | identity.identity_environment,
        )
        arrived(workspace)
    assert set(workspace.authorizations) == {"Bearer test-token"}


def test_traces_reach_application_insights(stage: Stage, ingestion: Ingestion) -> None:
    found = trace_to(stage, ingestion)
    assert [envelope["data"]["baseData"]["name"] for envelope in found] == ["a-span"]


def test_traces_go_to_the_address_that_takes_tokens(stage: Stage, ingestion: Ingestion) -> None:
    trace_to(stage, ingestion)
    assert set(ingestion.targets) == {"/v2.1/track"}


def test_traces_are_written_with_a_token_of_the_managed_identity(
    stage: Stage, ingestion: Ingestion, certificate: Certificate
) -> None:
    with running_vault(certificate) as identity:
        trace_to(stage, ingestion, identity.identity_environment, **IDENTITY)
    assert set(ingestion.authorizations) == {"Bearer test-token"}


def test_without_a_client_id_traces_are_written_without_a_token(stage: Stage, ingestion: Ingestion) -> None:
    trace_to(stage, ingestion)
    assert set(ingestion.authorizations) == {None}
