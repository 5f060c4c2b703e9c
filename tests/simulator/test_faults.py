"""Every scripted fault does what it promises, to the requests that it names, as often as it says."""

from __future__ import annotations

import json
import select
import socket
import time
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from e2e.simulator import Fault, Simulator
from tests.simulator.conftest import CHAT, CHAT_PATH, STREAMED_CHAT
from tests.simulator.sse import datas, documents


def outputs(text: str) -> int:
    """Chunks with text in a chat stream."""
    return sum('"delta":{"content":"' in line and '"content":""' not in line for line in text.split("\n"))


def read_until_broken(http: httpx.Client, path: str, body: dict[str, Any]) -> tuple[str, Exception | None]:
    """The part of an answer that arrives, and the error that ends it, if any."""
    parts = []
    try:
        with http.stream("POST", path, json=body) as answer:
            parts += answer.iter_text()
    except httpx.HTTPError as error:
        return "".join(parts), error
    return "".join(parts), None


# --- which requests, how often ------------------------------------------------------------------------


def test_count_limits_a_fault(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=500, count=2)
    assert [http.post(CHAT_PATH, json=CHAT).status_code for _ in range(3)] == [500, 500, 200]


def test_fault_without_count_stays_until_cleared(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=500)
    before = [http.post(CHAT_PATH, json=CHAT).status_code for _ in range(3)]
    sim.clear_faults("eastus")
    assert [*before, http.post(CHAT_PATH, json=CHAT).status_code] == [500, 500, 500, 200]


def test_faults_apply_in_their_order(sim: Simulator, http: httpx.Client) -> None:
    sim.fault("eastus", Fault(status=503, count=1), Fault(status=429, count=1))
    assert [http.post(CHAT_PATH, json=CHAT).status_code for _ in range(3)] == [503, 429, 200]


def test_fault_for_one_deployment_spares_others(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=429, deployment="busy")
    for deployment, status in (("busy", 429), ("gpt-4o", 200)):
        assert http.post(CHAT_PATH.replace("gpt-4o", deployment), json=CHAT).status_code == status


def test_deployment_is_found_in_the_body_on_v1(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=429, deployment="busy")
    body = {"model": "busy", "input": "hi"}
    assert http.post("/openai/v1/responses", json=body).status_code == 429


def test_fault_for_one_path_spares_others(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=503, path="/models")
    assert http.get("/openai/v1/models").status_code == 503
    assert http.post(CHAT_PATH, json=CHAT).status_code == 200


def test_fault_for_one_method_spares_others(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=503, method="GET")
    assert http.get("/openai/v1/models").status_code == 503
    assert http.post(CHAT_PATH, json=CHAT).status_code == 200


def test_probability_hits_a_repeatable_share(sim: Simulator, http: httpx.Client) -> None:
    runs = []
    for _ in range(2):
        sim.clear_faults("eastus")
        sim.fail("eastus", status=503, probability=0.5)
        runs.append([http.get("/openai/v1/models").status_code for _ in range(40)])
    assert runs[0] == runs[1]
    assert 10 < runs[0].count(503) < 30


def test_regions_fail_apart(sim: Simulator, http: httpx.Client, west: httpx.Client) -> None:
    sim.fail("eastus", status=500)
    assert http.post(CHAT_PATH, json=CHAT).status_code == 500
    assert west.post(CHAT_PATH, json=CHAT).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"status": 429, "reset": True},
        {"status": 99},
        {"count": 0, "reset": True},
        {"refuse": True, "count": 1},
        {"stream_error": "unheard of"},
        {"staus": 429},
        {"hang": -1},
    ],
)
def test_senseless_fault_is_refused(sim: Simulator, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        sim.fail("eastus", **fields)


# --- status ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BadRequest"),
        (401, "401"),
        (403, "403"),
        (404, "DeploymentNotFound"),
        (408, "Timeout"),
        (429, "429"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
        (418, "418"),
    ],
)
def test_status_has_the_usual_body(sim: Simulator, http: httpx.Client, status: int, code: str) -> None:
    sim.fail("eastus", status=status)
    answer = http.post(CHAT_PATH, json=CHAT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_status_sends_only_the_hints_it_was_given(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=429, retry_after=26)
    answer = http.post(CHAT_PATH, json=CHAT)
    assert answer.headers["retry-after"] == "26"
    assert "retry-after-ms" not in answer.headers
    assert "Please retry after 26 seconds" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("given", "sent"), [(5, "5"), (1_500_000, "1500000"), (1.5, "1.5"), (-1, "-1"), ("soon", "soon")]
)
def test_hint_is_sent_as_given(sim: Simulator, http: httpx.Client, given: float | str, sent: str) -> None:
    sim.fail("eastus", status=429, retry_after_ms=given)
    assert http.post(CHAT_PATH, json=CHAT).headers["retry-after-ms"] == sent


def test_status_takes_body_and_headers(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=502, body="<html>", headers={"content-type": "text/html", "x-extra": "1"})
    answer = http.post(CHAT_PATH, json=CHAT)
    assert (answer.text, answer.headers["content-type"], answer.headers["x-extra"]) == (
        "<html>",
        "text/html",
        "1",
    )


