"""A backend may answer before it has read the request, and while it reads it (F1, F4, F6, S1, T4)."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from time import sleep
from urllib.parse import urlsplit

import httpx
import pytest

from e2e.simulator import Simulator
from e2e.waiting import eventually
from tests.behaviour.conftest import CHAT, CLIENT_KEY, Stage
from tests.behaviour.support import V1_CHAT, attempts, record_of
from tests.behaviour.test_tls import endpoint, trusting
from tests.engines.raw_server import Answer, RawServer, Step
from tests.support.certificates import Certificate, make_certificate
from tests.support.floods import MIB

# More than the buffers between the gateway and a backend take. The larger one is kept in a file.
PROMPTS = {"in memory": "x" * (MIB - 1000), "in a file": "x" * (12 * MIB)}
LARGE = PROMPTS["in a file"]


def answer(status: int, body: bytes = b'{"error":{"code":"x","message":"x"}}', fields: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d Said\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (
        status,
        len(body),
    )
    return head + fields + b"\r\n" + body


OK = answer(200, b'{"n":1}')


def begin(stream: socket.socket) -> bytes:
    """Reads the head, and what comes with it of the body."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = stream.recv(4096)
        if not piece:
            raise ConnectionResetError
        data += piece
    return data


def left_after(beginning: bytes) -> int:
    """How many bytes of the body are still to come."""
    head, _, body = beginning.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return int(fields[b"content-length"]) - len(body)


def read_on(stream: socket.socket, left: int, pause_s: float = 0) -> None:
    """Reads the rest of the body; after each megabyte it takes a pause."""
    since = 0
    while left > 0:
        piece = stream.recv(min(left, 65536))
        if not piece:
            raise ConnectionResetError
        left, since = left - len(piece), since + len(piece)
        if since >= MIB:
            since = 0
            sleep(pause_s)


def early(text: bytes) -> Step:
    """Answers at the beginning of the request, and reads no further."""

    def step(stream: socket.socket) -> None:
        begin(stream)
        stream.sendall(text)

    return step


def reading(*texts: bytes, then: bytes, pause_s: float = 0) -> Step:
    """Says something at the beginning, reads the whole request, and says the rest."""

    def step(stream: socket.socket) -> None:
        if pause_s:
            # What waits in a larger buffer has been sent, as far as the gateway can see.
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
        left = left_after(begin(stream))
        for text in texts:
            stream.sendall(text)
        read_on(stream, left, pause_s)
        stream.sendall(then)

    return step


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("loopback"))


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def serve(stage: Stage, scheme: str, certificate: Certificate) -> Iterator[Callable[..., RawServer]]:
    """Starts a backend over HTTP or HTTPS."""
    with ExitStack() as stack:

        def start(*scripts: list[Step]) -> RawServer:
            tls = certificate.server_context if scheme == "https" else None
            # Without a further step the server would close the connection.
            held: list[list[Answer | Step]] = [[*script, RawServer.WAIT] for script in scripts]
            backend = stack.enter_context(RawServer(*held, tls=tls))
            stack.callback(backend.release.set)
            return backend

        yield start


def client_of(
    stage: Stage,
    backend: RawServer,
    certificate: Certificate,
    others: Sequence[str] = ("westus",),
    read_timeout_ms: int = 10_000,
) -> httpx.Client:
    """The client of a gateway that asks this backend first, then the others."""
    gateway = stage.gateway(
        ["eastus", *others],
        edits=trusting(certificate),
        AZURE_OPENAI_ENDPOINT_0=endpoint(backend),
        AZURE_OPENAI_PRIORITY_0=10,
        AI_PROXY_READ_TIMEOUT_MS=read_timeout_ms,
    )
    return stage.http(gateway)


def ask(client: httpx.Client, prompt: str = LARGE) -> httpx.Response:
    return client.post(V1_CHAT, json=CHAT | {"messages": [{"role": "user", "content": prompt}]})


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_f1_a_refusal_of_who_reads_no_further_is_the_clients(
    stage: Stage, serve: Callable[..., RawServer], certificate: Certificate, prompt: str
) -> None:
    backend = serve([early(answer(413))])
    response = ask(client_of(stage, backend, certificate), prompt)
    # Only the gateway can have ended it so far: the backend still holds the connection.
    assert (response.status_code, attempts(response), backend.closed.is_set()) == (413, ["eastus:413"], False)


@pytest.mark.parametrize("status", [401, 429, 503])
def test_f1_another_early_answer_moves_on_with_the_whole_request(
    stage: Stage, sim: Simulator, serve: Callable[..., RawServer], certificate: Certificate, status: int
) -> None:
    backend = serve([early(answer(status))])
    response = ask(client_of(stage, backend, certificate))
    assert (attempts(response), backend.closed.is_set()) == ([f"eastus:{status}", "westus:200"], False)
    assert len(sim.requests("westus")[0].json()["messages"][0]["content"]) == len(LARGE)


