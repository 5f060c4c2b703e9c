"""A6 of the gateway's behaviour: clients with an Entra ID token, beside clients with a key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from e2e.simulator import Simulator
from e2e.waiting import eventually
from scripts.engines import Gateway
from tests.behaviour.conftest import CLIENT_KEY, Stage
from tests.behaviour.support import chat, record_of, records, value
from tests.support import tenant as entra
from tests.support.otlp import SERVER, OtlpReceiver
from tests.support.tenant import APPLICATION, AUDIENCE, ISSUER_V1, Tenant, claims, running_tenant, token

OTHER_APPLICATION = "bbbbbbbb-2222-3333-4444-555555555555"
OTHER_TENANT = "99999999-2222-3333-4444-555555555555"
CLOSED_PORT = "http://127.0.0.1:9/discovery"
AT_ONCE = {"GATEWAY_LOG_MODE": "test"}
# A client with a token and no key, beside the client with a key.
TEAM_B = {"GATEWAY_CLIENT_NAME_1": "team-b", "GATEWAY_CLIENT_APP_ID_1": APPLICATION}
TOKENS_ONLY = {"GATEWAY_CLIENT_NAME_0": "", "GATEWAY_CLIENT_KEY_0": ""}
IDENTITY_HEADERS = ("X-Userinfo", "X-Access-Token", "X-ID-Token", "X-Raw-ID-Token", "X-Refresh-Token")
FORGED = base64.b64encode(json.dumps({"azp": APPLICATION, "exp": 9_999_999_999}).encode()).decode()


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    with running_tenant() as tenant:
        yield tenant


def start(stage: Stage, tenant: Tenant, **settings: object) -> Gateway:
    """A gateway in front of eastus that takes the tenant's tokens."""
    return start_at(stage, tenant.discovery, **settings)


def start_at(stage: Stage, discovery: str, **settings: object) -> Gateway:
    return stage.gateway(["eastus"], edits={entra.DISCOVERY: discovery}, **(entra.SETTINGS | settings))


def bearer(stage: Stage, gateway: Gateway, text: str) -> httpx.Client:
    """A client that sends a token."""
    client = stage.http(gateway, key=None)
    client.headers["Authorization"] = f"Bearer {text}"
    return client


def answer(stage: Stage, tenant: Tenant, text: str, **settings: object) -> httpx.Response:
    """What a new gateway answers to a token."""
    return chat(bearer(stage, start(stage, tenant, **settings), text))


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def hand_made(header: Mapping[str, object], signature: bytes = b"") -> str:
    """A token that no library would make."""
    tail = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    return f"{encoded(header)}.{encoded(claims())}.{tail}"


def signed_with_the_public_key() -> str:
    """HS256 over the published key. A verifier that lets the token choose the algorithm would accept it."""
    public = entra.signing_key("k1").public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = hand_made({"alg": "HS256", "typ": "JWT", "kid": "k1"})[:-1]
    signature = hmac.new(pem, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_a6_a_token_of_version_2_is_accepted(stage: Stage, tenant: Tenant) -> None:
    assert answer(stage, tenant, token()).status_code == 200


def test_a6_a_token_of_version_1_is_accepted(stage: Stage, tenant: Tenant) -> None:
    old = token(iss=ISSUER_V1, azp=None, appid=APPLICATION)
    assert answer(stage, tenant, old).status_code == 200


def test_a6_a_token_for_several_audiences_is_accepted(stage: Stage, tenant: Tenant) -> None:
    assert answer(stage, tenant, token(aud=["api://other", AUDIENCE])).status_code == 200


def test_a6_a_large_token_behind_150_lines_is_accepted(stage: Stage, tenant: Tenant) -> None:
    client = stage.http(start(stage, tenant), key=None)
    client.headers.update({f"x-filler-{number}": "x" for number in range(150)})
    client.headers["Authorization"] = f"Bearer {token(groups='g' * 8000)}"
    assert chat(client).status_code == 200


def test_a6_tokens_are_accepted_where_there_are_no_keys(stage: Stage, tenant: Tenant) -> None:
    assert answer(stage, tenant, token(), **TOKENS_ONLY).status_code == 200


@pytest.mark.parametrize("age", [-600, 60], ids=["long ago", "a moment ahead"])
def test_a6_clocks_may_be_apart_a_little(stage: Stage, tenant: Tenant, age: int) -> None:
    assert answer(stage, tenant, token(nbf=int(time.time()) + age)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"aud": "api://other"}, 403),
        ({"aud": ["api://other"]}, 403),
        ({"aud": None}, 403),
        ({"iss": f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"}, 401),
        ({"iss": None}, 401),
        ({"azp": OTHER_APPLICATION}, 401),
        ({"azp": OTHER_APPLICATION, "appid": APPLICATION}, 401),
        ({"azp": None}, 401),
        ({"exp": 1}, 401),
        ({"exp": None}, 401),
        ({"nbf": 9_999_999_999}, 401),
    ],
    ids=lambda part: json.dumps(part) if isinstance(part, dict) else "",
)
def test_a6_a_token_for_somebody_or_something_else_is_refused(
    stage: Stage, sim: Simulator, tenant: Tenant, changes: dict[str, object], status: int
) -> None:
    response = answer(stage, tenant, token(**changes))
    assert (response.status_code, sim.requests("eastus")) == (status, [])


