"""A stage on this machine: simulated backends in a process of their own, an engine, Redis where needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import yaml

from e2e.load.plan import CLIENTS
from e2e.local_settings import backend_key, backend_settings, client_settings
from e2e.metrics import parse
from e2e.redis_server import RedisServer, is_installed
from e2e.simulator.admin import HEALTH_PATH
from e2e.targets.config_api import TOKEN, config_api
from e2e.targets.simulators import BACKENDS, PTU, QUOTAS, Simulators
from e2e.targets.stage import (
    CONFIG_API,
    METRICS,
    RELOAD,
    REPLICAS,
    SIMULATORS,
    Breakage,
    Files,
    Needs,
    TargetError,
    missing_abilities,
)
from e2e.waiting import eventually
from renderer import Settings, load_settings
from renderer.model.gateway import EndToEnd
from renderer.model.gateway import Gateway as GatewaySettings
from renderer.names import variable
from scripts.engines import Gateway, choose_engine
from scripts.engines.base import REPOSITORY
from scripts.engines.files import LOOPBACK, render
from scripts.engines.launch import start_files
from scripts.engines.ports import free_ports
from scripts.python_path import with_our_modules

_START_SECONDS = 15.0
_CONTROL = "control"
_TOKENS = "apisix_azure_openai_tokens_total"
_SETTLE_SECONDS = 1.5
"""Workers hand their counts on once a second."""


def client_key(name: str) -> str:
    """The key of a client of the stage."""
    return f"key-of-{name}-of-the-stage"


COMMON_SIMULATOR_KEY = "key-of-all-simulators"
"""A second key that every simulated backend accepts, for clients that know one key for all."""


def stage_settings(endpoints: Mapping[str, str]) -> dict[str, str]:
    """The settings of the stage: three backends, three clients, test mode."""
    env = {variable(GatewaySettings, "e2e_test_mode"): "true"}
    for index, name in enumerate(BACKENDS):
        priority = "1" if name == PTU else "0"
        env |= backend_settings(index, name, endpoints[name], priority=priority)
    for index, name in enumerate(CLIENTS):
        env |= client_settings(index, name, client_key(name))
    return env


@contextmanager
def simulators() -> Iterator[Simulators]:
    """The simulated backends, in one process on three ports.

    Raises:
        TargetError: they cannot be started; they have printed why.
    """
    # One more, for the admin API alone: the port of a backend may refuse connections.
    names = (*BACKENDS, _CONTROL)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    deployments = [
        {
            "name": name,
            "tpm": quota.tpm,
            "rpm": quota.rpm,
            "token_window_s": quota.token_window_s,
            "request_window_s": quota.request_window_s,
        }
        for name, quota in QUOTAS.items()
    ]
    regions = [
        {
            "name": name,
            "port": port,
            "key": backend_key(name),
            "secondary_key": COMMON_SIMULATOR_KEY,
            "deployments": deployments,
        }
        for name, port in ports.items()
    ]
    with tempfile.TemporaryDirectory(prefix="simulators-") as directory:
        file = Path(directory) / "simulators.yaml"
        file.write_text(yaml.safe_dump({"regions": regions}))
        command = [
            sys.executable,
            "-c",
            "from e2e.simulator.cli import main; main()",
            "serve",
            "--config",
            str(file),
        ]
        process = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.DEVNULL, env=with_our_modules(os.environ)
        )
        urls = {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items()}
        control = urls.pop(_CONTROL)
        try:
            eventually(lambda: process.poll() is not None or _is_healthy(control), _START_SECONDS)
            if process.poll() is not None:
                raise TargetError("the simulated backends ended at once; above stands why")
            yield Simulators(urls, dict.fromkeys(urls, COMMON_SIMULATOR_KEY), dict.fromkeys(urls, control))
        finally:
            process.terminate()
            process.wait()


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + HEALTH_PATH, timeout=2) as answer:  # noqa: S310 - our own process
            return bool(answer.status == 200)
    except OSError:
        return False


class LocalStage:
    """A running gateway of the local target."""

    def __init__(
        self,
        env: Mapping[str, str],
        gateways: list[Gateway],
        backends: Simulators,
        render_again: Callable[..., Files],
    ) -> None:
        self.env = dict(env)
        self.gateways = gateways
        self.urls = [gateway.url for gateway in gateways]
        self.keys = {name: client_key(name) for name in CLIENTS}
        self.simulators = backends
        self._render = render_again

    @property
    def settings(self) -> Settings:
        """The settings of the scenario."""
        return load_settings(self.env)

    def change_settings(self, changes: Mapping[str, str]) -> None:
        """Renders again and lets every replica load the result."""
        self.env |= changes
        files = self._render(self.env)
        for gateway in self.gateways:
            gateway.replace_configuration(files["apisix.yaml"])

    def tokens_by_client(self) -> dict[str, float]:
        """The sum over replicas, models and kinds that are not parts of others."""
        time.sleep(_SETTLE_SECONDS)
        counted: dict[str, float] = {}
        for gateway in self.gateways:
            text = httpx.get(gateway.metrics_url, trust_env=False).text
            for sample in parse(text):
                if sample.name == _TOKENS and sample.labels["kind"] in (
                    "prompt",
                    "completion",
                ):
                    client = sample.labels["client"]
                    counted[client] = counted.get(client, 0.0) + sample.value
        return counted


class LocalTarget:
    """Starts a gateway for each scenario; the simulated backends run on through all of them."""

    name = "local"

    def __init__(self, engine: str = "embedded") -> None:
        self._engine, _ = choose_engine(engine)
        self._simulators: Simulators | None = None
        self._held = ExitStack()

    @property
    def description(self) -> str:
        """The target for people."""
        return f"local, engine {self._engine.name}, {os.cpu_count()} cores"

    @property
    def abilities(self) -> frozenset[str]:
        """What scenarios may ask of it."""
        found = {RELOAD, METRICS, SIMULATORS, CONFIG_API}
        return frozenset(found | {REPLICAS} if is_installed() else found)

    def unfit(self, scenario: Needs) -> str:
        """The abilities that are missing."""
        return missing_abilities(scenario, self.abilities)

    def close(self) -> None:
        """Stops the simulated backends."""
        self._held.close()
        self._simulators = None

    @contextmanager
    def stage(self, scenario: Needs, breakage: Breakage | None = None) -> Iterator[LocalStage]:
        """A gateway for one scenario, until the end of the block.

        Raises:
            EngineError: the gateway cannot be started; says why.
            TargetError: the simulated backends cannot be started.
            renderer.ConfigurationError: the settings are wrong.
        """
        breakage = breakage or Breakage()
        if self._simulators is None:
            self._simulators = self._held.enter_context(simulators())
        backends = self._simulators
        backends.reset()
        with ExitStack() as held:
            env = {**stage_settings(backends.urls), **scenario.settings}
            if scenario.replicas > 1:
                redis = held.enter_context(RedisServer())
                env |= {name: str(value) for name, value in redis.settings.items() if value}
            if CONFIG_API in scenario.needs:
                (port,) = free_ports(1)
                env |= {
                    variable(EndToEnd, "config_api_token"): TOKEN,
                    variable(EndToEnd, "config_api_port"): str(port),
                }
            root = held.enter_context(_bundle(breakage)) or self._engine.bundle_root

            def rendered(wanted: Mapping[str, str]) -> Files:
                files = render({**wanted, **breakage.settings}, root)
                return breakage.files(files) if breakage.files else files

            gateways = [
                held.enter_context(start_files(rendered(env), engine=self._engine, env=env))
                for _ in range(scenario.replicas)
            ]
            if CONFIG_API in scenario.needs:
                own = {**os.environ, **env, **breakage.settings}
                directory = gateways[0].apisix_yaml.parent
                held.enter_context(config_api(own, directory, bundle_root=root, quiet=True))
            yield LocalStage(env, gateways, backends, rendered)


@contextmanager
def _bundle(breakage: Breakage) -> Iterator[str | None]:
    """A directory with a changed copy of the bundle; `None` when nothing is changed."""
    if not breakage.bundle:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="broken-bundle-") as directory:
        shutil.copytree(REPOSITORY / "apisix", Path(directory) / "apisix")
        for name, old, new in breakage.bundle:
            file = Path(directory) / "apisix" / "plugins" / name
            text = file.read_text()
            if old not in text:
                raise TargetError(f"{name} does not contain {old!r} any more: write the breakage anew")
            file.write_text(text.replace(old, new))
        yield directory
