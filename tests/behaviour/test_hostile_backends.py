"""What a backend answers can take neither a worker's memory nor its time (T1, F1)."""

from __future__ import annotations

import contextlib
import random

import httpx
import pytest

from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, Stage
from tests.behaviour.support import (
    V1_CHAT,
    V1_RESPONSES,
    attempts,
    chat,
    record_of,
    samples,
    value,
)
from tests.engines.raw_server import Answer, RawServer
from tests.support.floods import MIB, Flood, chunk
from tests.support.hostile_answers import KINDS
from tests.support.worker_memory import GARBAGE_MIB, peak_growth

MOST_GROWTH_MIB = 48 + GARBAGE_MIB
# Beyond the limit of JSON that is read whole.
LARGE = 96 * MIB
INPUTS = 25

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"content-type: application/json\r\n"
EVENTS = b"content-type: text/event-stream\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
END = b"0\r\n\r\n"
X = b"x" * 65000
OUTPUT = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


def gateway_of(stage: Stage, backend: RawServer) -> Gateway:
    """A gateway that asks the raw server first, then westus."""
    return stage.gateway(AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=10)


def alone(stage: Stage, backend: RawServer, **settings: object) -> Gateway:
    """A gateway whose only backend is the raw server."""
    return stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url, **settings)


def drain(client: httpx.Client, **members: object) -> tuple[int, int]:
    """Status and length of the answer to a chat completion."""
    with client.stream("POST", V1_CHAT, json=CHAT | members) as response:
        return response.status_code, sum(len(part) for part in response.iter_raw())


def until_cut(client: httpx.Client) -> bytes:
    """What arrives of a stream before its connection is cut."""
    received = b""
    with (
        contextlib.suppress(httpx.RemoteProtocolError),
        client.stream("POST", V1_CHAT, json=CHAT | {"stream": True}) as response,
    ):
        for part in response.iter_raw():
            received += part
        pytest.fail("the stream ended as if it were whole")
    return received


ENDLESS_HEADS = {
    "status line": Flood(b"HTTP/1.1 200 ", b"x"),
    "header": Flood(OK + b"x-header: ", b"x"),
    "header without a colon": Flood(OK, b"x"),
    "line of carriage returns": Flood(OK, b"\r"),
    "headers": Flood(OK, b"x-header: x\r\n"),
    "empty headers": Flood(OK, b"x:\n"),
    "interim answers": Flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}
BROKEN_FRAMES = {
    "chunk extension": Flood(OK + JSON + CHUNKED + b"\r\n5;", b"x"),
    "chunk size": Flood(OK + JSON + CHUNKED + b"\r\n", b"0"),
    "negative chunks": Flood(OK + JSON + CHUNKED + b"\r\n", b"-5\r\nxx"),
    "content-length -5": Flood(OK + JSON + b"content-length: -5\r\n\r\n", b"x"),
    "content-length 5.5": Flood(OK + JSON + b"content-length: 5.5\r\n\r\n", b"x"),
}


@pytest.mark.parametrize(
    "answer", [*ENDLESS_HEADS.values(), *BROKEN_FRAMES.values()], ids=[*ENDLESS_HEADS, *BROKEN_FRAMES]
)
def test_f1_a_head_without_an_end_is_a_failed_attempt(stage: Stage, answer: Flood) -> None:
    with RawServer([answer]) as backend:
        gateway = gateway_of(stage, backend)
        with peak_growth(gateway) as growth:
            response = chat(stage.http(gateway))
    assert attempts(response) == ["eastus:reset", "westus:200"]
    assert growth.mib < MOST_GROWTH_MIB


def test_h1_the_longest_head_that_is_allowed_passes(stage: Stage) -> None:
    fields = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 200) for number in range(250))
    long = b"x-long: %s\r\n" % (b"y" * 12_000)
    with RawServer([(OK + JSON + fields + long + b"content-length: 2\r\n\r\n{}",)]) as backend:
        response = chat(stage.http(alone(stage, backend)))
    assert (response.status_code, len(response.headers["x-long"]), response.headers["x-249"]) == (
        200,
        12_000,
        "y" * 200,
    )


