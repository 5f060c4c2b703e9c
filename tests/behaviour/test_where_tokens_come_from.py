"""H3 of the gateway's behaviour: which endpoint gives tokens of managed identities, and by which protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.simulator import Simulator
from scripts.engines import Gateway
from scripts.engines.ports import free_ports
from tests.behaviour.conftest import SYSTEM_CERTIFICATES, Stage
from tests.behaviour.support import attempts, chat, logged, record_of
from tests.behaviour.test_managed_identity import EASTUS_FIRST, MANAGED, credentials
from tests.support.certificates import Certificate, make_certificate
from tests.support.identity import CLIENT_ID, SECRET, TENANT, IdentityEndpoint, identity_endpoint

SCOPE = "https://cognitiveservices.azure.com/.default"
# Looks like a token of Kubernetes, so that a log can be searched for it.
ASSERTION = "eyJhbGciOiJSUzI1NiJ9.c2VydmljZS1hY2NvdW50.c2lnbmF0dXJl"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def entra(certificate: Certificate) -> Iterator[IdentityEndpoint]:
    """The place where Entra ID exchanges tokens."""
    with identity_endpoint(certificate) as endpoint:
        yield endpoint


@pytest.fixture
def endpoint() -> Iterator[IdentityEndpoint]:
    """An endpoint without TLS, as of Container Apps or of a virtual machine."""
    with identity_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "azure-identity-token"
    path.write_text(ASSERTION)
    return path


def start(stage: Stage, environment: dict[str, str], **options: object) -> Gateway:
    return stage.gateway(**{**EASTUS_FIRST, **MANAGED, **environment, **options})


def start_workload(
    stage: Stage, environment: dict[str, str], certificate: Certificate, **options: object
) -> Gateway:
    """A gateway that trusts Entra ID's certificate."""
    edits = {SYSTEM_CERTIFICATES: f"ssl_trusted_certificate: {certificate.pem}"}
    return start(stage, environment, edits=edits, **options)


def test_h3_a_workload_identity_exchanges_the_token_of_its_service_account(
    stage: Stage, entra: IdentityEndpoint, token_file: Path, certificate: Certificate
) -> None:
    chat(stage.http(start_workload(stage, entra.workload_environment(token_file), certificate)))
    assert [(asked.path, asked.arguments) for asked in entra.requests] == [
        (
            f"/{TENANT}/oauth2/v2.0/token",
            {
                "grant_type": "client_credentials",
                "client_id": CLIENT_ID,
                "scope": SCOPE,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": ASSERTION,
            },
        )
    ]


def test_h3_the_backend_gets_the_token_of_the_workload_identity(
    stage: Stage, sim: Simulator, entra: IdentityEndpoint, token_file: Path, certificate: Certificate
) -> None:
    chat(stage.http(start_workload(stage, entra.workload_environment(token_file), certificate)))
    assert credentials(sim) == [("authorization", "Bearer token-of-eastus")]


def test_h3_a_workload_identity_s_token_is_cached(
    stage: Stage, entra: IdentityEndpoint, token_file: Path, certificate: Certificate
) -> None:
    client = stage.http(start_workload(stage, entra.workload_environment(token_file), certificate))
    for _ in range(3):
        chat(client)
    assert len(entra.requests) == 1


def test_h3_a_backend_may_name_another_workload_identity(
    stage: Stage, entra: IdentityEndpoint, token_file: Path, certificate: Certificate
) -> None:
    other = {"AZURE_OPENAI_CLIENT_ID_0": "22222222-3333-4444-5555-666666666666"}
    environment = entra.workload_environment(token_file) | other
    chat(stage.http(start_workload(stage, environment, certificate)))
    assert entra.requests[0].arguments["client_id"] == other["AZURE_OPENAI_CLIENT_ID_0"]


def test_h3_the_service_account_s_token_is_read_anew_each_time(
    stage: Stage, sim: Simulator, entra: IdentityEndpoint, token_file: Path, certificate: Certificate
) -> None:
    second = {
        "AZURE_OPENAI_AUTH_1": "managed-identity",
        "AZURE_OPENAI_KEY_1": "",
        "AZURE_OPENAI_CLIENT_ID_1": "22222222-3333-4444-5555-666666666666",
    }
    environment = entra.workload_environment(token_file) | second
    client = stage.http(start_workload(stage, environment, certificate))
    chat(client)
    token_file.write_text("the-next-token\n")
    sim.fail("eastus", status=429, count=1)
    chat(client)
    assert [asked.arguments["client_assertion"] for asked in entra.requests] == [ASSERTION, "the-next-token"]


def test_a3_an_authority_that_is_not_trusted_gets_no_assertion(
    stage: Stage, entra: IdentityEndpoint, token_file: Path
) -> None:
    client = stage.http(start(stage, entra.workload_environment(token_file)))
    assert (attempts(chat(client)), entra.requests) == (["eastus:identity", "westus:200"], [])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"AZURE_TENANT_ID": ""}, "AZURE_TENANT_ID is not set"),
        ({"AZURE_TENANT_ID": "../other"}, "AZURE_TENANT_ID is not the id of a tenant"),
        ({"AZURE_CLIENT_ID": ""}, "AZURE_CLIENT_ID is not set"),
        (
            {"AZURE_FEDERATED_TOKEN_FILE": "/nowhere"},
            "AZURE_FEDERATED_TOKEN_FILE cannot be read: /nowhere: No such",
        ),
        (
            {"AZURE_FEDERATED_TOKEN_FILE": "/dev/null"},
            "AZURE_FEDERATED_TOKEN_FILE names a file that holds no token",
        ),
        ({"AZURE_AUTHORITY_HOST": "http://localhost:1"}, "AZURE_AUTHORITY_HOST is not an https URL"),
    ],
)
def test_h3_what_a_workload_identity_lacks_is_named(
    stage: Stage, entra: IdentityEndpoint, token_file: Path, changes: dict[str, str], text: str
) -> None:
    gateway = start(stage, entra.workload_environment(token_file) | changes)
    chat(stage.http(gateway))
    assert "no managed-identity token for backend 'eastus'" in logged(gateway, text)


