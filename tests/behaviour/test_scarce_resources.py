"""When the gateway itself runs out of something it says so, and blames no backend."""

from __future__ import annotations

import json
import re
import resource
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from e2e.simulator import Simulator
from scripts.engines import Gateway, choose_engine
from scripts.engines.files import render
from tests.behaviour.conftest import CHAT, CLIENT_KEY, Stage
from tests.behaviour.support import V1_CHAT, attempts, chat, winner
from tests.engines.raw_server import RawServer

# More than nginx keeps of a body in memory.
LARGE_BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"%s"}]}' % (b"x" * 3_000_000)
CONNECTIONS = 64
JSON = {"content-type": "application/json"}


def occupy(gateway: Gateway) -> socket.socket:
    """Takes one more connection of the worker, as long as it stays open."""
    address = urlsplit(gateway.url)
    idle = socket.create_connection((address.hostname, address.port))
    idle.sendall(b"GET /openai/v1/models HTTP/1.1\r\nhost: gateway\r\n")
    return idle


def ask(gateway: Gateway) -> bytes:
    """Sends a chat completion on a new connection. Empty when there is none for the client itself."""
    address = urlsplit(gateway.url)
    content = json.dumps(CHAT).encode()
    head = f"POST {V1_CHAT} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\napi-key: {CLIENT_KEY}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    place = (address.hostname, address.port)
    with suppress(ConnectionResetError), socket.create_connection(place, timeout=10) as connection:
        connection.sendall(head.encode() + content)
        return b"".join(iter(lambda: connection.recv(65536), b""))
    return b""


@contextmanager
def no_more_files(gateway: Gateway) -> Iterator[None]:
    """Inside the block no worker can open another file or connection."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in gateway.children}
    for pid, (_, hard) in before.items():
        open_files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files, hard))
    yield
    for pid, limits in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def body_directory(gateway: Gateway) -> Path:
    """Where nginx puts bodies that are too large for memory."""
    found = [gateway.directory / name for name in ("tmp/body", "client_body_temp", "logs/client_body_temp")]
    return next(path for path in found if path.exists())


def test_f5_without_a_file_descriptor_for_the_backend_the_answer_is_503(stage: Stage, sim: Simulator) -> None:
    client = stage.http(gateway := stage.gateway())
    client.get("/nothing")
    with no_more_files(gateway):
        refused = chat(client)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["error"]["code"] == "service_unavailable"
    assert set(attempts(refused)) == {"eastus:no_socket", "westus:no_socket"}


def test_f8_and_no_backend_is_blamed_for_it(stage: Stage, sim: Simulator) -> None:
    client = stage.http(gateway := stage.gateway(["eastus"], BREAKER_FAILURES=1))
    client.get("/nothing")
    with no_more_files(gateway):
        chat(client)
    assert winner(chat(client)) == "eastus"


def test_f5_without_a_connection_for_the_backend_the_answer_is_503(stage: Stage) -> None:
    engine, _ = choose_engine(stage.engine)
    config = render(stage.environment(), engine.bundle_root)["config.yaml"]
    rendered = re.search(r"worker_connections: \d+", config)
    assert rendered
    # It closes each connection, so none is left over for the next request.
    with RawServer(
        [(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",)]
    ) as backend:
        gateway = stage.gateway(
            ["eastus"],
            AZURE_OPENAI_ENDPOINT_0=backend.url,
            edits={rendered[0]: f"worker_connections: {CONNECTIONS}"},
        )
        with ExitStack() as stack:
            idle = [stack.enter_context(occupy(gateway))]
            # One connection is left at the end. A timer of the gateway may have it for a moment.
            while not (answer := ask(gateway)).startswith(b"HTTP/1.1 503"):
                if answer:
                    idle.append(stack.enter_context(occupy(gateway)))
                else:
                    idle.pop().close()
    assert b"eastus:no_socket" in answer


@pytest.mark.parametrize("in_chunks", [False, True], ids=["with a length", "in chunks"])
def test_s8_without_room_for_a_large_body_the_answer_is_507(
    stage: Stage, sim: Simulator, in_chunks: bool
) -> None:
    gateway = stage.gateway()
    shutil.rmtree(body_directory(gateway))
    content = iter([LARGE_BODY]) if in_chunks else LARGE_BODY
    answer = stage.http(gateway).post(V1_CHAT, content=content, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "insufficient_storage")
    assert (str(gateway.directory) in answer.text, sim.requests("eastus")) == (False, [])


def test_s8_and_the_next_request_that_fits_is_served(stage: Stage) -> None:
    gateway = stage.gateway()
    shutil.rmtree(body_directory(gateway))
    client = stage.http(gateway)
    client.post(V1_CHAT, content=LARGE_BODY, headers=JSON)
    assert chat(client).status_code == 200