def test_t1_trailers_without_an_end_keep_nobody_waiting(stage: Stage) -> None:
    trailers = Flood(OK + JSON + CHUNKED + b"\r\n" + chunk(b"{}") + b"0\r\n", b"x: y\r\n")
    with RawServer([trailers]) as backend:
        gateway = alone(stage, backend)
        with peak_growth(gateway) as growth:
            assert chat(stage.http(gateway)).status_code in {200, 503}
    assert growth.mib < MOST_GROWTH_MIB


def document(framing: str) -> tuple[Flood, int]:
    """An answer in JSON that is too large to be read whole, and the size of its body."""
    if framing == "chunks":
        chunks = LARGE // len(chunk(X))
        begin = OK + JSON + CHUNKED + b"\r\n" + chunk(b'{"a":"')
        return Flood(begin, chunk(X), LARGE, chunk(b'"}') + END), chunks * len(X) + 8
    length = b"content-length: %d\r\n" % (LARGE + 8) if framing == "length" else b""
    return Flood(OK + JSON + length + b'\r\n{"a":"', b"x", LARGE, b'"}'), LARGE + 8


@pytest.mark.parametrize("framing", ["chunks", "length", "connection"])
def test_t1_a_document_too_large_to_be_read_whole_is_passed_on_as_it_comes(
    stage: Stage, framing: str
) -> None:
    answer, size = document(framing)
    with RawServer([answer]) as backend:
        gateway = alone(stage, backend)
        with peak_growth(gateway) as growth:
            received = drain(stage.http(gateway))
    assert received == (200, size)
    assert growth.mib < MOST_GROWTH_MIB


def large(begin: bytes, end: bytes) -> Flood:
    """An answer in JSON with two ends and 9 MiB between them."""
    head = OK + JSON + CHUNKED + b"\r\n"
    return Flood(head + chunk(begin + b'"data":"'), chunk(X), 9 * MIB, chunk(b'",' + end) + END)


def test_t6_a_document_too_large_to_be_read_whole_reports_its_usage_all_the_same(stage: Stage) -> None:
    end = b'"model":"embeddings-3","usage":{"prompt_tokens":7,"total_tokens":7}}'
    with RawServer([large(b"{", end)]) as backend:
        gateway = alone(stage, backend)
        chat(stage.http(gateway))
    record = record_of(gateway)
    assert (record["tokens"]["prompt"], record["tokens"]["estimated"]) == (7, False)
    assert record["model"] == "embeddings-3"


def test_t6_and_where_it_reports_none_its_usage_is_estimated(stage: Stage) -> None:
    with RawServer([large(b"{", b'"x":1}')]) as backend:
        gateway = alone(stage, backend)
        chat(stage.http(gateway))
    assert record_of(gateway)["tokens"]["estimated"]


def test_r1_a_response_too_large_to_be_read_whole_leads_home(stage: Stage, sim: Simulator) -> None:
    sim.fail("westus", status=429, retry_after_ms=1, count=1)
    made = large(b'{"id":"resp_large","object":"response",', b'"x":1}')
    read = (OK + JSON + b"content-length: 2\r\n\r\n{}",)
    with RawServer([made], [read]) as backend:
        gateway = stage.gateway(AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_1=10)
        client = stage.http(gateway)
        client.post(V1_RESPONSES, json={"model": "gpt-4o", "input": "Hello"})
        assert attempts(client.get(f"{V1_RESPONSES}/resp_large")) == ["eastus:200"]


