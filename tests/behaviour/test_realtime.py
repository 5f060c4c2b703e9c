"""S3: WebSocket sessions: the gateway chooses a backend, then it is a plain tunnel."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from e2e.simulator import Simulator
from scripts.engines import Gateway
from tests.behaviour.conftest import CLIENT_KEY, Stage
from tests.behaviour.support import V1_RESPONSES, value
from tests.support.live import watching

V1 = "/openai/v1/realtime?model=gpt-realtime"
PREVIEW = "/openai/realtime?api-version=2024-10-01-preview&deployment=gpt-realtime"
LARGE = "x" * 3_000_000
LENGTH_OF_A_101 = 1000
HANDSHAKE = (
    f"GET {V1} HTTP/1.1\r\nHost: gateway\r\napi-key: {CLIENT_KEY}\r\nConnection: keep-alive, Upgrade\r\n"
    "Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
).encode()
USER_ITEM: Any = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "hello there"}],
}


@contextmanager
def dial(
    gateway: Gateway, path: str = V1, key: str | None = CLIENT_KEY, **options: Any
) -> Iterator[ClientConnection]:
    headers = {"api-key": key} if key else {}
    url = gateway.url.replace("http:", "ws:") + path
    with connect(url, additional_headers=headers, proxy=None, max_size=None, **options) as session:
        yield session


def visit(gateway: Gateway, path: str = V1, **options: Any) -> None:
    """A session that says nothing."""
    with dial(gateway, path, **options):
        pass


def refusal(gateway: Gateway, path: str = V1, **options: Any) -> Any:
    """The HTTP answer of a handshake that does not succeed."""
    with pytest.raises(InvalidStatus) as caught:
        visit(gateway, path, **options)
    return caught.value.response


def update(session: ClientConnection, instructions: str) -> str:
    """Has the simulator repeat a text: a message in both directions."""
    session.send(json.dumps({"type": "session.update", "session": {"instructions": instructions}}))
    return str(json.loads(session.recv())["session"]["instructions"])


def die_in_session(gateway: Gateway) -> None:
    """A client whose process dies in a session: a TCP reset, no close frame."""
    address = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.sendall(HANDSHAKE)
        head = b""
        while b"session.created" not in head:
            piece = wire.recv(65536)
            assert piece, head
            head += piece


def echo(session: ServerConnection) -> None:
    for message in session:
        session.send(message)


def count(session: ClientConnection, numbers: int) -> None:
    for number in range(numbers):
        session.send(str(number))


@contextmanager
def web_socket_server(handler: Callable[[ServerConnection], None], **options: Any) -> Iterator[str]:
    """A WebSocket server with a handler of the test's own, as a backend's endpoint."""
    with serve(handler, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Waits for things that cannot be awaited as events: lines in a log, open files of a process."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)


def wait_for_record(gateway: Gateway, path: str) -> dict[str, Any]:
    """The access log's record of a request to a path."""

    def records() -> list[dict[str, Any]]:
        lines = gateway.access_log.read_text().splitlines()
        return [record for line in lines if (record := json.loads(line))["path"] == path]

    wait_until(lambda: bool(records()))
    return records()[0]


def open_files(gateway: Gateway) -> int:
    """How many files and connections the gateway's workers have open."""
    return sum(len(list(Path(f"/proc/{child}/fd").iterdir())) for child in gateway.children)


