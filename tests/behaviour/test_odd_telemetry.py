"""O1, O2, O3: no client, no backend and no collector can break what is counted, recorded and traced."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from e2e.simulator import Simulator
from e2e.waiting import eventually
from tests.behaviour.conftest import CHAT, Stage
from tests.behaviour.support import V1_CHAT, chat, leave_before_the_answer, record_of, samples, total, value
from tests.behaviour.telemetry import ARRIVAL_SECONDS, NOT_SAMPLED, log_of, observed, server_span
from tests.behaviour.test_logs import dropped
from tests.engines.raw_server import RawServer
from tests.support.loopback_server import Reply, Request
from tests.support.otlp import OtlpReceiver
from tests.support.worker_memory import GARBAGE_MIB, peak_growth

NO_IMAGES = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"data":[]}'
TAKEN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
BAD = "/openai/v1/bad"
# What is on its way to the collector takes some 35 MiB on APISIX; 950 long texts would take as much again.
MOST_GROWTH_MIB = 48 + GARBAGE_MIB


@pytest.mark.parametrize("images", ["1.5", "-1", "1e300", '"2"', "101"])
def test_o2_a_number_of_images_that_cannot_be_is_one(
    stage: Stage, receiver: OtlpReceiver, images: str
) -> None:
    with RawServer([(NO_IMAGES,)]) as backend:
        gateway = observed(stage, receiver, AZURE_OPENAI_ENDPOINT_0=backend.url)
        stage.http(gateway).post(
            "/openai/v1/images/generations",
            content=f'{{"model":"gpt-image-1","prompt":"x","n":{images}}}',
            headers={"content-type": "application/json"},
        )
        assert record_of(gateway)["tokens"]["images"] == 1
        assert log_of(receiver).attributes["tokens.images"] == 1


class Picky(OtlpReceiver):
    """Answers 400 to every batch with a record of the path `BAD`, as a collector that cannot read one."""

    def _take(self, request: Request) -> Reply:
        if BAD.encode() in request.content:
            self.turned_away += 1
            return 400, b"", {}
        return super()._take(request)


def test_o2_of_a_batch_that_is_refused_only_the_bad_record_is_lost(stage: Stage) -> None:
    with Picky() as receiver:
        gateway = observed(stage, receiver, **NOT_SAMPLED)
        client = stage.http(gateway)
        for number in range(100):
            client.get(f"/openai/v1/good/{number}")
            if number in (30, 70):
                client.get(BAD)
        assert eventually(lambda: dropped(gateway) == 2, seconds=ARRIVAL_SECONDS)
        assert eventually(lambda: len(receiver.logs) == 100, seconds=ARRIVAL_SECONDS)


def test_o2_a_collector_whose_answer_never_ends_holds_up_nothing(stage: Stage) -> None:
    """Nor does it get a record twice: it has said that it took the first."""
    endless = itertools.chain([b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"], trickling())
    with RawServer([endless], [[TAKEN]] * 9) as collector:
        gateway = stage.gateway(OTEL_COLLECTOR_ENDPOINT=collector.url, **NOT_SAMPLED)
        client = stage.http(gateway)
        for path in ("first", "second"):
            client.get(f"/openai/v1/{path}")
            assert eventually(partial(count, collector, path), seconds=ARRIVAL_SECONDS)
        assert count(collector, "first") == 1


def trickling() -> Iterator[bytes]:
    """A byte now and then, without end."""
    while True:
        time.sleep(0.2)
        yield b"x"


def count(collector: RawServer, path: str) -> int:
    """How many records of a path the collector has got."""
    attribute = KeyValue(key="path", value=AnyValue(string_value=f"/openai/v1/{path}"))
    return b"".join(collector.requests).count(attribute.SerializeToString())


def test_o2_a_collector_that_refuses_everything_is_not_asked_for_each_record(
    stage: Stage, receiver: OtlpReceiver
) -> None:
    receiver.statuses = [400] * 10_000
    gateway = observed(stage, receiver, **NOT_SAMPLED)
    client = stage.http(gateway)
    for number in range(300):
        client.get(f"/openai/v1/good/{number}")
    assert eventually(lambda: dropped(gateway) == 300, seconds=ARRIVAL_SECONDS)
    assert receiver.turned_away < 200


@pytest.mark.parametrize("place", ["agent", "path"])
def test_o3_long_texts_that_a_client_invents_are_not_kept(
    stage: Stage, receiver: OtlpReceiver, place: str
) -> None:
    gateway = observed(stage, receiver)
    client = stage.http(gateway)
    long = "x" * 30_000

    def ask(number: int) -> None:
        path, agent = (f"/{number}{long}", "me") if place == "path" else ("", f"{number}{long}")
        client.get("/openai/v1/models" + path, headers={"user-agent": agent})

    for number in range(50):
        ask(number)
    with peak_growth(gateway) as growth:
        for number in range(50, 1000):
            ask(number)
    assert growth.mib < MOST_GROWTH_MIB


def test_o1_a_worker_that_stops_counts_what_it_still_finishes(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=3, after=2)
    gateway = stage.gateway(AZURE_OPENAI_PRIORITY_0=10)
    with stage.http(gateway).stream("POST", V1_CHAT, json=CHAT | {"stream": True}) as stream:
        text = stream.iter_text()
        next(text)
        os.kill(gateway.pid, signal.SIGHUP)
        for _ in text:
            pass
    assert value(gateway, "requests_total", backend="eastus", outcome="success") == 1


def refuse(sim: Simulator, *backends: str, **fault: Any) -> None:
    for backend in backends:
        sim.fail(backend, **({"status": 403, "message": "No role."} | fault))


@pytest.mark.parametrize("status", [401, 403])
def test_o1_what_every_backend_forbids_is_counted(stage: Stage, sim: Simulator, status: int) -> None:
    refuse(sim, "eastus", "westus", status=status, code="PermissionDenied")
    gateway = stage.gateway()
    client = stage.http(gateway)
    for _ in range(3):
        assert chat(client).status_code == 403
    assert value(gateway, "forbidden_total", client="team-a") == 3


@pytest.mark.parametrize("case", ["one serves", "not every credential may", "no deployment"])
def test_o1_what_one_backend_forbids_or_a_client_mistypes_is_not(
    stage: Stage, sim: Simulator, case: str
) -> None:
    refused_by = ["eastus"] if case == "one serves" else ["eastus", "westus"]
    fault = {"status": 404, "code": "DeploymentNotFound"} if case == "no deployment" else {}
    refuse(sim, *refused_by, **fault)
    gateway = stage.gateway(AZURE_OPENAI_PRIORITY_0=10)
    client = stage.http(gateway)
    client.get("/openai/v1/files") if case == "not every credential may" else chat(client)
    assert value(gateway, "requests_total") == 1
    assert total(gateway, "forbidden_total") == 0


def test_o1_statuses_that_a_backend_invents_make_no_series(stage: Stage) -> None:
    heads = [b"HTTP/1.1 %d Odd\r\ncontent-length: 0\r\n\r\n" % status for status in range(500, 600)]
    with RawServer(*[[(head,)] for head in heads]) as backend:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url, BREAKER_FAILURES=1000)
        client = stage.http(gateway)
        for number in range(len(heads)):
            chat(client, messages=[{"role": "user", "content": str(number)}])
        assert eventually(lambda: total(gateway, "exhausted_total") == len(heads), seconds=ARRIVAL_SECONDS)
        assert len({sample.labels["status"] for sample in samples(gateway, "exhausted_total")}) < 10


def test_o1_what_a_client_used_that_left_before_the_answer_is_the_same_everywhere(
    stage: Stage, sim: Simulator, receiver: OtlpReceiver
) -> None:
    """The backend may have read the prompt by then."""
    sim.fail("eastus", hang=True)
    gateway = observed(stage, receiver)
    leave_before_the_answer(gateway, sim, CHAT)
    record = record_of(gateway)
    prompt, cost = record["tokens"]["prompt"], record["cost_usd"]
    span = server_span(receiver).attributes
    assert prompt > 0
    assert span["gen_ai.usage.input_tokens"] == prompt
    assert span["azure_openai.cost_usd"] == pytest.approx(cost)
    assert value(gateway, "tokens_total", client="team-a", kind="prompt", estimated="true") == prompt
    assert value(gateway, "backend_tokens_total", backend="eastus", kind="prompt") == prompt
    assert value(gateway, "cost_usd_total", client="team-a") == pytest.approx(cost)