# Made when its test begins, so it cannot be refused because it has expired.
@pytest.mark.parametrize(
    "forge",
    [
        lambda: token("stranger", kid="k1"),
        lambda: token()[:-6] + "AAAAAA",
        lambda: hand_made({"alg": "none", "typ": "JWT"}),
        lambda: hand_made({"alg": "none", "typ": "JWT", "kid": "k1"}, b"signature"),
        lambda: hand_made({"typ": "JWT", "kid": "k1"}, b"signature"),
        lambda: hand_made({"alg": "RS256", "typ": "JWT", "kid": "k1"}),
        lambda: hand_made({"alg": "RS256", "typ": "JWT", "kid": "k1"}, b"\0" * 256),
        lambda: hand_made({"alg": "RS512", "typ": "JWT", "kid": "k1"}, b"\0" * 256),
        lambda: hand_made({"alg": "ES256", "typ": "JWT", "kid": "k1"}, b"\0" * 64),
        signed_with_the_public_key,
        lambda: "e30.e30.e30",
        lambda: "a.b.c",
    ],
    ids=[
        "another key",
        "tampered signature",
        "alg none",
        "alg none with a signature",
        "no alg",
        "no signature",
        "zeros",
        "RS512",
        "ES256",
        "HS256 with the public key",
        "empty objects",
        "no JSON",
    ],
)
def test_a6_a_token_that_the_tenant_did_not_sign_is_refused(
    stage: Stage, sim: Simulator, tenant: Tenant, forge: Callable[[], str]
) -> None:
    assert (answer(stage, tenant, forge()).status_code, sim.requests("eastus")) == (401, [])


def test_a6_claims_that_were_changed_after_signing_are_refused(stage: Stage, tenant: Tenant) -> None:
    header, _, signature = token(azp=OTHER_APPLICATION).split(".")
    assert answer(stage, tenant, f"{header}.{encoded(claims())}.{signature}").status_code == 401


def test_a6_a_token_does_not_say_where_its_key_is(stage: Stage, tenant: Tenant) -> None:
    with running_tenant() as attacker:
        attacker.published = ["stranger"]
        where = f"http://127.0.0.1:{attacker.port}/keys"
        jwk = attacker.document("/keys")["keys"][0]
        forged = token("stranger", headers={"jku": where, "x5u": where, "jwk": jwk})
        response = answer(stage, tenant, forged)
    assert (response.status_code, attacker.paths) == (401, [])


def test_a4_a_refused_token_is_answered_like_a_wrong_key(stage: Stage, tenant: Tenant) -> None:
    response = answer(stage, tenant, token("stranger", kid="k1"))
    assert response.json()["error"]["code"] == "401"
    assert response.headers["www-authenticate"].startswith(
        'Bearer realm="azure-openai", error="invalid_token"'
    )


def test_a4_without_a_credential_the_401_challenges(stage: Stage, tenant: Tenant) -> None:
    response = chat(stage.http(start(stage, tenant, **TOKENS_ONLY), key=None))
    assert (response.status_code, response.headers["www-authenticate"]) == (
        401,
        'Bearer realm="azure-openai"',
    )


def test_a6_the_keys_of_the_tenant_are_asked_for_once(stage: Stage, tenant: Tenant) -> None:
    client = bearer(stage, start(stage, tenant), token())
    for _ in range(3):
        chat(client)
    assert tenant.paths == ["/discovery", "/keys"]


def test_a6_a_new_key_is_found_when_a_token_names_it(stage: Stage, tenant: Tenant) -> None:
    gateway = start(stage, tenant)
    before = chat(bearer(stage, gateway, token())).status_code
    early = chat(bearer(stage, gateway, token("k2"))).status_code
    tenant.published = ["k1", "k2"]
    after = [chat(bearer(stage, gateway, token(key))).status_code for key in ("k2", "k1")]
    assert (before, early, after) == (200, 401, [200, 200])


