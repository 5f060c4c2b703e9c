"""O2: the record of each request on its way through a collector."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from e2e.simulator import Simulator
from e2e.waiting import eventually
from tests.behaviour.conftest import CHAT, Stage
from tests.behaviour.support import V1_CHAT, chat, logged, record_of, samples
from tests.behaviour.telemetry import (
    ARRIVAL_SECONDS,
    NOT_SAMPLED,
    fail_in_mid_stream,
    leave,
    log_of,
    logs_of,
    observed,
    read_broken,
)
from tests.behaviour.test_observability import answer_with
from tests.support.otlp import OtlpReceiver


def test_o2_a_log_record_has_the_fields_of_the_record_with_their_types(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    answer_with(sim, "gpt-4o-2024-08-06")
    gateway = observed(stage, receiver)
    chat(stage.http(gateway))
    record, log = record_of(gateway), log_of(receiver)
    tokens = {f"tokens.{kind}": count for kind, count in record.pop("tokens").items()}
    attempts = record.pop("attempts")
    assert log.attributes == record | tokens | {"attempts": log.attributes["attempts"]}
    assert json.loads(str(log.attributes["attempts"])) == attempts
    assert {name: type(log.attributes[name]) for name in ("status", "streamed", "cost_usd", "client")} == {
        "status": int,
        "streamed": bool,
        "cost_usd": float,
        "client": str,
    }


def test_o2_a_log_record_names_its_service_and_its_replica(stage: Stage, receiver: OtlpReceiver) -> None:
    settings = {"OTEL_SERVICE_NAME": "my-gateway", "CONTAINER_APP_REPLICA_NAME": "gateway--abc-1"}
    chat(stage.http(observed(stage, receiver, **settings)))
    assert log_of(receiver).resource["service.name"] == "my-gateway"


def test_o2_a_log_record_is_a_line_for_people_too(stage: Stage, receiver: OtlpReceiver) -> None:
    chat(stage.http(observed(stage, receiver)))
    assert log_of(receiver).body == f"POST {V1_CHAT} 200 success"


@pytest.mark.parametrize(
    ("fault", "severity"),
    [
        ({}, "INFO"),
        ({"status": 400}, "WARN"),
        ({"status": 429, "retry_after": 60}, "WARN"),
        ({"status": 500}, "ERROR"),
    ],
)
def test_o2_the_outcome_decides_the_severity(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver, fault: dict[str, Any], severity: str
) -> None:
    if fault:
        sim.fail("eastus", **fault)
    chat(stage.http(observed(stage, receiver, AZURE_OPENAI_ENDPOINT_1="", AZURE_OPENAI_KEY_1="", **ONE)))
    assert log_of(receiver).severity == severity


ONE: dict[str, Any] = {"AZURE_OPENAI_NAME_1": ""}


@pytest.mark.parametrize(
    ("how", "fault", "severity"),
    [(leave, {"stall": 60, "after": 2}, "WARN"), (read_broken, {"cut": 8}, "ERROR")],
)
def test_o2_so_it_does_for_what_did_not_end(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver, how: Any, fault: dict[str, Any], severity: str
) -> None:
    sim.fail("eastus", **fault)
    how(stage.http(observed(stage, receiver)))
    assert log_of(receiver).severity == severity


def test_o2_so_it_does_for_a_stream_that_reports_an_error_late(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    fail_in_mid_stream(sim, code="server_error", message="too late")
    chat(stage.http(observed(stage, receiver)), stream=True)
    assert log_of(receiver).severity == "ERROR"


@pytest.mark.parametrize("mode", ["dev", "test", "prod"])
def test_o2_log_records_flow_in_every_log_mode(stage: Stage, receiver: OtlpReceiver, mode: str) -> None:
    chat(stage.http(observed(stage, receiver, GATEWAY_LOG_MODE=mode)))
    assert log_of(receiver).attributes["outcome"] == "success"


def test_o2_in_mode_dev_people_read_lines(stage: Stage, receiver: OtlpReceiver) -> None:
    gateway = observed(stage, receiver, GATEWAY_LOG_MODE="dev")
    chat(stage.http(gateway))
    log_of(receiver)
    assert f"POST {V1_CHAT} 200" in (eventually(gateway.access_log.read_text) or "")


def test_o2_records_are_not_sampled(stage: Stage, receiver: OtlpReceiver) -> None:
    client = stage.http(observed(stage, receiver, **NOT_SAMPLED))
    for _ in range(20):
        chat(client)
    assert ({log.flags for log in logs_of(receiver, 20)}, receiver.spans) == ({0}, [])


def test_o2_a_collector_that_restarts_loses_nothing(stage: Stage, receiver: OtlpReceiver) -> None:
    receiver.statuses = [503, 502, 429]
    client = stage.http(observed(stage, receiver))
    for _ in range(20):
        chat(client)
    ids = [log.attributes["request_id"] for log in logs_of(receiver, 20)]
    assert (len(ids), len(set(ids)), receiver.turned_away) == (20, 20, 3)


def test_o2_what_the_collector_refuses_is_dropped_and_counted(stage: Stage, receiver: OtlpReceiver) -> None:
    receiver.statuses = [400]
    gateway = observed(stage, receiver, **NOT_SAMPLED)
    chat(stage.http(gateway))
    assert eventually(lambda: dropped(gateway) == 1, seconds=ARRIVAL_SECONDS)
    assert "refuses logs: status 400" in logged(gateway, "refuses logs")


LONG = "/openai/v1/" + "x" * 4_000


def test_o2_a_full_queue_drops_what_is_new_counts_it_and_says_so_once(
    stage: Stage, receiver: OtlpReceiver
) -> None:
    receiver.statuses = [503] * 10_000
    gateway = observed(stage, receiver, **NOT_SAMPLED, AZURE_OPENAI_ENDPOINT_0="http://127.0.0.1:9")
    client = stage.http(gateway, "not-a-key-of-anybody")
    # Each record has its path twice.
    for _ in range(800):
        client.get(LONG)
    assert dropped(gateway) == 0
    for _ in range(300):
        client.get(LONG)
    assert eventually(lambda: dropped(gateway) > 0, seconds=ARRIVAL_SECONDS)
    receiver.statuses = []
    told = logged(gateway, "dropped before the collector took logs again")
    assert gateway.error_log.read_text().count("is not keeping up, so logs are dropped") == 1
    count = int(re.findall(r"again: (\d+)", told)[0])
    assert (count, len(logs_of(receiver, 1100 - count))) == (dropped(gateway), 1100 - count)


def dropped(gateway: Any) -> float:
    """How many log records the gateway has dropped."""
    return sum(sample.value for sample in samples(gateway, "dropped_records_total", signal="logs"))


def test_o2_a_worker_that_stops_sends_what_it_has(stage: Stage, receiver: OtlpReceiver) -> None:
    gateway = observed(stage, receiver)
    client = stage.http(gateway)
    for _ in range(5):
        client.post(V1_CHAT, json=CHAT)
    gateway.stop()
    assert (len(receiver.logs), len(receiver.spans)) == (5, 10)


def test_o2_a_worker_that_stops_tries_more_than_once(stage: Stage, receiver: OtlpReceiver) -> None:
    gateway = observed(stage, receiver)
    chat(stage.http(gateway))
    receiver.statuses = [503, 503]
    gateway.stop()
    assert (len(receiver.logs), len(receiver.spans)) == (1, 2)
