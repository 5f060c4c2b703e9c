"""A body costs little more memory than its own size, whatever it holds."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from e2e.large_bodies import CLASSES, MIB, LargeBody, large_body, random_document
from scripts.engines import Gateway
from tests.behaviour.conftest import CLIENT_KEY, Stage
from tests.support.loopback_server import LoopbackServer
from tests.support.measuring import PATIENCE
from tests.support.worker_memory import GARBAGE_MIB, peak_growth

RANDOM_DOCUMENTS = 40


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    """The endpoint of a backend that answers everything alike."""
    with LoopbackServer(lambda request: (200, {}, {})) as server:
        yield server.url


def gateway_of(stage: Stage, backend: str, **settings: object) -> Gateway:
    return stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend, **settings)


def most_growth_mib(body: LargeBody) -> float:
    return 3 * len(body.content) / MIB + 4 + GARBAGE_MIB


def send(client: httpx.Client, body: LargeBody) -> int:
    headers = {"content-type": body.content_type}
    return client.post(body.target, content=body.content, headers=headers).status_code


@pytest.mark.parametrize("shape", CLASSES)
def test_s1_a_body_of_any_shape_costs_little_memory(stage: Stage, backend: str, shape: str) -> None:
    body = large_body(shape, 14 * MIB)
    gateway = gateway_of(stage, backend)
    with peak_growth(gateway) as growth:
        status = send(stage.http(gateway), body)
    assert status == body.status
    assert growth.mib < most_growth_mib(body)


@pytest.mark.parametrize("shape", ["one picture", "many pictures", "whole numbers", "a form of parts"])
def test_s1_what_models_read_is_passed_on_at_nearly_the_largest_size(
    stage: Stage, backend: str, shape: str
) -> None:
    body = large_body(shape, 60 * MIB)
    gateway = gateway_of(stage, backend)
    with peak_growth(gateway) as growth:
        assert send(stage.http(gateway), body) == 200
    assert growth.mib < most_growth_mib(body)


@pytest.mark.parametrize("shape", ["empty lists", "lists in lists", "deep lists", "one number"])
def test_s1_so_is_no_json_that_is_too_complex(stage: Stage, backend: str, shape: str) -> None:
    body = large_body(shape, 60 * MIB)
    gateway = gateway_of(stage, backend)
    with peak_growth(gateway) as growth:
        assert send(stage.http(gateway), body) == 400
    assert growth.mib < most_growth_mib(body)


def test_s1_the_prompt_guard_reads_in_bounded_memory(stage: Stage, backend: str) -> None:
    body = large_body("texts of 10 KB", 14 * MIB)
    gateway = gateway_of(stage, backend, ENABLE_PROMPT_GUARD="true", PROMPT_DENY_PATTERNS="forbidden")
    with peak_growth(gateway) as growth:
        assert send(stage.http(gateway), body) == 200
    assert growth.mib < most_growth_mib(body)


def test_s1_random_documents_cost_little_memory(stage: Stage, backend: str) -> None:
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    print(f"SEED={seed}")
    source = random.Random(seed)
    gateway = gateway_of(stage, backend)
    client = stage.http(gateway)
    for _ in range(RANDOM_DOCUMENTS):
        body = LargeBody(
            "/openai/v1/chat/completions", random_document(source, source.randrange(2 * MIB)), 200
        )
        with peak_growth(gateway) as growth:
            assert send(client, body) == 200
        assert growth.mib < most_growth_mib(body)


@pytest.mark.parametrize("shape", ["escapes", "texts of 100 bytes"])
def test_s1_others_are_answered_while_a_body_is_read(stage: Stage, backend: str, shape: str) -> None:
    body = large_body(shape, 14 * MIB)
    gateway = gateway_of(stage, backend)
    large, small = stage.http(gateway), stage.http(gateway)
    answered = 0
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send, large, body)
        while not sent.done():
            small.get("/nothing")
            answered += 1
    assert sent.result() == 200
    # If the body had the worker for itself, two or three would be: before, while and after it is read.
    assert answered > 8


def form_for_another_deployment(mark: bytes) -> bytes:
    """A form whose deployment stands behind a file of 20 MiB. LuaJIT would keep equal pieces once."""
    file = b"".join(mark + number.to_bytes(8) + b"x" * 262_128 for number in range(80))
    return (
        b'--R\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n%s\r\n'
        b'--R\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-2\r\n--R--\r\n' % file
    )


def test_s1_many_forms_that_end_at_once_cost_little_memory(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], GATEWAY_CLIENT_DEPLOYMENTS_0="gpt-4o")
    address = urlsplit(gateway.url)
    with ExitStack() as stack:
        uploads = []
        for number in range(6):
            form = form_for_another_deployment(number.to_bytes(8))
            head = (
                f"POST /openai/v1/audio/transcriptions HTTP/1.1\r\nhost: gateway\r\napi-key: {CLIENT_KEY}\r\n"
                f"content-type: multipart/form-data; boundary=R\r\ncontent-length: {len(form)}\r\n\r\n"
            )
            upload = socket.create_connection((address.hostname, address.port), timeout=20 * PATIENCE)
            uploads.append(stack.enter_context(upload))
            upload.sendall(head.encode() + form[:-1])
        with peak_growth(gateway) as growth:
            for upload in uploads:
                upload.sendall(b"\n")
            answers = [upload.recv(12) for upload in uploads]
    assert answers == [b"HTTP/1.1 403"] * 6
    assert growth.mib < 16 + GARBAGE_MIB