def test_a6_no_token_is_accepted_while_the_tenant_cannot_be_reached(stage: Stage, sim: Simulator) -> None:
    response = chat(bearer(stage, start_at(stage, CLOSED_PORT), token()))
    assert (response.status_code, response.json()["error"]["code"]) == (401, "401")
    assert sim.requests("eastus") == []


def test_a6_a_tenant_that_is_back_is_asked_again(stage: Stage, tenant: Tenant) -> None:
    client = bearer(stage, start(stage, tenant), token())
    tenant.status = 503
    down = chat(client).status_code
    tenant.status = 200
    assert (down, chat(client).status_code) == (401, 200)


def test_a6_a_tenant_that_does_not_answer_is_not_waited_for(stage: Stage, tenant: Tenant) -> None:
    client = bearer(stage, start(stage, tenant), token())
    tenant.released.clear()
    client.timeout = httpx.Timeout(15)
    assert chat(client).status_code == 401


def test_a6_keys_work_while_the_tenant_cannot_be_reached(stage: Stage) -> None:
    assert chat(stage.http(start_at(stage, CLOSED_PORT))).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"api-key": CLIENT_KEY}, {"Authorization": f"Bearer {CLIENT_KEY}"}], ids=["api-key", "bearer"]
)
def test_a1_a_key_is_accepted_beside_tokens(stage: Stage, tenant: Tenant, headers: dict[str, str]) -> None:
    client = stage.http(start(stage, tenant), key=None)
    client.headers.update(headers)
    assert chat(client).status_code == 200


def test_a1_a_token_wins_over_a_key(stage: Stage, tenant: Tenant) -> None:
    gateway = start(stage, tenant, **TEAM_B, **AT_ONCE)
    client = bearer(stage, gateway, token())
    client.headers["api-key"] = CLIENT_KEY
    chat(client)
    assert record_of(gateway)["client"] == "team-b"


def test_a6_a_bad_token_is_refused_even_beside_a_good_key(stage: Stage, tenant: Tenant) -> None:
    client = bearer(stage, start(stage, tenant), token("stranger", kid="k1"))
    client.headers["api-key"] = CLIENT_KEY
    assert chat(client).status_code == 401


@pytest.mark.parametrize("name", IDENTITY_HEADERS)
def test_a3_a_client_cannot_claim_an_identity(
    stage: Stage, sim: Simulator, tenant: Tenant, name: str
) -> None:
    client = stage.http(start(stage, tenant), key=None)
    client.headers[name] = token() if name == "X-Access-Token" else FORGED
    assert (chat(client).status_code, sim.requests("eastus")) == (401, [])


def test_a3_not_even_behind_a_hundred_other_headers(stage: Stage, sim: Simulator, tenant: Tenant) -> None:
    client = stage.http(start(stage, tenant), key=None)
    # The removed headers let it move up among the hundred that plugins see.
    removed = [(name, "x") for name in IDENTITY_HEADERS[1:]]
    others = [(f"X-Other-{number}", "x") for number in range(94)]
    client.headers = httpx.Headers([*removed, *others, ("X-Userinfo", FORGED)])
    assert (chat(client).status_code, sim.requests("eastus")) == (401, [])


def claimed_client(stage: Stage, gateway: Gateway) -> str:
    """The client that the record names when team-a claims another identity."""
    client = stage.http(gateway)
    client.headers["X-Userinfo"] = FORGED
    chat(client)
    return str(record_of(gateway)["client"])


def test_a3_a_key_holder_cannot_claim_another_identity(stage: Stage, tenant: Tenant) -> None:
    assert claimed_client(stage, start(stage, tenant, **TEAM_B, **AT_ONCE)) == "team-a"


def test_a3_nor_where_there_are_no_tokens(stage: Stage) -> None:
    assert claimed_client(stage, stage.gateway(["eastus"], **AT_ONCE)) == "team-a"


def test_a3_nothing_of_a_token_reaches_a_backend(stage: Stage, sim: Simulator, tenant: Tenant) -> None:
    client = bearer(stage, start(stage, tenant), token())
    client.headers.update(dict.fromkeys(IDENTITY_HEADERS, "of the client"))
    chat(client)
    client.get("/openai/v1/models")
    sent = [{name.lower() for name, _ in request.headers} for request in sim.requests("eastus")]
    forbidden = {"authorization", *(name.lower() for name in IDENTITY_HEADERS)}
    assert [names & forbidden for names in sent] == [set(), set()]


