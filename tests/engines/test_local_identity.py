"""H3 on a laptop: the Azure CLI's login in the place of a managed identity, for `local-gateway`."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from renderer import load_settings
from scripts.local_identity import AzureCliIdentity, scopes_for_azure_cli
from tests.deploy.support import FakeAz
from tests.rehearsal.azure.cloud import Cloud
from tests.rehearsal.azure.proxy import Proxy
from tests.rehearsal.azure.state import TENANT
from tests.rehearsal.azure.tls import Authority
from tests.support.local_gateway import Command, local_gateway, url_in
from tests.support.loopback_server import LoopbackServer, Reply, Request

SCOPE = "https://cognitiveservices.azure.com/.default"
NOT_LOGGED_IN = "ERROR: Please run 'az login' to setup account."
SETTINGS = {
    "AZURE_OPENAI_ENDPOINT_0": "https://eastus.openai.azure.com",
    "AZURE_OPENAI_AUTH_0": "managed-identity",
    "GATEWAY_CLIENT_NAME_0": "team",
    "GATEWAY_CLIENT_KEY_0": "client-key-of-the-team",
}
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def token(text: str = "token-of-az", seconds: float = 3600) -> dict[str, Any]:
    """What `az account get-access-token` prints."""
    return {"accessToken": text, "expires_on": int(time.time() + seconds), "tokenType": "Bearer"}


@dataclass
class Endpoint:
    """An identity endpoint that asks a stand-in for `az`."""

    az: FakeAz
    said: list[tuple[str, str]] = field(default_factory=list)
    identity: AzureCliIdentity = field(init=False)

    def __post_init__(self) -> None:
        self.identity = AzureCliIdentity(lambda scope, why: self.said.append((scope, why)))

    def get(self, **headers: str) -> httpx.Response:
        env = self.identity.announced_in({})
        return httpx.get(
            env["IDENTITY_ENDPOINT"],
            params={"api-version": "2019-08-01", "resource": SCOPE.removesuffix("/.default")},
            headers={"X-IDENTITY-HEADER": env["IDENTITY_HEADER"], **headers},
        )


@pytest.fixture
def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAz:
    (tmp_path / "bin").mkdir()
    fake = FakeAz.install(tmp_path / "bin")
    fake.answer("account get-access-token", token())
    monkeypatch.setenv("PATH", fake.path)
    return fake


@pytest.fixture
def endpoint(az: FakeAz) -> Iterator[Endpoint]:
    made = Endpoint(az)
    with made.identity:
        yield made


def test_h3_it_answers_as_container_apps_does(endpoint: Endpoint) -> None:
    answer = endpoint.get().json()
    assert (answer["access_token"], int(answer["expires_on"]) > time.time()) == ("token-of-az", True)


def test_h3_az_is_asked_for_the_scope(endpoint: Endpoint) -> None:
    endpoint.get()
    [call] = endpoint.az.called("account", "get-access-token")
    assert call[call.index("--resource") + 1] == "https://cognitiveservices.azure.com"


def test_h3_az_is_not_asked_again_while_its_token_is_fresh(endpoint: Endpoint) -> None:
    for _ in range(3):
        endpoint.get()
    assert len(endpoint.az.calls) == 1


def test_h3_a_token_that_ends_soon_is_asked_for_again(endpoint: Endpoint) -> None:
    endpoint.az.answer("account get-access-token", token(seconds=200))
    endpoint.get()
    endpoint.az.answer("account get-access-token", token("the-next-token"))
    assert endpoint.get().json()["access_token"] == "the-next-token"


def test_a3_without_the_secret_there_is_no_token(endpoint: Endpoint) -> None:
    answer = endpoint.get(**{"X-IDENTITY-HEADER": "guessed"})
    assert (answer.status_code, endpoint.az.calls) == (403, [])


def test_h3_a_missing_login_is_told_to_the_gateway_and_once_to_the_person(endpoint: Endpoint) -> None:
    endpoint.az.answer("account get-access-token", error=NOT_LOGGED_IN)
    answers = [endpoint.get() for _ in range(2)]
    assert {(answer.status_code, "az login" in answer.json()["message"]) for answer in answers} == {
        (400, True)
    }
    assert endpoint.said == [(SCOPE, "Please run 'az login' to set up an account")]


def test_h3_a_login_that_comes_later_is_noticed(endpoint: Endpoint) -> None:
    endpoint.az.answer("account get-access-token", error=NOT_LOGGED_IN)
    endpoint.get()
    endpoint.az.answer("account get-access-token", token())
    assert endpoint.get().status_code == 200


def test_h3_what_az_says_of_another_failure_is_passed_on(endpoint: Endpoint) -> None:
    endpoint.az.answer(
        "account get-access-token", error="ERROR: AADSTS700082: The refresh token has expired."
    )
    assert "AADSTS700082: The refresh token has expired." in endpoint.get().json()["message"]


def test_h3_without_az_it_says_where_to_get_it(
    tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    endpoint.get()
    assert "https://aka.ms/azure-cli" in endpoint.said[0][1]


@pytest.mark.parametrize(
    ("env", "wanted", "scopes"),
    [
        ({}, None, [SCOPE]),
        ({"IDENTITY_ENDPOINT": "http://here"}, None, []),
        ({"AZURE_FEDERATED_TOKEN_FILE": "/file"}, None, []),
        ({"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://here"}, None, []),
        ({"IDENTITY_ENDPOINT": "http://here"}, True, [SCOPE]),
        ({}, False, []),
    ],
)
def test_h3_az_takes_the_place_of_an_identity_that_the_environment_does_not_name(
    env: dict[str, str], wanted: bool | None, scopes: list[str]
) -> None:
    assert scopes_for_azure_cli(load_settings(SETTINGS), env, wanted) == scopes


def test_h3_backends_with_keys_need_no_az() -> None:
    keys = {"AZURE_OPENAI_AUTH_0": "key", "AZURE_OPENAI_KEY_0": "a-key"}
    assert scopes_for_azure_cli(load_settings(SETTINGS | keys), {}, True) == []


def test_h3_no_other_source_of_tokens_is_left_to_the_gateway(endpoint: Endpoint) -> None:
    env = endpoint.identity.announced_in({"AZURE_FEDERATED_TOKEN_FILE": "/file", "OTHER": "kept"})
    assert sorted(env) == ["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "OTHER"]


def text_of(settings: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings.items())


@contextmanager
def backend() -> Iterator[tuple[str, list[str | None]]]:
    """A backend's URL, and the tokens that come there."""
    tokens: list[str | None] = []

    def answer(request: Request) -> Reply:
        tokens.append(request.token)
        return 200, {"object": "chat.completion", "choices": []}, {}

    with LoopbackServer(answer) as server:
        yield server.url, tokens


