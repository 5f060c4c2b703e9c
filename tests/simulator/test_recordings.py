"""Every request is recorded as it came over the wire, with what became of it."""

from __future__ import annotations

import socket

import httpx
import pytest

from e2e.simulator import Latency, Simulator
from e2e.simulator.recorder import Recorder
from e2e.simulator.wire.http import Request
from tests.simulator.conftest import CHAT, CHAT_PATH, STREAMED_CHAT


def test_path_query_and_body_are_recorded_raw(sim: Simulator, http: httpx.Client) -> None:
    content = b'{"messages": [ {"role":"user","content":"x"} ],  "seed": 12345678901234567890}'
    path = "/openai/deployments/a%20b/chat/completions?api-version=2024-10-21&x=%2F&x="
    http.post(path, content=content)
    record = sim.requests("eastus")[0]
    assert (record.method, record.path, record.body) == ("POST", path, content)
    assert record.deployment == "a b"


def test_headers_keep_order_case_and_repetition(sim: Simulator) -> None:
    port = int(sim.endpoint("eastus").rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(
            b"GET /openai/v1/models HTTP/1.1\r\nHOST: x\r\nX-A: 1\r\nx-a: 2\r\nApi-Key: key-east\r\n\r\n"
        )
        raw.recv(65536)
    record = sim.requests("eastus")[0]
    assert record.headers == [("HOST", "x"), ("X-A", "1"), ("x-a", "2"), ("Api-Key", "key-east")]
    assert record.header_values("x-a") == ["1", "2"]


def test_refused_requests_are_recorded_too(sim: Simulator, http: httpx.Client) -> None:
    http.get("/openai/v1/models", headers={"api-key": "wrong"})
    assert sim.requests("eastus")[0].status == 401


def test_regions_record_apart(sim: Simulator, http: httpx.Client) -> None:
    http.get("/openai/v1/models")
    assert (len(sim.requests("eastus")), len(sim.requests("westus"))) == (1, 0)


def test_fault_is_recorded(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=429)
    http.post(CHAT_PATH, json=CHAT)
    record = sim.requests("eastus")[0]
    assert (record.status, record.fault) == (429, "status")


def test_client_that_leaves_in_mid_stream_is_noticed(sim: Simulator, http: httpx.Client) -> None:
    sim.latency("eastus", Latency(per_token_ms=5_000))
    with http.stream("POST", CHAT_PATH, json=STREAMED_CHAT) as answer:
        next(answer.iter_raw())
    record = sim.wait_for_disconnect("eastus")
    assert (record.status, record.client_disconnected) == (200, True)


def test_complete_answer_is_no_disconnect(sim: Simulator, http: httpx.Client) -> None:
    http.post(CHAT_PATH, json=STREAMED_CHAT)
    http.close()
    assert not sim.wait_for_answers("eastus")[0].client_disconnected


def test_own_reset_is_no_disconnect(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", reset=True)
    with pytest.raises(httpx.ReadError):
        http.post(CHAT_PATH, json=CHAT)
    assert not sim.wait_for_answers("eastus")[0].client_disconnected


def test_oldest_requests_give_way_to_new_ones() -> None:
    recorder = Recorder(capacity=3, body_budget=100)
    for size in (1, 2, 3, 4, 95):
        recorder.begin(Request("POST", "/", [], bytes(size), "127.0.0.1"))
    assert [len(record.body) for record in recorder.all()] == [4, 95]
    assert recorder.total == 5


def test_waiting_in_vain_times_out(sim: Simulator) -> None:
    with pytest.raises(TimeoutError, match="eastus"):
        sim.wait_for_requests("eastus", timeout=0.01)


def test_reset_forgets_recordings(sim: Simulator, http: httpx.Client) -> None:
    http.get("/openai/v1/models")
    sim.reset()
    assert sim.requests("eastus") == []
