"""The stage of the behaviour suite: simulated regions, a gateway in front of them, and clients.

A test starts a gateway of its own, so that no cool-down, breaker or counter survives into another test. Those
that leave nothing behind may share one.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import openai
import pytest

from e2e.simulator import Region, Simulator
from scripts.engines import Gateway, choose_engine, start_files
from scripts.engines.files import render
from tests.support.measuring import PATIENCE
from tests.support.otlp import OtlpReceiver

REGIONS = ("eastus", "westus", "swedencentral")
CLIENT_KEY = "client-key-of-team-a-0001"
API_VERSION = "2024-10-21"
# Each client would read the system's certificates again, which takes 60 ms.
TLS = ssl.create_default_context()
SYSTEM_CERTIFICATES = "ssl_trusted_certificate: system"
# One certificate, which vouches for nothing: the 140 of the system take nginx 0.1 s of each start.
ONE_CERTIFICATE = f"ssl_trusted_certificate: {Path(__file__).with_name('authority.pem')}"
# What no setting can change, and the tests need: metrics are half a second old at most, not five.
EDITS = {SYSTEM_CERTIFICATES: ONE_CERTIFICATE, "refresh_interval: 5": "refresh_interval: 0.5"}
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


@lru_cache
def rendered(env: tuple[tuple[str, str], ...], bundle_root: str) -> dict[str, str]:
    """The files for some settings; most tests share theirs with others."""
    return render(dict(env), bundle_root)


class SharedGateways:
    """Gateways by their settings, which run until the last test has ended."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._gateways: dict[tuple[tuple[str, str], ...], Gateway] = {}

    def of(self, env: Mapping[str, str], start: Callable[[], Gateway]) -> Gateway:
        """The gateway with these settings; the first test that asks starts it."""
        key = tuple(env.items())
        if key not in self._gateways:
            self._gateways[key] = self._stack.enter_context(start())
        return self._gateways[key]


class Stage:
    """Starts gateways in front of the simulated regions and makes clients for them."""

    def __init__(
        self, sim: Simulator, engine: str, stack: ExitStack, shared: SharedGateways | None = None
    ) -> None:
        self.sim = sim
        self.engine = engine
        self._stack = stack
        self._shared = shared or SharedGateways(stack)

    def environment(self, backends: Sequence[str] = REGIONS[:2], **settings: object) -> dict[str, str]:
        """The settings of a gateway with some regions as backends and one client."""
        env = {
            "GATEWAY_CLIENT_NAME_0": "team-a",
            "GATEWAY_CLIENT_KEY_0": CLIENT_KEY,
        }
        for index, region in enumerate(backends):
            env[f"AZURE_OPENAI_NAME_{index}"] = region
            env[f"AZURE_OPENAI_ENDPOINT_{index}"] = self.sim.endpoint(region)
            env[f"AZURE_OPENAI_KEY_{index}"] = f"key-of-{region}"
        env.update({name: str(value) for name, value in settings.items()})
        return {name: value for name, value in env.items() if value != ""}

    def gateway(
        self,
        backends: Sequence[str] = REGIONS[:2],
        *,
        workers: int = 1,
        edits: Mapping[str, str] | None = None,
        **settings: object,
    ) -> Gateway:
        """A running gateway; it stops with the test. A setting of "" leaves that setting out.

        `edits` replaces texts of the rendered files that no setting can change, for example addresses.
        Without an edit of `SYSTEM_CERTIFICATES`, no server with TLS is trusted.
        """
        env = self.environment(backends, **settings)
        return self._stack.enter_context(self._start(env, workers=workers, edits=edits or {}))

    def shared_gateway(self, backends: Sequence[str] = REGIONS[:1], **settings: object) -> Gateway:
        """A gateway that tests with the same settings share.

        For tests that leave nothing behind and look for nothing that others may have left: no backend fails,
        no limit is used up, nothing goes on in the background (the gateway would ask for it during another
        test), no line of a log and no metric counts.
        """
        env = self.environment(backends, **settings)
        return self._shared.of(env, lambda: self._start(env))

    def _start(
        self, env: dict[str, str], *, workers: int = 1, edits: Mapping[str, str] = MappingProxyType({})
    ) -> Gateway:
        engine, _ = choose_engine(self.engine)
        files = rendered(tuple(env.items()), engine.bundle_root)
        for text, replacement in {**EDITS, **edits}.items():
            assert any(text in content for content in files.values()), text
            files = {name: content.replace(text, replacement) for name, content in files.items()}
        return start_files(files, engine=engine, env=env, workers=workers)

    def http(self, gateway: Gateway, key: str | None = CLIENT_KEY) -> httpx.Client:
        """A plain HTTP client with the key as `api-key`."""
        headers = {"api-key": key} if key else {}
        return self._stack.enter_context(
            httpx.Client(base_url=gateway.url, headers=headers, timeout=30 * PATIENCE, verify=TLS)
        )

    def openai(self, gateway: Gateway, **options: Any) -> openai.OpenAI:
        """The official client on the v1 surface, without retries of its own."""
        http = openai.DefaultHttpxClient(verify=TLS)
        options = {"api_key": CLIENT_KEY, "max_retries": 0, "http_client": http} | options
        return self._stack.enter_context(openai.OpenAI(base_url=f"{gateway.url}/openai/v1/", **options))

    def azure(self, gateway: Gateway, **options: Any) -> openai.AzureOpenAI:
        """The official client on the deployments surface, without retries of its own."""
        http = openai.DefaultHttpxClient(verify=TLS)
        options = {
            "api_key": CLIENT_KEY,
            "api_version": API_VERSION,
            "max_retries": 0,
            "http_client": http,
        } | options
        return self._stack.enter_context(openai.AzureOpenAI(azure_endpoint=gateway.url, **options))


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    regions = [Region(name, key=f"key-of-{name}", token=f"token-of-{name}") for name in REGIONS]
    with Simulator(regions) as sim:
        yield sim


@pytest.fixture(scope="session")
def shared_gateways(simulator: Simulator) -> Iterator[SharedGateways]:
    """After the simulator, so they end before it."""
    with ExitStack() as stack:
        yield SharedGateways(stack)


@pytest.fixture
def sim(simulator: Simulator) -> Simulator:
    simulator.reset()
    return simulator


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A stand-in for the collector."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def stage(sim: Simulator, pytestconfig: pytest.Config, shared_gateways: SharedGateways) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(sim, pytestconfig.getoption("--engine"), stack, shared_gateways)