def ask(url: str) -> httpx.Response:
    headers = {"api-key": "client-key-of-the-team"}
    return httpx.post(f"{url}/openai/v1/chat/completions", json=CHAT, headers=headers, timeout=30)


def test_h3_the_backend_gets_the_token_of_az(tmp_path: Path, az: FakeAz, engine: str) -> None:
    with backend() as (url, tokens):
        settings = text_of(SETTINGS | {"AZURE_OPENAI_ENDPOINT_0": url})
        with local_gateway(tmp_path, settings, "--engine", engine) as (_, announced):
            ask(url_in(announced))
    assert tokens == ["token-of-az"]


def test_h3_the_token_of_az_is_neither_shown_nor_logged(tmp_path: Path, az: FakeAz) -> None:
    with backend() as (url, _):
        settings = text_of(SETTINGS | {"AZURE_OPENAI_ENDPOINT_0": url})
        command = Command(tmp_path, settings, "--workers", "1", "--engine", "embedded")
        announced = command.announced()
        ask(url_in(announced))
        logs = [Path(line.split()[-1]) for line in announced.splitlines() if line.endswith(".log")]
        written = "".join(log.read_text() for log in logs)
        _, out, err = command.end(15)
    assert "token-of-az" not in announced + written + out + err


def real_az() -> str:
    """The directory of the real Azure CLI."""
    az = os.environ.get("AZURE_REHEARSAL_AZ") or shutil.which("az")
    if not (az and shutil.which(az)):
        pytest.skip("no Azure CLI (on PATH, or its path in AZURE_REHEARSAL_AZ)")
    return str(Path(az).parent)


def test_h3_the_real_az_without_a_login_is_told_at_the_start(tmp_path: Path) -> None:
    environment = {"PATH": f"{real_az()}:{os.environ['PATH']}", "AZURE_CORE_COLLECT_TELEMETRY": "no"}
    command = Command(tmp_path, text_of(SETTINGS), "--workers", "1", "--engine", "embedded", **environment)
    announced = command.announced()
    _, _, err = command.end(15)
    assert ("the login of the Azure CLI" in announced, "Please run 'az login'" in err) == (True, True)


def test_h3_the_real_az_gives_its_login_s_token_to_the_backend(tmp_path: Path) -> None:
    cloud, authority = Cloud(), Authority(tmp_path)
    with Proxy(cloud.answer, authority) as proxy, backend() as (url, tokens):
        environment = {
            "PATH": f"{real_az()}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
            "HTTPS_PROXY": proxy.url,
            "REQUESTS_CA_BUNDLE": str(authority.bundle),
        }
        login = ["az", "login", "--use-device-code", "--tenant", TENANT, "--output", "none"]
        subprocess.run(login, env=environment, check=True, capture_output=True, timeout=120)
        settings = text_of(SETTINGS | {"AZURE_OPENAI_ENDPOINT_0": url})
        del environment["HOME"]
        with local_gateway(tmp_path, settings, "--engine", "embedded", **environment) as (_, announced):
            ask(url_in(announced))
    [sent] = tokens
    assert sent is not None
    claims = json.loads(base64.urlsafe_b64decode(sent.split(".")[1] + "=="))
    assert claims["aud"] == "https://cognitiveservices.azure.com"
