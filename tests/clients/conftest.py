"""Real client libraries in front of a gateway, as in production: over TLS, with base URL and key alone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from e2e.simulator import Simulator
from tests.behaviour.conftest import CLIENT_KEY, REGIONS, Stage, shared_gateways, sim, simulator, stage
from tests.clients.ingress import Ingress
from tests.support.certificates import Certificate, make_certificate
from tests.support.node_packages import node_with_packages

__all__ = ["shared_gateways", "sim", "simulator", "stage"]

OpenGateway = Callable[..., str]
# Before any test changes it.
OUTER = dict(os.environ)
RunScript = Callable[..., Any]

JAVASCRIPT = Path(__file__).parent / "js"
RUN_SECONDS = 60


@cache
def _certificate(directory: Path) -> Certificate:
    return make_certificate(directory)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One for the whole process, which trusts one authority: the tests of tools have this fixture, too."""
    directory = tmp_path_factory.getbasetemp() / "certificate"
    directory.mkdir(exist_ok=True)
    return _certificate(directory)


@pytest.fixture(scope="session", autouse=True)
def outer_environment(certificate: Certificate) -> Iterator[dict[str, str]]:
    """Makes this process and those that it starts trust the ingress; gives the environment without that.

    The latter is for installing packages: their registry has a certificate of another kind.
    """
    inner = {**certificate.trusting_environment, "NODE_EXTRA_CA_CERTS": str(certificate.pem)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in inner.items():
            patch.setenv(name, value)
        for name in [name for name in OUTER if name.startswith(("OPENAI_", "AZURE_OPENAI_"))]:
            patch.delenv(name, raising=False)
        yield OUTER


@pytest.fixture(scope="session")
def shared_gateway(
    simulator: Simulator, pytestconfig: pytest.Config, certificate: Certificate
) -> Iterator[str]:
    """Base URL of one gateway for all tests in which nothing fails."""
    with ExitStack() as stack:
        gateway = Stage(simulator, pytestconfig.getoption("--engine"), stack).gateway(REGIONS[:2])
        yield stack.enter_context(Ingress(gateway.url, certificate.chain_and_key)).url


@pytest.fixture
def gateway(shared_gateway: str, sim: Simulator) -> str:
    return shared_gateway


@pytest.fixture
def own_gateway(stage: Stage, certificate: Certificate) -> Iterator[OpenGateway]:
    """Starts gateways for tests in which backends fail; returns their base URLs."""
    with ExitStack() as stack:

        def open_gateway(**settings: Any) -> str:
            gateway = stage.gateway(**settings)
            return stack.enter_context(Ingress(gateway.url, certificate.chain_and_key)).url

        yield open_gateway


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to upload for transcription."""
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    path.write_bytes(b"RIFF" + bytes(range(256)) * 400)
    return path


@pytest.fixture(scope="session")
def node(outer_environment: dict[str, str]) -> str:
    return node_with_packages(JAVASCRIPT, outer_environment)


@pytest.fixture(scope="session")
def run_script(node: str, recording: Path) -> RunScript:
    """Runs one script against a gateway; returns its results by client and case."""

    def run(name: str, url: str, key: str = CLIENT_KEY, **environment: str) -> Any:
        done = subprocess.run(
            [node, f"{name}.mjs"],
            cwd=JAVASCRIPT,
            env={**os.environ, "GATEWAY_URL": url, "RECORDING": str(recording), **environment},
            input=key,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
