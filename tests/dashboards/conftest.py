"""A Prometheus that has read the metrics of a gateway while it served a load."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from e2e.simulator import Latency, Region, Simulator
from e2e.waiting import eventually
from scripts.dashboards.prometheus import Source
from scripts.engines import Gateway
from scripts.engines.ports import free_ports
from tests.behaviour.conftest import API_VERSION, CHAT, Stage
from tests.behaviour.support import USAGE
from tests.dashboards.test_alerts import filled_in

SECONDS = 45
BACKENDS = ("eastus", "westus", "swedencentral")
CLIENTS = {"team-a": "high", "batch": "low"}
DEPLOYMENTS = ("gpt-4o", "gpt-5-mini", "our-assistant")


@dataclass(frozen=True)
class Observed:
    """A Prometheus after a load of `requests` requests."""

    source: Source
    requests: int


def key_of(client: str) -> str:
    return f"key-of-the-client-called-{client}"


def start_gateway(stage: Stage) -> Gateway:
    settings: dict[str, object] = {"AI_PROXY_MAX_WAIT_MS": 800, "GATEWAY_CLIENT_REQUESTS_PER_MINUTE_1": 40}
    for index, _ in enumerate(BACKENDS):
        settings[f"AZURE_OPENAI_DEPLOYMENTS_{index}"] = ",".join(DEPLOYMENTS)
    for index, (name, lane) in enumerate(CLIENTS.items()):
        settings[f"GATEWAY_CLIENT_NAME_{index}"] = name
        settings[f"GATEWAY_CLIENT_KEY_{index}"] = key_of(name)
        settings[f"GATEWAY_CLIENT_LANE_{index}"] = lane
    settings |= {"GATEWAY_CLIENT_TOKENS_PER_DAY_0": 1_000_000}
    settings |= {"AZURE_OPENAI_PRIORITY_0": 10, "AZURE_OPENAI_PROVISIONED_USD_PER_HOUR_2": 12.5}
    return stage.gateway(BACKENDS, **settings)


# Requests with this text get an answer that reports cached tokens and the quota.
KNOWN = "a question that the model has seen before"


def answer_with_usage(sim: Simulator) -> None:
    """Lets the backends report cached tokens and quotas; the quota of the preferred one runs low."""
    for backend, left in zip(BACKENDS, (300, 700, 900), strict=True):
        for deployment in DEPLOYMENTS:
            headers = {
                "content-type": "application/json",
                "x-ratelimit-limit-tokens": "1000",
                "x-ratelimit-remaining-tokens": str(left),
            }
            body = {"id": "chatcmpl-1", "choices": [], "model": deployment, "usage": USAGE}
            sim.fail(backend, deployment=deployment, contains=KNOWN, status=200, body=body, headers=headers)


def trouble(sim: Simulator, second: int) -> None:
    """What goes wrong, by the second of the load."""
    if second == 4:
        for backend in BACKENDS:
            sim.fail(backend, count=2, status=403)
    if second == 8:
        sim.fail("eastus", count=4, status=429, retry_after=4)
    if second == 18:
        sim.fail("eastus", count=20, status=500)
    if second == 26:
        sim.fail("westus", count=3, reset=True)
    if second == 32:
        for backend in BACKENDS:
            sim.fail(backend, count=6, status=429, retry_after_ms=600)
    if second == 38:
        for backend, seconds in zip(BACKENDS, (3, 60, 3), strict=True):
            sim.fail(backend, count=3, status=429, retry_after=seconds)


def load(stage: Stage, sim: Simulator, gateway: Gateway) -> int:
    """Requests of all clients for all deployments, for `SECONDS`; returns how many."""
    clients = [stage.http(gateway, key_of(name)) for name in CLIENTS]
    answer_with_usage(sim)
    known = CHAT | {"messages": [{"role": "user", "content": KNOWN}]}
    started, second, count = time.monotonic(), -1, 0
    while (elapsed := time.monotonic() - started) < SECONDS:
        if int(elapsed) > second:
            second = int(elapsed)
            trouble(sim, second)
        client, deployment = clients[count % len(clients)], DEPLOYMENTS[count // 2 % len(DEPLOYMENTS)]
        target = f"/openai/deployments/{deployment}/chat/completions?api-version={API_VERSION}"
        client.post(target, json=known if count % 5 == 0 else CHAT | {"stream": count % 3 == 0})
        count += 1
    return count


def run_prometheus(executable: str, gateway: Gateway, directory: Path, stack: ExitStack) -> str:
    """A running Prometheus that reads the gateway's metrics and knows its alerts; returns its address."""
    target = urlsplit(gateway.metrics_url)
    (directory / "rules.yaml").write_text(filled_in())
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {
                "job_name": "azure-openai-gateway",
                "metrics_path": target.path,
                "static_configs": [{"targets": [target.netloc]}],
            }
        ],
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    [port] = free_ports(1)
    process = subprocess.Popen(
        [
            executable,
            f"--config.file={directory / 'prometheus.yaml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: answers(f"{url}/-/ready"), seconds=20)
    return url


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="session")
def observed(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    executable = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
    if executable is None:
        pytest.skip("no prometheus in PROMETHEUS or on PATH")
    regions = [Region(name, key=f"key-of-{name}", latency=Latency(40, 2, 0.5)) for name in BACKENDS]
    with Simulator(regions) as sim, ExitStack() as stack:
        stage = Stage(sim, pytestconfig.getoption("--engine"), stack)
        gateway = start_gateway(stage)
        url = run_prometheus(executable, gateway, tmp_path_factory.mktemp("prometheus"), stack)
        begin = time.time()
        # As a collector does, it reads the first values before the first request.
        time.sleep(12)
        requests = load(stage, sim, gateway)
        time.sleep(8)
        yield Observed(Source(url, begin, time.time()), requests)
