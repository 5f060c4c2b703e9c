"""H3 of the gateway's behaviour: backends with a managed identity."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.simulator import Simulator
from scripts.engines import Gateway
from tests.behaviour.conftest import Stage
from tests.behaviour.support import attempts, chat, record_of
from tests.support.identity import SECRET, IdentityEndpoint, identity_endpoint

EASTUS_FIRST = {"AZURE_OPENAI_PRIORITY_0": 10}
MANAGED = {"AZURE_OPENAI_AUTH_0": "managed-identity", "AZURE_OPENAI_KEY_0": ""}


@pytest.fixture
def identity() -> Iterator[IdentityEndpoint]:
    with identity_endpoint() as endpoint:
        yield endpoint


def start(stage: Stage, identity: IdentityEndpoint, workers: int = 1, **settings: object) -> Gateway:
    return stage.gateway(workers=workers, **(EASTUS_FIRST | MANAGED | identity.environment | settings))


def credentials(sim: Simulator) -> list[tuple[str, str]]:
    sent = [(name.lower(), value) for name, value in sim.requests("eastus")[-1].headers]
    return [pair for pair in sent if pair[0] in ("authorization", "api-key")]


def test_h3_the_backend_gets_the_identitys_token_and_nothing_else(
    stage: Stage, sim: Simulator, identity: IdentityEndpoint
) -> None:
    chat(stage.http(start(stage, identity)))
    assert credentials(sim) == [("authorization", "Bearer token-of-eastus")]


def test_h3_the_token_is_asked_for_by_the_container_apps_protocol(
    stage: Stage, identity: IdentityEndpoint
) -> None:
    chat(stage.http(start(stage, identity)))
    asked = identity.requests[0]
    assert (asked.arguments, asked.secret) == (
        {"api-version": "2019-08-01", "resource": "https://cognitiveservices.azure.com"},
        SECRET,
    )


def test_h3_a_user_assigned_identity_and_another_scope_can_be_named(
    stage: Stage, identity: IdentityEndpoint
) -> None:
    settings = {
        "AZURE_OPENAI_CLIENT_ID_0": "11111111-2222-3333-4444-555555555555",
        "AZURE_OPENAI_TOKEN_SCOPE_0": "https://ai.azure.com/.default",
    }
    chat(stage.http(start(stage, identity, **settings)))
    asked = identity.requests[0].arguments
    assert (asked["client_id"], asked["resource"]) == (
        "11111111-2222-3333-4444-555555555555",
        "https://ai.azure.com",
    )


def test_h3_the_token_is_cached(stage: Stage, identity: IdentityEndpoint) -> None:
    client = stage.http(start(stage, identity))
    for _ in range(3):
        chat(client)
    assert len(identity.requests) == 1


def test_h3_workers_share_the_token(stage: Stage, identity: IdentityEndpoint) -> None:
    gateway = start(stage, identity, workers=2)
    for _ in range(10):
        chat(stage.http(gateway))
    assert len(identity.requests) == 1


def test_h3_requests_that_come_together_cause_one_refresh(stage: Stage, identity: IdentityEndpoint) -> None:
    client = stage.http(start(stage, identity))
    identity.released.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(chat, client) for _ in range(8)]
        identity.arrived.acquire(timeout=5)
        identity.released.set()
        statuses = {answer.result().status_code for answer in answers}
    assert (statuses, len(identity.requests)) == ({200}, 1)


def test_h3_an_ageing_token_is_refreshed_in_the_background(
    stage: Stage, sim: Simulator, identity: IdentityEndpoint
) -> None:
    identity.lifetime_seconds = 6
    client = stage.http(start(stage, identity))
    chat(client)
    identity.arrived.acquire(timeout=5)
    identity.released.clear()
    while not identity.arrived.acquire(timeout=0.1):
        assert chat(client).headers["x-gateway-attempts"] == "eastus:200"
    # The endpoint is holding the refresh back; the old token still serves.
    assert attempts(chat(client)) == ["eastus:200"]
    identity.released.set()


def test_h3_an_endpoint_that_fails_is_not_asked_again_by_every_request(
    stage: Stage, identity: IdentityEndpoint
) -> None:
    identity.lifetime_seconds = 6
    client = stage.http(start(stage, identity))
    chat(client)
    identity.arrived.acquire(timeout=5)
    identity.status = 500
    while not identity.arrived.acquire(timeout=0.1):
        chat(client)
    # So many surely come before the old token expires.
    for _ in range(3):
        chat(client)
    assert len(identity.requests) == 2


def test_h3_no_token_is_a_failed_attempt(stage: Stage, identity: IdentityEndpoint) -> None:
    identity.status = 500
    assert attempts(chat(stage.http(start(stage, identity)))) == ["eastus:identity", "westus:200"]


def test_h3_the_token_never_reaches_a_log(stage: Stage, identity: IdentityEndpoint) -> None:
    gateway = start(stage, identity)
    chat(stage.http(gateway))
    record_of(gateway)
    assert "token-of-eastus" not in gateway.error_log.read_text() + gateway.access_log.read_text()


def test_a3_nothing_a_client_sends_influences_the_identity(
    stage: Stage, sim: Simulator, identity: IdentityEndpoint
) -> None:
    client = stage.http(start(stage, identity))
    client.headers.update(
        {"Authorization": "Bearer of-the-client", "X-IDENTITY-HEADER": "x", "x-ms-client-id": "other"}
    )
    client.post(
        "/openai/v1/chat/completions?client_id=other&resource=https://other",
        json={"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]},
    )
    assert (credentials(sim), "client_id" in identity.requests[0].arguments) == (
        [("authorization", "Bearer token-of-eastus")],
        False,
    )