@pytest.mark.parametrize("size", [8 * MIB - 1, 8 * MIB, 8 * MIB + 1])
def test_t1_at_the_limit_of_reading_whole_no_byte_is_lost(stage: Stage, size: int) -> None:
    body = (
        b'{"a":"' + random.Random(size).randbytes((size - 8) // 2).hex().encode() + b"x" * (size % 2) + b'"}'
    )
    pieces = [chunk(body[start : start + 100_000]) for start in range(0, size, 100_000)]
    with RawServer([(OK + JSON + CHUNKED + b"\r\n", *pieces, END)]) as backend:
        assert chat(stage.http(alone(stage, backend))).content == body


def test_t3_a_large_document_that_is_cut_is_seen_to_be_cut(stage: Stage) -> None:
    with RawServer([Flood(OK + JSON + CHUNKED + b"\r\n", chunk(X), 16 * MIB)]) as backend:
        client = stage.http(alone(stage, backend))
        with pytest.raises(httpx.RemoteProtocolError):
            chat(client)


def test_t3_a_document_that_is_cut_while_it_is_read_whole_fails_over(stage: Stage) -> None:
    with RawServer([Flood(OK + JSON + CHUNKED + b"\r\n", chunk(X), 4 * MIB)]) as backend:
        assert attempts(chat(stage.http(gateway_of(stage, backend)))) == ["eastus:reset", "westus:200"]


@pytest.mark.parametrize(
    "framing", [b"", CHUNKED, b"content-length: 500000000\r\n"], ids=["end", "chunks", "length"]
)
@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_f5_an_error_without_an_end_is_put_into_the_gateways_words(
    stage: Stage, status: int, framing: bytes
) -> None:
    piece = chunk(X) if framing == CHUNKED else X
    with RawServer([Flood(b"HTTP/1.1 %d No\r\n" % status + JSON + framing + b"\r\n", piece)]) as backend:
        gateway = alone(stage, backend)
        with peak_growth(gateway) as growth:
            response = chat(stage.http(gateway))
        eventually(backend.closed.is_set)
    assert (response.status_code, "message" in response.json()["error"]) == (status, True)
    assert growth.mib < MOST_GROWTH_MIB


def test_f1_an_error_without_an_end_fails_over_by_its_status(stage: Stage) -> None:
    with RawServer([Flood(b"HTTP/1.1 500 No\r\n\r\n", b"x")]) as backend:
        assert attempts(chat(stage.http(gateway_of(stage, backend)))) == ["eastus:500", "westus:200"]


def test_f5_the_words_for_a_compressed_error_are_not_called_compressed(stage: Stage) -> None:
    head = b"HTTP/1.1 400 No\r\ncontent-encoding: gzip\r\n\r\n"
    with RawServer([Flood(head, b"x")]) as backend:
        response = chat(stage.http(alone(stage, backend)))
    assert (response.json()["error"]["code"], "content-encoding" in response.headers) == (
        "invalid_request",
        False,
    )


BEGUN = OK + EVENTS + CHUNKED + b"\r\n"
PREAMBLE = b'data: {"type":"response.created"}\n\n'
STREAMS = {
    "one event": Flood(BEGUN + chunk(b'data: {"choices":[{"delta":{"content":"'), chunk(X), 72 * MIB),
    "one event after others": Flood(BEGUN + chunk(OUTPUT + b"data: "), chunk(X), 72 * MIB),
    "lines of one event": Flood(BEGUN, chunk(b"data: x\n" * 8000), 72 * MIB),
    "comments": Flood(BEGUN, chunk(b": x\n\n" * 10_000), 24 * MIB),
    "preamble": Flood(BEGUN, chunk(PREAMBLE * 1000), 24 * MIB),
    "nested lists": Flood(
        BEGUN + chunk(b'data: {"choices":['), chunk(b"[]," * 20_000), 7 * MIB, chunk(b"1]}\n\n" + DONE) + END
    ),
    "nested lists at the end": Flood(
        BEGUN + chunk(OUTPUT + b"data: ["), chunk(b"[]," * 20_000), 7 * MIB, chunk(b"1]\n\n") + END
    ),
    "nested lists beside usage": Flood(
        BEGUN + chunk(b'data: {"usage":{},"a":['),
        chunk(b"[]," * 20_000),
        7 * MIB,
        chunk(b"1]}\n\n" + DONE) + END,
    ),
}


@pytest.mark.parametrize("answer", STREAMS.values(), ids=STREAMS)
def test_t1_a_stream_of_any_shape_is_passed_on_as_it_comes(stage: Stage, answer: Flood) -> None:
    with RawServer([answer]) as backend:
        gateway = alone(stage, backend)
        with peak_growth(gateway) as growth, contextlib.suppress(httpx.RemoteProtocolError):
            drain(stage.http(gateway), stream=True)
    assert growth.mib < MOST_GROWTH_MIB


def test_t1_an_event_too_large_to_be_held_arrives_byte_for_byte(stage: Stage) -> None:
    event = b'data: {"choices":[{"delta":{"content":"' + b"x" * 9 * MIB + b'"}}]}\n\n'
    with RawServer([(OK + EVENTS + b"\r\n", OUTPUT, event, OUTPUT + DONE)]) as backend:
        client = stage.http(alone(stage, backend))
        assert chat(client, stream=True).content == OUTPUT + event + OUTPUT + DONE


def test_t3_a_break_inside_a_large_event_is_told_in_an_event_of_its_own(stage: Stage) -> None:
    with RawServer(
        [(OK + EVENTS + CHUNKED + b"\r\n", chunk(OUTPUT + b"data: " + b"x" * 9 * MIB))]
    ) as backend:
        received = until_cut(stage.http(alone(stage, backend)))
    assert b'x\n\ndata: {"error"' in received


def test_t5_no_heartbeat_cuts_a_large_event(stage: Stage) -> None:
    event = b"data: " + b"x" * 9 * MIB
    with RawServer([(OK + EVENTS + b"\r\n", OUTPUT, event), RawServer.WAIT]) as backend:
        gateway = alone(stage, backend, AI_PROXY_STREAM_HEARTBEAT_SECONDS=1, AI_PROXY_READ_TIMEOUT_MS=2500)
        received = until_cut(stage.http(gateway))
    assert b"keep-alive" not in received


TRUE_OUTCOMES = {200, 201, 206, 204, 302, 304, 400, 404, 413, 500, 503, 504, 599}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_f6_whatever_a_backend_sends_the_gateway_serves_on(stage: Stage, kind: str, seed: int) -> None:
    dice = random.Random(f"{kind} {seed}")
    answers: list[list[Answer]] = [[KINDS[kind](dice)] for _ in range(INPUTS)]
    with RawServer(*answers) as backend:
        gateway = stage.gateway(
            AZURE_OPENAI_ENDPOINT_0=backend.url,
            AZURE_OPENAI_DEPLOYMENTS_0="hostile",
            AZURE_OPENAI_DEPLOYMENTS_1="gpt-4o",
            BREAKER_FAILURES=100,
        )
        client = stage.http(gateway)
        with peak_growth(gateway) as growth:
            for _ in range(INPUTS):
                with contextlib.suppress(httpx.RemoteProtocolError):
                    status, _ = drain(client, model="hostile", stream=dice.random() < 0.5)
                    assert status in TRUE_OUTCOMES
        assert attempts(chat(client)) == ["westus:200"]
    assert growth.mib < MOST_GROWTH_MIB


ODD_NAMES = {"bytes that are no text": b"\xff\xfe", "long": b"x" * 10_000, "quotes": b'a"}\\', "empty": b""}


@pytest.mark.parametrize("odd", ODD_NAMES.values(), ids=ODD_NAMES)
def test_o1_o2_no_header_of_a_backend_makes_a_record_or_a_label_unreadable(stage: Stage, odd: bytes) -> None:
    head = b"x-ms-region: %b\r\nx-request-id: %b\r\ncontent-length: 2\r\n\r\n" % (odd, odd)
    with RawServer([(OK + JSON + head + b"{}",)]) as backend:
        gateway = alone(stage, backend, GATEWAY_LOG_MODE="test")
        chat(stage.http(gateway))
        record = record_of(gateway)
    assert (record.get("region"), record.get("backend_request_id")) == (None, None)
    assert value(gateway, "requests_total", backend="eastus") == 1
    assert samples(gateway, "backend_info") == []