def openai_client(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/openai/v1", api_key=CLIENT_KEY, max_retries=0)


@pytest.mark.parametrize("path", [V1, PREVIEW, "/openai/v1/realtime?model=gpt%2Drealtime"])
def test_s3_a_session_is_a_two_way_tunnel(stage: Stage, path: str) -> None:
    with dial(stage.gateway(["eastus"]), path) as session:
        assert json.loads(session.recv())["type"] == "session.created"
        assert update(session, "be brief") == "be brief"


def test_s3_h2_the_101_says_who_serves(stage: Stage) -> None:
    with dial(stage.gateway(["eastus"])) as session:
        assert session.response is not None
        headers = session.response.headers
    assert (headers["x-gateway-backend"], headers["x-gateway-attempts"]) == ("eastus", "eastus:101")


def test_s3_a4_a_wrong_key_is_401_and_reaches_no_backend(stage: Stage, sim: Simulator) -> None:
    response = refusal(stage.gateway(["eastus"]), key="a-key-that-nobody-has")
    assert (response.status_code, sim.requests("eastus")) == (401, [])


def test_s3_h3_the_backend_gets_its_own_key_and_never_the_clients(stage: Stage, sim: Simulator) -> None:
    with dial(stage.gateway(["eastus"])) as session:
        session.recv()
    request = sim.requests("eastus")[0]
    assert CLIENT_KEY not in str((request.path, request.headers))
    assert [value for name, value in request.headers if name.lower() == "api-key"] == ["key-of-eastus"]


@pytest.mark.parametrize("status", [429, 500, 503, 401])
def test_s3_f1_a_failed_handshake_fails_over(stage: Stage, sim: Simulator, status: int) -> None:
    sim.fail("eastus", status=status)
    with dial(stage.gateway(AZURE_OPENAI_PRIORITY_0=10)) as session:
        assert session.response is not None
        assert session.response.headers["x-gateway-attempts"] == f"eastus:{status},westus:101"
        assert json.loads(session.recv())["type"] == "session.created"


def test_s3_f8_a_session_that_needs_another_key_is_refused_alone(stage: Stage, sim: Simulator) -> None:
    for region in ("eastus", "westus"):
        sim.fail(region, status=401, message="requires ephemeral authentication", count=1)
    gateway = stage.gateway()
    assert refusal(gateway).status_code == 403
    with dial(gateway) as session:
        assert json.loads(session.recv())["type"] == "session.created"


def test_s3_f1_a_backend_that_refuses_connections_is_failed_over(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", refuse=True)
    with dial(stage.gateway(AZURE_OPENAI_PRIORITY_0=10)) as session:
        assert session.response is not None
        assert session.response.headers["x-gateway-attempts"] == "eastus:connect,westus:101"


def test_s3_f1_a_bad_request_goes_to_the_client_at_once(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=400, message="no such voice")
    response = refusal(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    assert response.status_code == 400
    assert (b"no such voice" in response.body, sim.requests("westus")) == (True, [])


def test_s3_f2_a_throttled_handshake_cools_the_deployment_down(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=60)
    gateway = stage.gateway(AZURE_OPENAI_PRIORITY_0=10)
    for _ in range(2):
        visit(gateway)
    assert len(sim.requests("eastus")) == 1


def test_s3_f5_all_throttled_is_429_with_a_hint(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=7)
    response = refusal(stage.gateway(["eastus"]))
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize(
    ("path", "upstream"),
    [
        (V1, "/openai/v1/realtime?model=my-realtime"),
        (PREVIEW, "/openai/realtime?api-version=2024-10-01-preview&deployment=my-realtime"),
    ],
)
def test_s3_b1_a_renamed_deployment_is_renamed_in_the_query(
    stage: Stage, sim: Simulator, path: str, upstream: str
) -> None:
    gateway = stage.gateway(["eastus"], AZURE_OPENAI_DEPLOYMENTS_0="gpt-realtime=my-realtime")
    visit(gateway, path)
    assert sim.wait_for_requests("eastus")[0].path == upstream


def test_s3_b1_only_backends_with_the_deployment_are_tried(stage: Stage, sim: Simulator) -> None:
    gateway = stage.gateway(AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o")
    for _ in range(2):
        visit(gateway)
    assert sim.requests("eastus") == []


def test_s3_a7_a_client_without_the_deployment_is_403(stage: Stage) -> None:
    assert refusal(stage.gateway(["eastus"], GATEWAY_CLIENT_DEPLOYMENTS_0="gpt-4o")).status_code == 403


def test_s3_a7_a_session_without_a_deployment_is_403_where_only_some_are_allowed(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_CLIENT_DEPLOYMENTS_0="gpt-realtime")
    assert refusal(gateway, "/openai/v1/realtime?intent=transcription").status_code == 403


@pytest.mark.parametrize("query", ["deployment=gpt-realtime&model=o1", "model=gpt-realtime&model=o1"])
def test_s3_a_session_that_names_two_deployments_is_400(stage: Stage, sim: Simulator, query: str) -> None:
    assert refusal(stage.gateway(["eastus"]), f"/openai/v1/realtime?{query}").status_code == 400
    assert sim.requests("eastus") == []


def test_s3_a_browsers_key_is_taken_from_the_subprotocol(stage: Stage) -> None:
    protocols = ["realtime", f"openai-insecure-api-key.{CLIENT_KEY}"]
    with dial(stage.gateway(["eastus"]), key=None, subprotocols=protocols) as session:
        assert session.subprotocol == "realtime"


def test_s3_a3_a_browsers_key_never_reaches_the_backend(stage: Stage, sim: Simulator) -> None:
    protocols = ["realtime", f"openai-insecure-api-key.{CLIENT_KEY}", "openai-project.p1"]
    visit(stage.gateway(["eastus"]), key=None, subprotocols=protocols)
    request = sim.wait_for_requests("eastus")[0]
    offered = [value for name, value in request.headers if name.lower() == "sec-websocket-protocol"]
    assert offered == ["realtime, openai-project.p1"]


def test_s3_a_key_in_the_query_is_not_accepted(stage: Stage) -> None:
    assert refusal(stage.gateway(["eastus"]), f"{V1}&api-key={CLIENT_KEY}", key=None).status_code == 401


@pytest.mark.parametrize(
    "credential", ["api-key=another", "API%2DKey=another", "Authorization=Bearer%20another"]
)
def test_s3_a3_a_key_in_the_query_never_reaches_the_backend(
    stage: Stage, sim: Simulator, credential: str
) -> None:
    visit(stage.gateway(["eastus"]), V1.replace("?", f"?{credential}&"))
    assert sim.wait_for_requests("eastus")[0].path == V1


@pytest.mark.parametrize("path", ["/openai/v1/models", "/openai/v1/responses/resp_1"])
def test_s3_a_browsers_key_counts_on_realtime_paths_only(stage: Stage, path: str) -> None:
    protocols = [f"openai-insecure-api-key.{CLIENT_KEY}"]
    assert refusal(stage.gateway(["eastus"]), path, key=None, subprotocols=protocols).status_code == 401


def test_s3_large_messages_pass_in_both_directions(stage: Stage) -> None:
    with dial(stage.gateway(["eastus"])) as session:
        session.recv()
        assert update(session, LARGE) == LARGE


def test_s3_binary_messages_pass_unchanged(stage: Stage) -> None:
    data = bytes(range(256)) * 1000
    with web_socket_server(echo) as endpoint:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=endpoint)
        with dial(gateway) as session:
            session.send(data)
            assert session.recv() == data


def test_s3_a_message_sent_with_the_handshake_is_not_lost(stage: Stage) -> None:
    frame = b"\x81\x85\x00\x00\x00\x00" + b"eager"
    with web_socket_server(echo) as endpoint:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=endpoint)
        address = gateway.url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=5) as wire:
            wire.sendall(HANDSHAKE + frame)
            received = b""
            while b"eager" not in received:
                piece = wire.recv(65536)
                assert piece, received
                received += piece
    assert received.endswith(b"eager")


def test_s3_many_messages_keep_their_order(stage: Stage) -> None:
    with web_socket_server(echo) as endpoint:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=endpoint)
        with dial(gateway) as session:
            sender = threading.Thread(target=count, args=(session, 5000))
            sender.start()
            received = [int(session.recv()) for _ in range(5000)]
            sender.join()
    assert received == list(range(5000))