def test_s2_an_upload_is_refused_early_likewise(
    stage: Stage, serve: Callable[..., RawServer], certificate: Certificate
) -> None:
    backend = serve([early(answer(413))])
    client = client_of(stage, backend, certificate)
    response = client.post("/openai/v1/files", files={"file": b"x" * (30 * MIB)})
    assert (response.status_code, backend.closed.is_set()) == (413, False)


def test_f6_a_connection_with_an_early_answer_is_not_used_again(
    stage: Stage, serve: Callable[..., RawServer], certificate: Certificate
) -> None:
    # It is read to its end, so another server would take one more request.
    backend = serve([reading(OK, then=b""), reading(then=OK)], [reading(then=OK)])
    client = client_of(stage, backend, certificate)
    assert [ask(client).json(), ask(client).json(), backend.connections] == [{"n": 1}, {"n": 1}, 2]


def test_f6_a_connection_whose_large_request_was_read_first_is(
    stage: Stage, serve: Callable[..., RawServer], certificate: Certificate
) -> None:
    backend = serve([reading(then=OK), reading(then=OK)])
    client = client_of(stage, backend, certificate)
    assert [ask(client).json(), ask(client).json(), backend.connections] == [{"n": 1}, {"n": 1}, 1]


@pytest.mark.parametrize("interim", [100, 102, 103])
def test_s1_an_interim_answer_ends_no_request(
    stage: Stage, serve: Callable[..., RawServer], certificate: Certificate, interim: int
) -> None:
    backend = serve([reading(b"HTTP/1.1 %d Interim\r\n\r\n" % interim, then=OK)])
    response = ask(client_of(stage, backend, certificate))
    assert (response.json(), attempts(response)) == ({"n": 1}, ["eastus:200"])


def test_s1_an_answer_that_begins_early_does_not_end_the_request(
    stage: Stage, serve: Callable[..., RawServer], certificate: Certificate
) -> None:
    head, body = OK[: -len(b'{"n":1}')], b'{"n":1}'
    backend = serve([reading(head, then=body)])
    assert ask(client_of(stage, backend, certificate)).json() == {"n": 1}


def test_f4_a_backend_may_read_for_longer_than_it_may_be_silent(
    stage: Stage, serve: Callable[..., RawServer], certificate: Certificate
) -> None:
    backend = serve([reading(then=OK, pause_s=0.1)])
    response = ask(client_of(stage, backend, certificate, read_timeout_ms=2000), "x" * (32 * MIB))
    assert attempts(response) == ["eastus:200"]


def test_f1_a_backend_that_reads_no_further_and_says_nothing_times_out(
    stage: Stage, serve: Callable[..., RawServer], certificate: Certificate
) -> None:
    backend = serve([begin])
    response = ask(client_of(stage, backend, certificate, others=(), read_timeout_ms=500))
    assert (response.status_code, attempts(response)) == (504, ["eastus:timeout"])


def test_f1_a_backend_that_reads_all_and_says_nothing_times_out(
    stage: Stage, serve: Callable[..., RawServer], certificate: Certificate
) -> None:
    backend = serve([reading(then=b"")])
    response = ask(client_of(stage, backend, certificate, others=(), read_timeout_ms=500))
    assert (response.status_code, attempts(response)) == (504, ["eastus:timeout"])


def test_f1_a_backend_that_closes_while_it_is_sent_to_moves_on(
    stage: Stage, certificate: Certificate
) -> None:
    with RawServer([begin], tls=certificate.server_context) as backend:
        assert attempts(ask(client_of(stage, backend, certificate))) == ["eastus:reset", "westus:200"]


@pytest.mark.parametrize("text", [b"", OK[:-1]], ids=["no answer", "the beginning of an early answer"])
def test_t4_a_client_that_leaves_while_its_request_is_sent_ends_it(
    stage: Stage, serve: Callable[..., RawServer], certificate: Certificate, text: bytes
) -> None:
    has_begun = threading.Event()

    def step(stream: socket.socket) -> None:
        left = left_after(begin(stream))
        stream.sendall(text)
        has_begun.set()
        backend.release.wait(10)
        read_on(stream, left)
        pytest.fail("the request came whole")

    backend = serve([step])
    gateway = stage.gateway(
        ["eastus"], edits=trusting(certificate), AZURE_OPENAI_ENDPOINT_0=endpoint(backend)
    )
    content = json.dumps(CHAT | {"messages": [{"role": "user", "content": LARGE}]}).encode()
    head = (
        f"POST {V1_CHAT} HTTP/1.1\r\nhost: gateway\r\napi-key: {CLIENT_KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + content)
        assert has_begun.wait(10)
    assert record_of(gateway)["error"] == "client_gone"
    backend.release.set()
    assert eventually(lambda: backend.open_connections == 0)