def test_h3_what_entra_says_of_a_refusal_is_logged_in_one_line(
    stage: Stage, entra: IdentityEndpoint, token_file: Path, certificate: Certificate
) -> None:
    entra.status = 401
    entra.refusal = {
        "error": "invalid_client",
        "error_description": "AADSTS70021: No matching federated identity record found.\r\nTrace ID: 1",
    }
    gateway = start_workload(stage, entra.workload_environment(token_file), certificate)
    chat(stage.http(gateway))
    line = logged(
        gateway, "localhost answered 401: AADSTS70021: No matching federated identity record found."
    )
    assert "Trace ID" not in line


def test_h3_no_token_of_a_service_account_reaches_a_log(
    stage: Stage, entra: IdentityEndpoint, token_file: Path, certificate: Certificate
) -> None:
    entra.status = 400
    entra.refusal = {"error_description": f"AADSTS50027: JWT token {ASSERTION} is malformed."}
    gateway = start_workload(stage, entra.workload_environment(token_file), certificate)
    chat(stage.http(gateway))
    logged(gateway, "AADSTS50027: JWT token (a token) is malformed.")
    record_of(gateway)
    assert ASSERTION not in gateway.error_log.read_text() + gateway.access_log.read_text()


def test_h3_a_virtual_machine_s_metadata_service_is_asked_as_it_wants(
    stage: Stage, endpoint: IdentityEndpoint
) -> None:
    chat(stage.http(start(stage, endpoint.metadata_environment)))
    asked = endpoint.requests[0]
    assert (asked.path, asked.arguments, asked.headers.get("metadata")) == (
        "/metadata/identity/oauth2/token",
        {"api-version": "2018-02-01", "resource": "https://cognitiveservices.azure.com"},
        "true",
    )


def test_h3_the_backend_gets_the_token_of_the_virtual_machine(
    stage: Stage, sim: Simulator, endpoint: IdentityEndpoint
) -> None:
    chat(stage.http(start(stage, endpoint.metadata_environment)))
    assert credentials(sim) == [("authorization", "Bearer token-of-eastus")]


def test_h3_what_the_metadata_service_says_of_a_refusal_is_logged(
    stage: Stage, endpoint: IdentityEndpoint
) -> None:
    endpoint.status = 400
    endpoint.refusal = {"error": "invalid_request", "error_description": "Identity not found"}
    gateway = start(stage, endpoint.metadata_environment)
    chat(stage.http(gateway))
    assert logged(gateway, f"the metadata service at {endpoint.url} answered 400: Identity not found")


def test_h3_where_there_is_no_identity_at_all_the_log_says_what_was_looked_for(stage: Stage) -> None:
    [port] = free_ports(1)
    gateway = start(stage, {"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://127.0.0.1:{port}"})
    chat(stage.http(gateway))
    line = logged(gateway, "no managed identity here")
    assert all(
        name in line for name in ("AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", f"127.0.0.1:{port}")
    )


def test_h3_an_identity_endpoint_without_its_header_is_named(
    stage: Stage, endpoint: IdentityEndpoint
) -> None:
    gateway = start(stage, endpoint.environment | {"IDENTITY_HEADER": ""})
    chat(stage.http(gateway))
    assert logged(gateway, "IDENTITY_ENDPOINT is set, but IDENTITY_HEADER is not")


@pytest.mark.parametrize("source", ["environment", "metadata_environment"])
def test_h3_azure_client_id_is_the_identity_of_backends_that_name_none(
    stage: Stage, endpoint: IdentityEndpoint, source: str
) -> None:
    chat(stage.http(start(stage, getattr(endpoint, source) | {"AZURE_CLIENT_ID": CLIENT_ID})))
    assert endpoint.requests[0].arguments["client_id"] == CLIENT_ID


def test_h3_a_workload_identity_comes_before_the_platform_s(
    stage: Stage,
    endpoint: IdentityEndpoint,
    entra: IdentityEndpoint,
    token_file: Path,
    certificate: Certificate,
) -> None:
    environment = endpoint.environment | entra.workload_environment(token_file)
    chat(stage.http(start_workload(stage, environment, certificate)))
    assert (len(entra.requests), len(endpoint.requests)) == (1, 0)


def test_h3_container_apps_comes_before_a_virtual_machine(stage: Stage, endpoint: IdentityEndpoint) -> None:
    chat(stage.http(start(stage, endpoint.environment | endpoint.metadata_environment)))
    assert [asked.secret for asked in endpoint.requests] == [SECRET]


def test_h3_the_log_says_once_where_tokens_come_from(stage: Stage, endpoint: IdentityEndpoint) -> None:
    endpoint.lifetime_seconds = 0
    gateway = start(stage, endpoint.metadata_environment, workers=2, APISIX_LOG_LEVEL="notice")
    for _ in range(6):
        chat(stage.http(gateway))
    logged(gateway, "tokens of managed identities come from the metadata service of the virtual machine")
    assert gateway.error_log.read_text().count("tokens of managed identities come from") == 1
