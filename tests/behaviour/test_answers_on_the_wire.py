"""T1, T3: answers in every framing arrive as they come, and one that is cut short never looks whole."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import CHAT, Stage
from tests.behaviour.support import V1_CHAT, attempts, chat
from tests.engines.raw_server import RawServer
from tests.support.floods import chunk

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"content-type: application/json\r\n"
EVENTS = b"content-type: text/event-stream\r\n"
AUDIO = b"content-type: audio/mpeg\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
END = b"0\r\n\r\n"
OUTPUT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
DOCUMENT = json.dumps({"object": "chat.completion", "choices": [{"message": {"content": "Hi"}}]}).encode()
V1_SPEECH = "/openai/v1/audio/speech"
SPEECH = {"model": "tts", "input": "Hello", "voice": "alloy"}


def sized(body: bytes, length: int | None = None) -> bytes:
    """The end of a head, and a body with a length."""
    return b"content-length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def gateway_of(stage: Stage, backend: RawServer, **settings: Any) -> Gateway:
    """A gateway that asks the raw server first, then westus."""
    return stage.gateway(AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=10, **settings)


def alone(stage: Stage, backend: RawServer, **settings: Any) -> Gateway:
    """A gateway whose only backend is the raw server."""
    return stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url, **settings)


class Pause:
    """An answer that waits between two of its pieces until it is told to go on."""

    def __init__(self, before: bytes, after: bytes) -> None:
        self.before, self.after = before, after
        self.go_on = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield self.before
        assert self.go_on.wait(10)
        yield self.after


# In each, the backend holds the second event while the client reads the first.
FIRST_EVENTS = {
    "length": Pause(OK + EVENTS + sized(OUTPUT, len(OUTPUT + DONE)), DONE),
    "one large chunk": Pause(
        OK + EVENTS + CHUNKED + b"\r\n%x\r\n" % len(OUTPUT + DONE) + OUTPUT, DONE + b"\r\n" + END
    ),
    "chunks": Pause(OK + EVENTS + CHUNKED + b"\r\n" + chunk(OUTPUT), chunk(DONE) + END),
    "end": Pause(OK + EVENTS + b"\r\n" + OUTPUT, DONE),
}


@pytest.mark.parametrize("name", FIRST_EVENTS)
def test_t1_the_first_event_arrives_before_the_second_whatever_the_framing(stage: Stage, name: str) -> None:
    pause = FIRST_EVENTS[name]
    with RawServer([pause]) as backend:
        client = stage.http(alone(stage, backend))
        with client.stream("POST", V1_CHAT, json=CHAT | {"stream": True}) as response:
            parts = response.iter_bytes()
            assert next(parts) == OUTPUT
            pause.go_on.set()
            assert b"".join(parts) == DONE


@pytest.mark.parametrize("framing", ["chunks", "length"])
def test_t1_the_first_bytes_of_audio_arrive_before_the_rest(stage: Stage, framing: str) -> None:
    first, rest = b"a" * 1000, b"b" * 100_000
    pause = (
        Pause(OK + AUDIO + CHUNKED + b"\r\n" + chunk(first), chunk(rest) + END)
        if framing == "chunks"
        else Pause(OK + AUDIO + sized(first, len(first + rest)), rest)
    )
    with RawServer([pause]) as backend:
        client = stage.http(alone(stage, backend))
        with client.stream("POST", V1_SPEECH, json=SPEECH) as response:
            parts = response.iter_bytes()
            received = next(parts)
            pause.go_on.set()
            received += b"".join(parts)
    assert received == first + rest


def test_t1_a_small_body_that_is_slow_is_not_held_until_it_is_whole(stage: Stage) -> None:
    pause = Pause(OK + AUDIO + sized(b"first", 10), b" rest")
    with RawServer([pause]) as backend:
        client = stage.http(alone(stage, backend, AI_PROXY_STREAM_PROBE_MS=50))
        with client.stream("POST", V1_SPEECH, json=SPEECH) as response:
            parts = response.iter_bytes()
            assert next(parts) == b"first"
            pause.go_on.set()
            assert b"".join(parts) == b" rest"


def test_t1_chunk_extensions_are_read(stage: Stage) -> None:
    body = b"%x;name=value\r\n" % len(DOCUMENT) + DOCUMENT + b"\r\n0;last\r\n\r\n"
    with RawServer([(OK + JSON + CHUNKED + b"\r\n" + body,)]) as backend:
        assert chat(stage.http(alone(stage, backend))).content == DOCUMENT


def test_t1_a_late_trailer_does_not_end_up_in_the_next_answer(stage: Stage) -> None:
    answer = OK + JSON + CHUNKED + b"\r\n" + chunk(DOCUMENT) + b"0\r\nX-"
    pauses = [Pause(answer, b"Trailer: 1\r\n\r\n") for _ in range(2)]
    for pause in pauses:
        threading.Timer(0.1, pause.go_on.set).start()
    with RawServer([pauses[0], pauses[1], RawServer.HOLD]) as backend:
        client = stage.http(alone(stage, backend))
        assert [attempts(chat(client)) for _ in range(2)] == [["eastus:200"]] * 2
        assert backend.connections == 1


def test_t1_a_request_meanwhile_has_a_connection_of_its_own(stage: Stage) -> None:
    pause = Pause(OK + JSON + CHUNKED + b"\r\n" + chunk(DOCUMENT) + b"0\r\nX-", b"Trailer: 1\r\n\r\n")
    whole = (OK + JSON + sized(DOCUMENT),)
    with RawServer([pause, RawServer.HOLD], [whole]) as backend, ThreadPoolExecutor(1) as pool:
        client = stage.http(alone(stage, backend))
        first = pool.submit(chat, client)
        eventually(lambda: backend.requests)
        second = chat(client)
        pause.go_on.set()
        assert [attempts(answer) for answer in (first.result(), second)] == [["eastus:200"]] * 2


def test_t1_a_connection_that_carries_more_than_its_answer_is_not_used_again(stage: Stage) -> None:
    answer = (OK + JSON + CHUNKED + b"\r\n" + chunk(DOCUMENT) + END + b"HTTP/1.1 500 Not asked\r\n\r\n",)
    with RawServer([answer, RawServer.HOLD]) as backend:
        client = stage.http(alone(stage, backend))
        assert [attempts(chat(client)) for _ in range(2)] == [["eastus:200"]] * 2
        assert backend.connections == 2


CUT_EARLY = {
    "audio with a length": (V1_SPEECH, SPEECH, OK + AUDIO + sized(b"a" * 4000, 5000)),
    "audio with a large length": (V1_SPEECH, SPEECH, OK + AUDIO + sized(b"", 500_000)),
    "audio in chunks": (V1_SPEECH, SPEECH, OK + AUDIO + CHUNKED + b"\r\n"),
    "audio to the end": (V1_SPEECH, SPEECH, OK + AUDIO + b"\r\n"),
    "JSON with a length": (V1_CHAT, CHAT, OK + JSON + sized(DOCUMENT[:-1], len(DOCUMENT))),
    "JSON in chunks": (V1_CHAT, CHAT, OK + JSON + CHUNKED + b"\r\n" + chunk(DOCUMENT)),
    "JSON to the end": (V1_CHAT, CHAT, OK + JSON + b"\r\n" + DOCUMENT[:-1]),
    "an empty body to the end": (V1_CHAT, CHAT, OK + JSON + b"\r\n"),
    "an error in JSON": (V1_CHAT, CHAT, b"HTTP/1.1 400 No\r\n" + JSON + b'\r\n{"error":{"code":"x"'),
}


@pytest.mark.parametrize("name", CUT_EARLY)
def test_t3_an_answer_that_is_cut_before_the_client_has_any_of_it_fails_over(stage: Stage, name: str) -> None:
    target, body, answer = CUT_EARLY[name]
    with RawServer([(answer,)]) as backend:
        response = stage.http(gateway_of(stage, backend)).post(target, json=body)
    assert attempts(response) == ["eastus:reset", "westus:200"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_f1_an_error_that_is_cut_counts_by_its_status(stage: Stage, status: int) -> None:
    head = b"HTTP/1.1 %d No\r\n" % status + JSON + b"retry-after: 30\r\n"
    with RawServer([(head + sized(b"{", 100),)]) as backend:
        response = chat(stage.http(gateway_of(stage, backend)))
    assert attempts(response) == [f"eastus:{status}", "westus:200"]


def received(gateway: Gateway, target: str, body: dict[str, Any], key: str) -> bytes:
    """Every byte that the client's connection carries until it ends."""
    content = json.dumps(body).encode()
    head = (
        f"POST {target} HTTP/1.1\r\nhost: g\r\nconnection: close\r\napi-key: {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    url = httpx.URL(gateway.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(head.encode() + content)
        data = b""
        try:
            while part := connection.recv(65536):
                data += part
        except ConnectionResetError:
            pass
        return data


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_t3_audio_that_is_cut_later_is_a_broken_transfer_and_never_an_empty_reply(
    stage: Stage, framing: str
) -> None:
    audio = b"a" * 400_000
    answer = sized(audio, 500_000) if framing == "length" else CHUNKED + b"\r\n" + chunk(audio)
    with RawServer([(OK + AUDIO + answer,)]) as backend:
        data = received(alone(stage, backend), V1_SPEECH, SPEECH, "client-key-of-team-a-0001")
    head, _, rest = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert (b"a" * 1000 in rest, rest.endswith(END)) == (True, False)