def test_status_takes_a_json_body(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=200, body={"error": {"message": "odd"}})
    assert http.post(CHAT_PATH, json=CHAT).json() == {"error": {"message": "odd"}}


def test_content_filter_refusal_has_its_inner_error(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", status=400, code="content_filter")
    error = http.post(CHAT_PATH, json=CHAT).json()["error"]
    assert error["innererror"]["code"] == "ResponsibleAIPolicyViolation"


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("negative", "-1"),
        ("zero", "0"),
        ("day", "86400"),
        ("text", "soon"),
        ("empty", ""),
        ("float", "1.5"),
        ("past_date", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ],
)
def test_garbage_hint_is_sent_as_retry_after(
    sim: Simulator, http: httpx.Client, hint: str, expected: str
) -> None:
    sim.fail("eastus", garbage_hint=hint)
    answer = http.post(CHAT_PATH, json=CHAT)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, expected)


def test_garbage_hint_only_in_the_reset_header(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", garbage_hint="reset_tokens_only")
    headers = http.post(CHAT_PATH, json=CHAT).headers
    assert "retry-after" not in headers
    assert headers["x-rate-limit-reset-tokens"] == "5"


def test_garbage_hint_only_in_the_message(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", garbage_hint="message_only")
    answer = http.post(CHAT_PATH, json=CHAT)
    assert "retry-after" not in answer.headers
    assert "Please retry after 5 seconds" in answer.text


# --- connections ------------------------------------------------------------------------------------------


def test_reset_comes_before_the_head(sim: Simulator) -> None:
    sim.fail("eastus", reset=True)
    with socket.create_connection(("127.0.0.1", int(sim.endpoint("eastus").rsplit(":", 1)[1]))) as raw:
        raw.sendall(b"GET /openai/v1/models HTTP/1.1\r\nhost: x\r\napi-key: key-east\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_hang_closes_without_an_answer(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", hang=0.05)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        http.post(CHAT_PATH, json=CHAT)


def test_hang_for_ever_lasts_until_the_client_leaves(sim: Simulator) -> None:
    sim.fail("eastus", hang=True)
    with socket.create_connection(("127.0.0.1", int(sim.endpoint("eastus").rsplit(":", 1)[1]))) as raw:
        raw.sendall(b"GET /openai/v1/models HTTP/1.1\r\nhost: x\r\napi-key: key-east\r\n\r\n")
        sim.wait_for_requests("eastus")
        assert select.select([raw], [], [], 0.05)[0] == []
    record = sim.wait_for_disconnect("eastus")
    assert (record.status, record.fault) == (None, "hang")


def test_slow_first_byte_delays_a_good_answer(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", slow_first_byte=0.1)
    started = time.monotonic()
    assert http.post(CHAT_PATH, json=CHAT).status_code == 200
    assert time.monotonic() - started >= 0.1


def test_refuse_closes_the_port_until_cleared(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", refuse=True)
    with pytest.raises(httpx.ConnectError):
        http.post(CHAT_PATH, json=CHAT)
    sim.clear_faults("eastus")
    assert http.post(CHAT_PATH, json=CHAT).status_code == 200


def test_refuse_ends_by_itself(sim: Simulator, http: httpx.Client) -> None:
    endpoint = sim.endpoint("eastus")
    sim.fail("eastus", refuse=0.05)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            status = http.post(CHAT_PATH, json=CHAT).status_code
            break
        except httpx.ConnectError:
            continue
    assert status == 200
    assert sim.endpoint("eastus") == endpoint


def test_refuse_closes_idle_connections(sim: Simulator, http: httpx.Client) -> None:
    assert http.get("/openai/v1/models").status_code == 200
    sim.fail("eastus", refuse=True)
    with pytest.raises(httpx.ConnectError):
        http.get("/openai/v1/models")


# --- broken answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [0, 1, 4])
def test_cut_sends_so_many_events_and_no_end(sim: Simulator, http: httpx.Client, events: int) -> None:
    sim.fail("eastus", cut=events)
    text, error = read_until_broken(http, CHAT_PATH, STREAMED_CHAT)
    assert text.count("data: ") == events
    assert isinstance(error, httpx.RemoteProtocolError)


def test_cut_inside_leaves_half_an_event(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", cut=2, cut_inside=True)
    text, _ = read_until_broken(http, CHAT_PATH, STREAMED_CHAT)
    assert text.count("data: ") == 3
    assert not text.endswith("\n\n")


def test_cut_with_reset(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", cut=2, cut_rst=True)
    text, error = read_until_broken(http, CHAT_PATH, STREAMED_CHAT)
    assert text.count("data: ") == 2
    assert isinstance(error, httpx.ReadError)


def test_cut_stops_a_whole_answer_short_of_its_length(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", cut=20)
    text, error = read_until_broken(http, CHAT_PATH, CHAT)
    assert len(text) == 20
    assert isinstance(error, httpx.RemoteProtocolError)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_stream_error_follows_so_many_outputs(sim: Simulator, http: httpx.Client, after: int) -> None:
    sim.fail("eastus", stream_error="chat_chunk", after=after, code="too_many_requests")
    answer = http.post(CHAT_PATH, json=STREAMED_CHAT)
    assert outputs(answer.text) == after
    assert json.loads(datas(answer)[-1])["error"]["code"] == "too_many_requests"


def test_stream_error_before_output_follows_the_preamble_alone(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", stream_error="auto")
    events = documents(http.post("/openai/v1/responses", json={"model": "m", "input": "hi", "stream": True}))
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.failed",
    ]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("event", {"type": "error", "code": "c", "message": "m", "param": None}),
        ("nested", {"type": "error", "error": {"type": "c", "code": "c", "message": "m", "param": None}}),
        ("message_only", {"type": "error", "message": "m"}),
        ("chat_chunk", {"error": {"message": "m", "type": "c", "param": None, "code": "c"}}),
    ],
)
def test_stream_error_forms(sim: Simulator, http: httpx.Client, form: str, expected: dict[str, Any]) -> None:
    sim.fail("eastus", stream_error=form, code="c", message="m")
    answer = http.post("/openai/v1/responses", json={"model": "m", "input": "hi", "stream": True})
    last = documents(answer)[-1]
    last.pop("sequence_number", None)
    assert last == expected


def test_stall_is_silent_after_so_many_outputs(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", stall=60, after=2)
    http.timeout = httpx.Timeout(10, read=1)
    text, error = read_until_broken(http, CHAT_PATH, STREAMED_CHAT)
    assert outputs(text) == 2
    assert isinstance(error, httpx.ReadTimeout)


def test_stream_goes_on_after_a_stall(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", stall=0.05, after=2)
    started = time.monotonic()
    assert outputs(http.post(CHAT_PATH, json=STREAMED_CHAT).text) == 16
    assert time.monotonic() - started >= 0.05


def test_split_writes_pieces_of_so_many_bytes(sim: Simulator, http: httpx.Client) -> None:
    whole = http.post(CHAT_PATH, json=STREAMED_CHAT)
    sim.fail("eastus", split=7)
    port = int(sim.endpoint("eastus").rsplit(":", 1)[1])
    body = json.dumps(STREAMED_CHAT).encode()
    head = f"POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\napi-key: key-east\r\nconnection: close\r\n"
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        received = b"".join(iter(lambda: raw.recv(65536), b""))
    sizes = [int(line, 16) for line in received.partition(b"\r\n\r\n")[2].split(b"\r\n")[::2] if line]
    assert max(sizes) == 7
    assert len(sizes) > len(whole.content) / 8


def test_split_stream_has_the_same_events(sim: Simulator, http: httpx.Client) -> None:
    count = len(datas(http.post(CHAT_PATH, json=STREAMED_CHAT)))
    sim.fail("eastus", split=1)
    assert len(datas(http.post(CHAT_PATH, json=STREAMED_CHAT))) == count


def test_crlf_ends_every_line(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", crlf=True)
    content = http.post(CHAT_PATH, json=STREAMED_CHAT).content
    assert content.count(b"\n") == content.count(b"\r\n") > 0


def test_modifiers_combine_with_an_outcome(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", stream_error="event", after=1, crlf=True, split=3)
    content = http.post(CHAT_PATH, json=STREAMED_CHAT).content
    assert b"event: error\r\n" in content


# --- framing, packing, types --------------------------------------------------------------------------


@pytest.mark.parametrize("body", [CHAT, STREAMED_CHAT], ids=["whole", "streamed"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("framing", ["length", "one_chunk", "extensions", "late_trailer", "close"])
def test_an_answer_reads_the_same_in_any_framing(
    sim: Simulator, http: httpx.Client, framing: str, packed: bool, body: dict[str, Any]
) -> None:
    sim.fail("eastus", framing=framing, packed=packed, split=40)
    answer = http.post(CHAT_PATH, json=body)
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    assert ("content-length" in answer.headers) == (framing == "length")
    assert "[DONE]" in answer.text if "stream" in body else answer.json()["object"] == "chat.completion"


@pytest.mark.parametrize(("given", "seen"), [("text/plain", "text/plain"), ("", None)])
def test_content_type_replaces_the_usual_one(
    sim: Simulator, http: httpx.Client, given: str, seen: str | None
) -> None:
    sim.fail("eastus", content_type=given)
    assert http.post(CHAT_PATH, json=CHAT).headers.get("content-type") == seen


def test_cr_ends_the_lines_of_a_stream(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", cr=True)
    text = http.post(CHAT_PATH, json=STREAMED_CHAT).text
    assert ("\n" in text, text.endswith("data: [DONE]\r\r")) == (False, True)


def test_an_unexplained_error_is_explained_by_the_next_event(sim: Simulator, http: httpx.Client) -> None:
    sim.fail("eastus", stream_error="unexplained", code="server_error")
    failed, explained = documents(http.post(CHAT_PATH, json=STREAMED_CHAT))[-2:]
    assert (failed["response"]["error"], explained["error"]["code"]) == (None, "server_error")
