"""Backends and Redis over TLS: which certificates are accepted, and that all else works as without TLS."""

from __future__ import annotations

import pytest
from cryptography import x509

from e2e.redis_server import RedisServer, is_installed
from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import SYSTEM_CERTIFICATES, Stage
from tests.behaviour.support import attempts, chat, winner
from tests.behaviour.test_streaming import CHAT_STREAM, V1_CHAT
from tests.engines.raw_server import RawServer
from tests.support.certificates import Certificate, make_certificate

JSON = (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",)
EVENTS = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n', b"data: [DONE]\n\n"
STREAM = (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", *EVENTS)
EASTUS_FIRST = {"AZURE_OPENAI_PRIORITY_0": 10}

needs_redis = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("loopback"))


@pytest.fixture(scope="module")
def somebody_elses(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("other"), [x509.DNSName("other.example.com")])


def endpoint(backend: RawServer) -> str:
    """The backend by name, since certificates are checked for host names."""
    return backend.url.replace("127.0.0.1", "localhost")


def trusting(certificate: Certificate | None) -> dict[str, str]:
    """Makes a gateway trust this certificate; without one, those of the system."""
    return {SYSTEM_CERTIFICATES: f"ssl_trusted_certificate: {certificate.pem if certificate else 'system'}"}


def gateway_before(stage: Stage, backend: RawServer, certificate: Certificate) -> Gateway:
    """A gateway with that one backend."""
    settings = {"AZURE_OPENAI_ENDPOINT_0": endpoint(backend)}
    return stage.gateway(["eastus"], edits=trusting(certificate), **settings)


def trail(stage: Stage, backend: RawServer, trusted: Certificate | None) -> list[str]:
    """The attempts of a request to a gateway that prefers a backend with TLS."""
    gateway = stage.gateway(
        edits=trusting(trusted), AZURE_OPENAI_ENDPOINT_0=endpoint(backend), **EASTUS_FIRST
    )
    return attempts(chat(stage.http(gateway)))


def test_f1_a_backend_with_a_trusted_certificate_serves(stage: Stage, certificate: Certificate) -> None:
    with RawServer([JSON], tls=certificate.server_context) as backend:
        assert trail(stage, backend, certificate) == ["eastus:200"]


def test_f1_a_certificate_that_nobody_vouches_for_moves_on(stage: Stage, certificate: Certificate) -> None:
    with RawServer([JSON], tls=certificate.server_context) as backend:
        assert trail(stage, backend, None) == ["eastus:tls", "westus:200"]


def test_f1_a_certificate_of_another_host_moves_on(stage: Stage, somebody_elses: Certificate) -> None:
    with RawServer([JSON], tls=somebody_elses.server_context) as backend:
        assert trail(stage, backend, somebody_elses) == ["eastus:tls", "westus:200"]


def test_a3_a_backend_that_is_not_trusted_gets_no_credential(
    stage: Stage, somebody_elses: Certificate
) -> None:
    with RawServer([JSON], tls=somebody_elses.server_context) as backend:
        trail(stage, backend, somebody_elses)
        assert backend.requests == []


def test_h3_the_backend_is_told_which_host_is_meant(stage: Stage, certificate: Certificate) -> None:
    asked: list[str | None] = []
    context = certificate.server_context
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    with RawServer([JSON], tls=context) as backend:
        gateway = stage.gateway(
            ["eastus"], edits=trusting(certificate), AZURE_OPENAI_ENDPOINT_0=endpoint(backend)
        )
        chat(stage.http(gateway))
    assert asked == ["localhost"]


def test_b4_a_connection_is_used_again(stage: Stage, certificate: Certificate) -> None:
    with RawServer([JSON, JSON, RawServer.HOLD], tls=certificate.server_context) as backend:
        gateway = stage.gateway(
            ["eastus"], edits=trusting(certificate), AZURE_OPENAI_ENDPOINT_0=endpoint(backend)
        )
        client = stage.http(gateway)
        chat(client)
        chat(client)
        assert (len(backend.requests), backend.connections) == (2, 1)


def test_t1_a_stream_arrives_whole(stage: Stage, certificate: Certificate) -> None:
    with RawServer([STREAM], tls=certificate.server_context) as backend:
        gateway = stage.gateway(
            ["eastus"], edits=trusting(certificate), AZURE_OPENAI_ENDPOINT_0=endpoint(backend)
        )
        answer = stage.http(gateway).post(V1_CHAT, json=CHAT_STREAM)
    assert answer.content == b"".join(EVENTS)


@needs_redis
def test_f2_replicas_share_through_a_redis_with_tls(
    stage: Stage, sim: Simulator, certificate: Certificate
) -> None:
    with RedisServer("a-password-of-redis", certificate) as redis:
        settings = {**EASTUS_FIRST, **redis.settings, "REDIS_HOST": "localhost"}
        one, other = (stage.http(stage.gateway(edits=trusting(certificate), **settings)) for _ in range(2))
        sim.fail("eastus", status=429, retry_after=60, count=1)
        chat(one)
        assert eventually(lambda: winner(chat(other)) == "westus")


@needs_redis
def test_r4_a_redis_of_another_host_is_not_used_and_fails_no_request(
    stage: Stage, somebody_elses: Certificate
) -> None:
    with RedisServer("a-password-of-redis", somebody_elses) as redis:
        settings = {**redis.settings, "REDIS_HOST": "localhost", "GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0": 100}
        gateway = stage.gateway(edits=trusting(somebody_elses), **settings)
        assert (chat(stage.http(gateway)).status_code, redis.command("DBSIZE")) == (200, 0)
