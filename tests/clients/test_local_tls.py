"""Clients that refuse plain HTTP, in front of `local-gateway --tls`, each with what it is told to set."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest
import requests

from e2e.simulator import Simulator
from tests.behaviour.conftest import CLIENT_KEY, REGIONS, Stage
from tests.clients.conftest import RunScript
from tests.clients.test_python import API_VERSION, talk_async
from tests.support.local_gateway import local_gateway, url_in
from tests.support.uv_scripts import script_command

# One gateway, and one process that installs the kernel.
pytestmark = pytest.mark.xdist_group("local-tls")

SEMANTIC_KERNEL = Path(__file__).parent / "agents" / "semantic_kernel_session.py"
RUN_SECONDS = 300


class Local(NamedTuple):
    """A running `local-gateway --tls`."""

    url: str
    trust: dict[str, str]
    """The variables that it has told its clients to set."""


@pytest.fixture(scope="module")
def local(
    simulator: Simulator, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Local]:
    engine = pytestconfig.getoption("--engine")
    with ExitStack() as stack:
        environment = Stage(simulator, engine, stack).environment(REGIONS[:2])
        settings = "".join(f"{name}={value}\n" for name, value in environment.items())
        home = tmp_path_factory.mktemp("home")
        _, announced = stack.enter_context(local_gateway(home, settings, "--tls", "--engine", engine))
        trust = dict(re.findall(r"\b([A-Z_]+)=(\S+)", announced))
        yield Local(url_in(announced), trust)


@pytest.fixture(scope="module")
def semantic_kernel(local: Local, simulator: Simulator, outer_environment: dict[str, str]) -> Any:
    """What Semantic Kernel got."""
    simulator.reset()
    done = subprocess.run(
        script_command(SEMANTIC_KERNEL, outer_environment),
        env={**os.environ, "AZURE_OPENAI_ENDPOINT": local.url, "SSL_CERT_FILE": local.trust["SSL_CERT_FILE"]},
        input=CLIENT_KEY,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_semantic_kernel_gets_an_answer(semantic_kernel: Any) -> None:
    assert "What is the weather?" in semantic_kernel["answer"]


def test_semantic_kernel_gets_an_answer_in_pieces(semantic_kernel: Any) -> None:
    assert len([piece for piece in semantic_kernel["pieces"] if piece]) > 3


def test_semantic_kernel_calls_a_function_and_then_answers(semantic_kernel: Any) -> None:
    assert (len(semantic_kernel["calls"]), len(semantic_kernel["after_call"]) > 0) == (1, True)


def test_realtime_of_async_azure_openai(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", local.trust["SSL_CERT_FILE"])

    async def visit() -> str:
        api = openai.AsyncAzureOpenAI(azure_endpoint=local.url, api_key=CLIENT_KEY, api_version=API_VERSION)
        async with api, api.realtime.connect(model="gpt-realtime") as session:
            return await talk_async(session)

    assert "hello there" in asyncio.run(visit())


@pytest.fixture(scope="module")
def javascript(local: Local, simulator: Simulator, run_script: RunScript) -> Any:
    """What the JavaScript clients heard, by client and class."""
    simulator.reset()
    return run_script("realtime", local.url, NODE_EXTRA_CA_CERTS=local.trust["NODE_EXTRA_CA_CERTS"])


@pytest.mark.parametrize(
    ("client", "case"), [("OpenAI", "node"), ("OpenAI", "browser"), ("AzureOpenAI", "node")]
)
def test_realtime_of_the_javascript_client(javascript: Any, client: str, case: str) -> None:
    assert "hello there" in javascript[client][case]


def test_requests_trusts_the_bundle(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", local.trust["REQUESTS_CA_BUNDLE"])
    answer = requests.get(f"{local.url}/openai/v1/models", headers={"api-key": CLIENT_KEY}, timeout=30)
    assert answer.status_code == 200
