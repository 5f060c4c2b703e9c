"""The HTTP server itself: connections, framing, lifecycle."""

from __future__ import annotations

import socket
import threading
import time

import httpx
import pytest

from e2e.simulator import Latency, Region, Simulator
from tests.simulator.conftest import CHAT, CHAT_PATH, STREAMED_CHAT

GET_MODELS = b"GET /openai/v1/models HTTP/1.1\r\nhost: x\r\napi-key: key-east\r\n"


def exchange(sim: Simulator, *parts: bytes) -> bytes:
    """The whole answer to raw bytes, until the server closes."""
    port = int(sim.endpoint("eastus").rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        for part in parts:
            raw.sendall(part)
        return b"".join(iter(lambda: raw.recv(65536), b""))


def test_connections_are_kept_alive(sim: Simulator) -> None:
    received = exchange(sim, GET_MODELS + b"\r\n", GET_MODELS + b"connection: close\r\n\r\n")
    assert received.count(b"HTTP/1.1 200 OK") == 2


def test_pipelined_requests_are_answered_in_order(sim: Simulator) -> None:
    paths = [b"/openai/v1/models/a", b"/openai/v1/models/b"]
    requests = [b"GET %b HTTP/1.1\r\nhost: x\r\napi-key: key-east\r\n" % path for path in paths]
    received = exchange(sim, requests[0] + b"\r\n" + requests[1] + b"connection: close\r\n\r\n")
    assert received.index(b'"id":"a"') < received.index(b'"id":"b"')


def test_http_1_0_is_answered_and_closed(sim: Simulator) -> None:
    assert b" 200 OK" in exchange(sim, GET_MODELS.replace(b"1.1", b"1.0") + b"\r\n")


def test_chunked_request_bodies_are_read(sim: Simulator, http: httpx.Client) -> None:
    parts = [b'{"messages":[{"role":', b'"user","content":"hi"}]}']
    assert http.post(CHAT_PATH, content=iter(parts)).status_code == 200
    assert sim.requests("eastus")[0].body == b"".join(parts)


def test_expect_continue_is_answered(sim: Simulator) -> None:
    head = b"POST /openai/v1/files HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\nconnection: close\r\n"
    received = exchange(sim, head + b"content-length: 2\r\n\r\n", b"{}")
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401")


@pytest.mark.parametrize("garbage", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"])
def test_malformed_request_is_refused(sim: Simulator, garbage: bytes) -> None:
    assert exchange(sim, garbage).startswith(b"HTTP/1.1 400 ")


def test_head_has_no_body(sim: Simulator) -> None:
    received = exchange(sim, GET_MODELS.replace(b"GET", b"HEAD") + b"connection: close\r\n\r\n")
    assert received.endswith(b"\r\n\r\n")


def test_deployment_name_cannot_forge_a_header(http: httpx.Client) -> None:
    answer = http.post("/openai/v1/chat/completions", json={**CHAT, "model": "a\r\nx-forged: 1"})
    assert answer.status_code == 200
    assert "x-forged" not in answer.headers


def test_stopping_twice_is_fine() -> None:
    simulator = Simulator([Region("one", key="k")])
    simulator.start()
    simulator.stop()
    simulator.stop()


def test_large_bodies_pass(sim: Simulator, http: httpx.Client) -> None:
    content = b"x" * 5_000_000
    files = {"file": ("a.bin", content), "purpose": (None, "assistants")}
    assert http.post("/openai/v1/files", files=files).json()["bytes"] == len(content)


def test_slow_reader_gets_the_whole_file(sim: Simulator, http: httpx.Client) -> None:
    content = b"x" * 20_000_000
    files = {"file": ("a.bin", content), "purpose": (None, "assistants")}
    file_id = http.post("/openai/v1/files", files=files).json()["id"]
    with http.stream("GET", f"/openai/v1/files/{file_id}/content") as answer:
        assert sum(len(part) for part in answer.iter_raw()) == len(content)


def test_latency_delays_the_first_byte(sim: Simulator, http: httpx.Client) -> None:
    sim.latency("eastus", Latency(first_byte_ms=80))
    started = time.monotonic()
    http.post(CHAT_PATH, json=CHAT)
    assert time.monotonic() - started >= 0.08


def test_latency_is_paid_for_each_token(sim: Simulator, http: httpx.Client) -> None:
    sim.latency("eastus", Latency(per_token_ms=5))
    for body in (CHAT, STREAMED_CHAT):
        started = time.monotonic()
        http.post(CHAT_PATH, json=body)
        assert time.monotonic() - started >= 16 * 0.005


def test_stream_begins_before_the_first_token_is_made(sim: Simulator, http: httpx.Client) -> None:
    sim.latency("eastus", Latency(per_token_ms=60_000))
    with http.stream("POST", CHAT_PATH, json=STREAMED_CHAT) as answer:
        assert "prompt_filter_results" in next(answer.iter_text())


def test_answers_grow_on_demand(sim: Simulator, http: httpx.Client) -> None:
    sim.answer_tokens("eastus", 200)
    assert http.post(CHAT_PATH, json=CHAT).json()["usage"]["completion_tokens"] == 200


def test_stops_cleanly() -> None:
    before = set(threading.enumerate())
    with Simulator([Region("one", key="k"), Region("two", key="k")]) as simulator:
        endpoint = simulator.endpoint("one")
        assert httpx.get(f"{endpoint}/openai/v1/models", headers={"api-key": "k"}).status_code == 200
    assert set(threading.enumerate()) <= before
    with pytest.raises(httpx.ConnectError):
        httpx.get(endpoint)


def test_stops_while_requests_hang(sim: Simulator) -> None:
    with Simulator([Region("one", key="k")]) as simulator:
        simulator.fail("one", hang=True)
        port = int(simulator.endpoint("one").rsplit(":", 1)[1])
        raw = socket.create_connection(("127.0.0.1", port))
        raw.sendall(b"GET /openai/v1/models HTTP/1.1\r\nhost: x\r\napi-key: k\r\n\r\n")
        simulator.wait_for_requests("one")
    with raw, pytest.raises(ConnectionResetError):
        raw.recv(1)


def test_port_in_use_is_an_error(sim: Simulator) -> None:
    port = int(sim.endpoint("eastus").rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"), Simulator([Region("one", key="k", port=port)]):
        pass


@pytest.mark.parametrize("names", [[], ["one", "one"]])
def test_regions_need_distinct_names(names: list[str]) -> None:
    with pytest.raises(ValueError, match="distinct names"):
        Simulator([Region(name, key="k") for name in names])


def test_unknown_region_is_named(sim: Simulator) -> None:
    with pytest.raises(KeyError, match="there are: eastus, westus"):
        sim.endpoint("northpole")