def test_s3_a_silent_session_outlives_the_read_timeout(stage: Stage) -> None:
    answers = threading.Event()

    def slow(session: ServerConnection) -> None:
        session.recv()
        # Longer than the gateway may wait for an answer: this time is the subject of the test.
        answers.wait(1.5)
        session.send("still here")

    with web_socket_server(slow, ping_interval=None) as endpoint:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=endpoint, AI_PROXY_READ_TIMEOUT_MS=1000)
        with dial(gateway, ping_interval=None) as session:
            session.send("hello")
            assert session.recv() == "still here"


def test_s3_the_clients_close_reaches_the_backend(stage: Stage, sim: Simulator) -> None:
    with dial(stage.gateway(["eastus"])) as session:
        session.recv()
    assert not sim.wait_for_answers("eastus")[0].client_disconnected


def test_s3_the_backends_close_reaches_the_client(stage: Stage) -> None:
    def farewell(session: ServerConnection) -> None:
        session.send("last words")
        session.close(4001, "session expired")

    with web_socket_server(farewell) as endpoint:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=endpoint)
        with dial(gateway) as session:
            assert session.recv() == "last words"
            with pytest.raises(ConnectionClosed) as caught:
                session.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "session expired")


def test_s3_the_backends_last_words_survive_a_client_that_still_talks(stage: Stage) -> None:
    def impatient(session: ServerConnection) -> None:
        session.recv()
        session.send(LARGE)
        session.close(4001)

    # Without its own limit on messages the server reads everything.
    with web_socket_server(impatient, max_size=None) as endpoint:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=endpoint)
        with dial(gateway) as session:
            session.send("go")
            # When the backend was faster, the session is closed already.
            with suppress(ConnectionClosed):
                session.send(LARGE)
            assert session.recv() == LARGE