def test_a6_no_log_holds_a_token(stage: Stage, tenant: Tenant) -> None:
    gateway = start(stage, tenant, **AT_ONCE)
    tokens = [token(), token("stranger", kid="k1"), token(aud="api://other")]
    for text in tokens:
        chat(bearer(stage, gateway, text))
    records(gateway, 3)
    logs = gateway.access_log.read_text() + gateway.error_log.read_text()
    parts = [part for text in tokens for part in text.split(".")[1:]]
    assert [part for part in parts if part in logs] == []


def test_a7_an_application_may_use_its_clients_deployments_only(stage: Stage, tenant: Tenant) -> None:
    response = answer(stage, tenant, token(), **TEAM_B, GATEWAY_CLIENT_DEPLOYMENTS_1="gpt-4o-mini")
    assert (response.status_code, response.json()["error"]["code"]) == (403, "model_not_allowed")


@pytest.mark.parametrize(
    "setting", ["GATEWAY_CLIENT_REQUESTS_PER_MINUTE_1", "GATEWAY_CLIENT_TOKENS_PER_MINUTE_1"]
)
def test_a7_an_application_has_its_clients_limits(stage: Stage, tenant: Tenant, setting: str) -> None:
    client = bearer(stage, start(stage, tenant, **TEAM_B, **{setting: 1}), token())
    assert [chat(client).status_code for _ in range(2)] == [200, 429]


def test_a7_key_and_token_of_one_client_share_its_limits(stage: Stage, tenant: Tenant) -> None:
    limits = {"GATEWAY_CLIENT_APP_ID_0": APPLICATION, "GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0": 1}
    gateway = start(stage, tenant, **limits)
    answers = [chat(client).status_code for client in (stage.http(gateway), bearer(stage, gateway, token()))]
    assert answers == [200, 429]


def test_l1_an_application_is_pinned_to_its_clients_lane(stage: Stage, tenant: Tenant) -> None:
    gateway = start(stage, tenant, **TEAM_B, **AT_ONCE, GATEWAY_CLIENT_LANE_1="low")
    chat(bearer(stage, gateway, token()))
    assert record_of(gateway)["lane"] == "low"


def test_a6_the_application_of_a_client_need_not_be_listed(stage: Stage, tenant: Tenant) -> None:
    settings = {**TEAM_B, "GATEWAY_CLIENT_APP_ID_1": OTHER_APPLICATION, "ENTRA_ALLOWED_APP_IDS": ""}
    gateway = start(stage, tenant, **settings)
    tokens = (token(azp=OTHER_APPLICATION), token())
    assert [chat(bearer(stage, gateway, text)).status_code for text in tokens] == [200, 401]


def test_o2_the_record_names_the_client_of_the_application(stage: Stage, tenant: Tenant) -> None:
    gateway = start(stage, tenant, **TEAM_B, **AT_ONCE)
    chat(bearer(stage, gateway, token(iss=ISSUER_V1, azp=None, appid=APPLICATION)))
    assert record_of(gateway)["client"] == "team-b"


def test_o2_an_application_that_is_no_client_is_named_by_its_id(stage: Stage, tenant: Tenant) -> None:
    gateway = start(stage, tenant, **AT_ONCE)
    chat(bearer(stage, gateway, token()))
    assert record_of(gateway)["client"] == APPLICATION


def test_o1_tokens_are_counted_for_the_client_of_the_application(stage: Stage, tenant: Tenant) -> None:
    gateway = start(stage, tenant, **TEAM_B)
    chat(bearer(stage, gateway, token()))
    assert value(gateway, "tokens_total", client="team-b") > 0


def test_o3_the_span_names_the_client_of_the_application(stage: Stage, tenant: Tenant) -> None:
    with OtlpReceiver() as receiver:
        settings = {"OTEL_COLLECTOR_ENDPOINT": receiver.endpoint, "OTEL_SAMPLE_RATE": "1"}
        text = token()
        chat(bearer(stage, start(stage, tenant, **TEAM_B, **settings), text))
        spans = eventually(lambda: [span for span in receiver.spans if span.kind == SERVER], seconds=20)
    assert [span.attributes["azure_openai.client"] for span in spans] == ["team-b"]
    assert text.split(".")[1] not in repr(receiver.spans)


def test_s5_a_gateway_for_tokens_alone_becomes_ready(stage: Stage, tenant: Tenant) -> None:
    gateway = start(stage, tenant, **TOKENS_ONLY)
    assert stage.http(gateway, key=None).get("/health/ready").status_code == 200
