"""Fixtures: the collector on rendered files, a gateway with metrics, and receivers of telemetry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from e2e.metrics import parse
from e2e.simulator import Region, Simulator
from renderer import render_files
from scripts.engines import Gateway, start_gateway
from tests.behaviour.support import value
from tests.collector.ingestion import Ingestion
from tests.collector.remote_write import RemoteWriteReceiver
from tests.collector.running import HOW_TO_GET_IT, Collector, find_collector, missing_components
from tests.renderer.support import load
from tests.support.certificates import Certificate, make_certificate

CLIENT_KEY = "client-key-of-team-a-0001"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


class Stage:
    """Starts collectors, and gateways in front of one simulated region; they stop when the test ends."""

    def __init__(
        self, executable: str, engine: str, sim: Simulator, directory: Path, stack: ExitStack
    ) -> None:
        self.executable = executable
        self._engine = engine
        self._sim = sim
        self._directory = directory
        self._stack = stack

    def collector(self, text: str, **options: Any) -> Collector:
        """A running collector on a rendered file. Skips when the executable lacks a component of the file."""
        require_components(self.executable, text)
        return self._stack.enter_context(Collector(self.executable, text, self._directory, **options))

    def gateway(self, **settings: str) -> Gateway:
        """A running gateway."""
        env = {
            "GATEWAY_CLIENT_NAME_0": "team-a",
            "GATEWAY_CLIENT_KEY_0": CLIENT_KEY,
            "AZURE_OPENAI_NAME_0": "eastus",
            "AZURE_OPENAI_ENDPOINT_0": self._sim.endpoint("eastus"),
            "AZURE_OPENAI_KEY_0": "key-of-eastus",
            **settings,
        }
        return self._stack.enter_context(start_gateway(env, engine=self._engine))


def rendered(**settings: str) -> str:
    """The text of otel-collector.yaml for some settings."""
    return render_files(load(**settings), "/bundle")["otel-collector.yaml"]


def without_sign_in(text: str) -> str:
    """A rendered file that writes to its workspace without a token, for collectors without `azureauth`."""
    document = yaml.safe_load(text)
    del document["extensions"]["azureauth"]
    document["service"]["extensions"].remove("azureauth")
    del document["exporters"]["prometheus_remote_write"]["http"]["auth"]
    return yaml.safe_dump(document)


def require_components(executable: str, text: str) -> None:
    """Skips the test when a collector was built without a component of the file."""
    missing = missing_components(executable, text)
    if missing:
        pytest.skip(f"this collector has no {', '.join(missing)}: {HOW_TO_GET_IT}")


def chat(gateway: Gateway) -> None:
    """One successful request of team-a."""
    headers = {"api-key": CLIENT_KEY}
    httpx.post(f"{gateway.url}/openai/v1/chat/completions", json=CHAT, headers=headers).raise_for_status()


def metrics_target(gateway: Gateway) -> str:
    """Host and port of a gateway's metrics."""
    return urlsplit(gateway.metrics_url).netloc


def exported_names(gateway: Gateway) -> set[str]:
    """The names of all series that a gateway exports now."""
    return {sample.name for sample in parse(httpx.get(gateway.metrics_url).text)}


@pytest.fixture(scope="session")
def executable() -> str:
    found = find_collector()
    if found is None:
        pytest.skip(f"no OpenTelemetry Collector in OTELCOL or on PATH: {HOW_TO_GET_IT}")
    return found


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    regions = [Region(name, key=f"key-of-{name}") for name in ("eastus", "westus")]
    with Simulator(regions) as sim:
        yield sim


@pytest.fixture
def stage(
    executable: str, simulator: Simulator, pytestconfig: pytest.Config, tmp_path: Path
) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(executable, pytestconfig.getoption("--engine"), simulator, tmp_path, stack)


@pytest.fixture(scope="module")
def used_gateway(
    executable: str,
    simulator: Simulator,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """A gateway that has served one request and exports the metrics of it."""
    directory = tmp_path_factory.mktemp("gateway")
    with ExitStack() as stack:
        stage = Stage(executable, pytestconfig.getoption("--engine"), simulator, directory, stack)
        gateway = stage.gateway()
        chat(gateway)
        value(gateway, "requests_total")
        yield gateway


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def workspace(certificate: Certificate) -> Iterator[RemoteWriteReceiver]:
    """A stand-in for the Azure Monitor workspace."""
    with RemoteWriteReceiver(certificate) as receiver:
        yield receiver


@pytest.fixture
def ingestion() -> Iterator[Ingestion]:
    """A stand-in for Application Insights."""
    with Ingestion() as receiver:
        yield receiver