def test_s3_a_backend_that_breaks_off_ends_the_clients_session(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", cut=3)
    received: list[object] = []
    with dial(stage.gateway(["eastus"])) as session:
        session.send(json.dumps({"type": "response.create"}))
        with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012 - any of the reads may be the one that fails
            while True:
                received.append(session.recv())
    assert (len(received), caught.value.rcvd) == (3, None)


def test_s3_a_client_that_dies_ends_the_backends_session(stage: Stage, sim: Simulator) -> None:
    die_in_session(stage.gateway(["eastus"]))
    assert sim.wait_for_disconnect("eastus").status == 101


def test_s3_nothing_is_left_behind_when_sessions_end(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    before = open_files(gateway)
    sessions = 10
    for _ in range(sessions):
        visit(gateway)
        die_in_session(gateway)
    # The engine may open a file or two of its own meanwhile.
    wait_until(lambda: open_files(gateway) < before + sessions)


def test_s3_o2_a_session_leaves_one_record(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_LOG_MODE="test")
    with dial(gateway, PREVIEW) as session:
        session.recv()
        update(session, "x" * LENGTH_OF_A_101)
    record = wait_for_record(gateway, "/openai/realtime")
    assert (record["status"], record["deployment"], record["backend"]) == (101, "gpt-realtime", "eastus")
    assert (record["streamed"], record["bytes_out"] > LENGTH_OF_A_101) == (True, True)


def test_s3_o2_a_session_that_the_backend_breaks_off_was_interrupted(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", cut=3, cut_rst=True)
    gateway = stage.gateway(["eastus"], GATEWAY_LOG_MODE="test")
    with dial(gateway, PREVIEW) as session:
        session.send(json.dumps({"type": "response.create"}))
        with pytest.raises(ConnectionClosed):
            list(session)
    record = wait_for_record(gateway, "/openai/realtime")
    assert (record["error"], record["outcome"]) == ("tunnel_broken", "interrupted")


def test_s3_o1_a_session_is_counted(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    with dial(gateway) as session:
        session.recv()
    counted = re.compile(r'azure_openai_requests_total\{backend="eastus".*outcome="success"\} 1')
    # APISIX renews its metrics page every 15 s.
    wait_until(lambda: bool(counted.search(httpx.get(gateway.metrics_url).text)), seconds=20)


DONE: dict[str, Any] = {
    "type": "response.done",
    "event_id": "event_1",
    "response": {
        "object": "realtime.response",
        "status": "completed",
        "usage": {
            "total_tokens": 30,
            "input_tokens": 20,
            "output_tokens": 10,
            "input_token_details": {"cached_tokens": 8, "text_tokens": 15, "audio_tokens": 5},
            "output_token_details": {"text_tokens": 4, "audio_tokens": 6},
        },
    },
}
CREATED = {"type": "session.created", "event_id": "event_0", "session": {"model": "gpt-realtime-2025-08-28"}}
DELTA = {"type": "response.output_text.delta", "event_id": "event_2", "delta": "Hello"}


@contextmanager
def says(*messages: Any, **options: Any) -> Iterator[str]:
    """A backend that sends these messages, each in the given fragments, and then closes."""

    def speak(session: ServerConnection) -> None:
        for message in messages:
            session.send(json.dumps(message) if isinstance(message, dict) else message)

    with web_socket_server(speak, **options) as endpoint:
        yield endpoint


def tokens_of_a_session(stage: Stage, *messages: Any, **options: Any) -> dict[str, Any] | None:
    """The tokens in the record of a session whose backend says something."""
    with says(*messages, **options) as endpoint:
        gateway = stage.gateway(["eastus"], GATEWAY_LOG_MODE="test", AZURE_OPENAI_ENDPOINT_0=endpoint)
        with dial(gateway) as session:
            list(session)
        found: dict[str, Any] | None = wait_for_record(gateway, "/openai/v1/realtime").get("tokens")
        return found


def test_s3_t6_the_responses_of_a_session_are_counted(stage: Stage) -> None:
    tokens = tokens_of_a_session(stage, CREATED, DELTA, DONE, DELTA, DELTA, DONE)
    assert tokens is not None
    wanted = {"prompt": 40, "completion": 20, "total": 60, "cached": 16, "estimated": False}
    assert {name: tokens[name] for name in wanted} == wanted


def test_s3_o2_the_session_names_its_model(stage: Stage) -> None:
    with says(CREATED, DONE) as endpoint:
        gateway = stage.gateway(["eastus"], GATEWAY_LOG_MODE="test", AZURE_OPENAI_ENDPOINT_0=endpoint)
        with dial(gateway) as session:
            list(session)
        assert wait_for_record(gateway, "/openai/v1/realtime")["model"] == "gpt-realtime-2025-08-28"


TEXT = json.dumps(DONE)
IN_PIECES = {
    "fragments": [TEXT[:3], TEXT[3:40], TEXT[40:]],
    "type behind other members": json.dumps({"event_id": "event_1", **DONE}),
    "a long output before the usage": json.dumps({"type": "response.done", "output": "x" * 900_000} | DONE),
}


@pytest.mark.parametrize("message", IN_PIECES.values(), ids=IN_PIECES)
def test_s3_t6_a_response_is_counted_however_it_is_written(stage: Stage, message: Any) -> None:
    tokens = tokens_of_a_session(stage, message)
    assert tokens is not None
    assert tokens["total"] == 30


def test_s3_t6_a_client_that_offers_compression_is_counted_too(stage: Stage) -> None:
    tokens = tokens_of_a_session(stage, DONE, compression="deflate")
    assert tokens is not None
    assert tokens["total"] == 30


TRANSCRIBED: dict[str, Any] = {
    "type": "conversation.item.input_audio_transcription.completed",
    "event_id": "event_3",
    "transcript": "Hello",
    "usage": {"type": "tokens", "total_tokens": 26, "input_tokens": 17, "output_tokens": 9},
}


def test_s3_t6_speech_that_a_session_writes_down_is_counted(stage: Stage) -> None:
    tokens = tokens_of_a_session(stage, CREATED, TRANSCRIBED, DONE)
    assert tokens is not None
    assert tokens["total"] == 26 + 30


def test_s3_t6_writing_speech_down_ends_no_response(stage: Stage) -> None:
    tokens = tokens_of_a_session(stage, DELTA, TRANSCRIBED)
    assert tokens is not None
    assert (tokens["total"], tokens["estimated"]) == (27, True)


NOT_USAGE = {
    "a text that quotes an event": {"type": "response.output_text.done", "text": json.dumps(DONE)},
    "an event of the user": {"type": "conversation.item.created", "item": DONE},
    "bytes": json.dumps(DONE).encode(),
    "no JSON": '{"type":"response.done","response":{"usage":{"input_tokens":20',
    "forged numbers": DONE
    | {"response": {"usage": {"input_tokens": -5, "output_tokens": 1e15, "total_tokens": "many"}}},
}


@pytest.mark.parametrize("message", NOT_USAGE.values(), ids=NOT_USAGE)
def test_s3_t6_nothing_else_in_a_session_is_usage(stage: Stage, message: Any) -> None:
    tokens = tokens_of_a_session(stage, message)
    assert tokens is None or tokens["total"] == 0


def test_s3_t6_a_response_that_the_client_does_not_wait_for_is_estimated(stage: Stage) -> None:
    tokens = tokens_of_a_session(stage, DONE, DELTA, DELTA, DELTA)
    assert tokens is not None
    assert (tokens["total"], tokens["estimated"]) == (33, True)


def test_s3_a7_a_session_is_charged_while_it_runs(stage: Stage) -> None:
    def answer(session: ServerConnection) -> None:
        session.send(json.dumps(DONE))
        for _ in session:
            pass

    with web_socket_server(answer) as endpoint:
        gateway = stage.gateway(
            ["eastus"], GATEWAY_CLIENT_TOKENS_PER_MINUTE_0=30, AZURE_OPENAI_ENDPOINT_0=endpoint
        )
        with dial(gateway) as session:
            session.recv()
            assert refusal(gateway).status_code == 429


def test_s3_a7_a_budget_in_usd_is_charged_while_a_session_runs_and_once(stage: Stage) -> None:
    def answer(session: ServerConnection) -> None:
        session.send(json.dumps(DONE))
        for _ in session:
            session.send(json.dumps(DONE))

    price = {"gpt-realtime": {"prompt": 1000, "completion": 1000}}
    with web_socket_server(answer) as endpoint:
        gateway = stage.gateway(
            ["eastus"],
            AZURE_OPENAI_ENDPOINT_0=endpoint,
            GATEWAY_CLIENT_USD_PER_MONTH_0="0.05",
            GATEWAY_LOG_MODE="test",
            GATEWAY_LIVE_PAGE="local",
            MODEL_PRICING=json.dumps(price),
        )
        with dial(gateway) as session:
            session.recv()
            # Each time 30 tokens at 0.001 USD.
            session.send("more")
            session.recv()
            assert refusal(gateway).headers["x-gw-ratelimit-reason"] == "client-budget"
    with watching(gateway.url) as watcher:
        [budget] = watcher.look()["budgets"]
    assert budget["used"] == pytest.approx(0.06)


def test_s3_a7_with_a_budget_in_usd_a_session_names_its_deployment(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_CLIENT_USD_PER_MONTH_0=1)
    answer = refusal(gateway, "/openai/v1/realtime?intent=transcription")
    assert (answer.status_code, json.loads(answer.body)["error"]["code"]) == (403, "cost_unknown")


def test_s3_a7_with_a_budget_in_usd_a_session_elsewhere_is_426(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_CLIENT_USD_PER_MONTH_0=1)
    assert refusal(gateway, V1_RESPONSES).status_code == 426


def test_s3_o1_the_tokens_of_a_session_are_in_the_metrics(stage: Stage) -> None:
    with says(DONE) as endpoint:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=endpoint)
        with dial(gateway) as session:
            list(session)
        assert value(gateway, "tokens_total", kind="prompt") == 20


def test_s3_a_plain_get_is_answered_by_the_backend(stage: Stage) -> None:
    assert stage.http(stage.gateway(["eastus"])).get(V1).status_code == 400


def test_s3_requests_after_a_session_are_served(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    visit(gateway)
    assert stage.http(gateway).get("/openai/v1/models").status_code == 200


def test_s3_the_official_client_talks_over_v1(stage: Stage) -> None:
    client = openai_client(stage.gateway(["eastus"]))
    text = ""
    with client.realtime.connect(model="gpt-realtime") as session:
        session.conversation.item.create(item=USER_ITEM)
        session.response.create()
        for event in session:
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.done":
                break
    assert "hello there" in text


@pytest.mark.parametrize("path", [V1_RESPONSES, "/openai/responses?api-version=2025-03-01-preview"])
def test_s3_an_upgrade_elsewhere_is_offered_and_426_when_no_backend_switches(
    stage: Stage, sim: Simulator, path: str
) -> None:
    response = refusal(stage.gateway(), path)
    assert (response.status_code, response.headers["upgrade"]) == (426, "websocket")
    assert json.loads(response.body)["error"]["code"] == "upgrade_required"
    for region in ("eastus", "westus"):
        [request] = sim.requests(region)
        headers = {name.lower(): value for name, value in request.headers}
        assert (request.path, headers["upgrade"], headers["connection"]) == (path, "websocket", "Upgrade")
        assert "sec-websocket-key" in headers


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 405, 426, 501])
def test_s3_a_plain_answer_says_that_a_backend_does_not_switch(
    stage: Stage, sim: Simulator, status: int
) -> None:
    sim.fail("eastus", status=status, body={"data": []})
    gateway = stage.gateway(["eastus"])
    assert refusal(gateway, V1_RESPONSES).status_code == 426
    sim.clear_faults("eastus")
    assert stage.http(gateway).post(V1_RESPONSES, json={"model": "gpt-4o", "input": "Hi"}).status_code == 200


@pytest.mark.parametrize("fault", [{"status": 429, "retry_after": 9}, {"status": 503}, {"refuse": True}])
def test_s3_f1_a_backend_that_fails_is_no_reason_to_ask_nobody_else(
    stage: Stage, sim: Simulator, fault: dict[str, Any]
) -> None:
    sim.fail("eastus", **fault)
    response = refusal(stage.gateway(AZURE_OPENAI_PRIORITY_0=10), V1_RESPONSES)
    assert (response.status_code, len(sim.requests("westus"))) == (426, 1)


def test_s3_f5_backends_that_are_all_throttled_say_nothing_of_upgrades(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=9)
    response = refusal(stage.gateway(["eastus"]), V1_RESPONSES)
    assert (response.status_code, response.headers["retry-after"]) == (429, "9")


def test_s3_a_backend_that_switches_elsewhere_is_a_tunnel(stage: Stage, sim: Simulator) -> None:
    with web_socket_server(echo) as endpoint:
        gateway = stage.gateway(AZURE_OPENAI_ENDPOINT_1=endpoint, AZURE_OPENAI_PRIORITY_0=10)
        with dial(gateway, V1_RESPONSES) as session:
            assert session.response is not None
            assert session.response.headers["x-gateway-attempts"] == "eastus:404,westus:101"
            session.send("hello")
            assert session.recv() == "hello"


def test_s3_tokens_of_a_session_elsewhere_are_counted(stage: Stage) -> None:
    done = {
        "type": "response.completed",
        "response": {"model": "gpt-4o", "usage": {"input_tokens": 30, "output_tokens": 12}},
    }
    with web_socket_server(lambda session: session.send(json.dumps(done))) as endpoint:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=endpoint, GATEWAY_LOG_MODE="test")
        with dial(gateway, V1_RESPONSES) as session:
            session.recv()
    assert wait_for_record(gateway, V1_RESPONSES)["tokens"]["total"] == 42


@pytest.mark.parametrize(
    "settings",
    [
        {"GATEWAY_CLIENT_DEPLOYMENTS_0": "gpt-4o"},
        {"ENABLE_PROMPT_GUARD": "true", "PROMPT_DENY_PATTERNS": "secret"},
    ],
    ids=["allow-list", "prompt guard"],
)
def test_s3_what_a_session_says_out_of_sight_is_sent_over_http_instead(
    stage: Stage, sim: Simulator, settings: dict[str, Any]
) -> None:
    response = refusal(stage.gateway(["eastus"], **settings), V1_RESPONSES)
    assert (response.status_code, response.headers["upgrade"]) == (426, "websocket")
    assert sim.requests("eastus") == []


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0"])
def test_s3_an_upgrade_to_another_protocol_is_ignored(stage: Stage, sim: Simulator, protocol: str) -> None:
    client = stage.http(stage.gateway(["eastus"]))
    answer = client.get("/openai/v1/models", headers={"connection": "Upgrade", "upgrade": protocol})
    assert (answer.status_code, "upgrade" in dict(sim.requests("eastus")[0].headers)) == (200, False)
