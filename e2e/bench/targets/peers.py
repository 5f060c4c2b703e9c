"""Other gateways, as their packages deliver them."""

from __future__ import annotations

import json
import shutil
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from e2e.bench.pools import SERVING, THROTTLED, Pool
from e2e.bench.processes import running_server
from e2e.bench.targets.base import Running, Site, Target
from e2e.bench.targets.packages import node_package, python_environment
from e2e.bench.workload import DEPLOYMENTS
from scripts.engines.ports import free_ports

KEY = "sk-key-of-the-benchmark"
_START_SECONDS = 90
_UPSTREAM_MODEL = "o3"


class Peer(Target):
    """Another gateway, with one client and one or two backends."""

    version: str
    package: str

    def __init__(self) -> None:
        self._installed: Path | None = None

    def missing(self) -> str | None:
        """Installs it; says why it could not be."""
        try:
            self._installed = self.install()
        except RuntimeError as error:
            return f"{self.package} {self.version}: {error}"
        return None

    @property
    def installed(self) -> Path:
        """Where it is, after `missing`."""
        assert self._installed is not None
        return self._installed

    @abstractmethod
    def install(self) -> Path:
        """Installs it where it is not. Raises `RuntimeError` when that fails."""

    def offers(self, pool: Pool) -> bool:
        """What each of them can be set up with."""
        return pool.is_plain and len(pool.backends) <= 2 and pool.backends != (SERVING, SERVING)


def upstream(site: Site, kind: str, number: int, deployment: str) -> str:
    """The base address of a deployment at a backend, for gateways that add `/chat/completions`."""
    return f"{site.backends.url(kind, number)}/openai/deployments/{deployment}"


class LiteLlm(Peer):
    """LiteLLM's proxy with its router and a master key."""

    name, title = "litellm", "LiteLLM 1.108"
    package, version = "litellm", "1.108.0"

    def install(self) -> Path:
        """From PyPI."""
        return python_environment(self.package, self.version, "[proxy]")

    @contextmanager
    def running(self, pool: Pool, site: Site) -> Iterator[Running]:
        """One worker."""
        (port,) = free_ports(1)
        site.directory.mkdir(parents=True, exist_ok=True)
        config = site.directory / "config.yaml"
        config.write_text(yaml.safe_dump(_litellm_config(pool, site)))
        # It would otherwise load its prices from the network.
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}
        program = self.installed.parent / "litellm"
        command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        with running_server(command, site.directory, port, env=env, seconds=_START_SECONDS) as pid:
            yield Running(
                f"http://127.0.0.1:{port}/v1/chat/completions", pid, {"authorization": f"Bearer {KEY}"}
            )


def _litellm_config(pool: Pool, site: Site) -> dict[str, Any]:
    models = [
        {
            "model_name": deployment,
            "litellm_params": {
                "model": f"openai/{_UPSTREAM_MODEL}",
                "api_base": upstream(site, kind, number, deployment),
                "api_key": f"key-of-{kind}",
                "order": 1 if kind == THROTTLED else 2,
            },
        }
        for deployment in DEPLOYMENTS
        for kind, number in pool.members
    ]
    return {
        "model_list": models,
        "router_settings": {
            "num_retries": len(pool.backends) - 1,
            "enable_pre_call_checks": True,
            "cooldown_time": 1,
        },
        "general_settings": {"master_key": KEY},
    }


class Portkey(Peer):
    """Portkey's open gateway: each request names its backends."""

    name, title = "portkey", "Portkey 1.15"
    package, version = "@portkey-ai/gateway", "1.15.2"

    def install(self) -> Path:
        """From npm."""
        # With the latest of the versions that it allows, it answers every stream with 500.
        return node_package(self.package, self.version, {"@hono/node-server": "1.13.8"})

    @contextmanager
    def running(self, pool: Pool, site: Site) -> Iterator[Running]:
        """One process of Node.js."""
        (port,) = free_ports(1)
        server = self.installed / "build" / "start-server.js"
        command = [str(shutil.which("node")), str(server), f"--port={port}", "--headless"]
        env = {"NODE_ENV": "production"}
        with running_server(command, site.directory, port, env=env, seconds=_START_SECONDS) as pid:
            headers = {"x-portkey-config": json.dumps(_portkey_config(pool, site))}
            yield Running(f"http://127.0.0.1:{port}/v1/chat/completions", pid, headers)


def _portkey_config(pool: Pool, site: Site) -> dict[str, Any]:
    targets = [
        {
            "provider": "openai",
            "api_key": f"key-of-{kind}",
            "custom_host": upstream(site, kind, number, "{deployment}"),
        }
        for kind, number in pool.members
    ]
    if len(targets) == 1:
        return targets[0]
    return {"strategy": {"mode": "fallback", "on_status_codes": [429]}, "targets": targets}


class TensorZero(Peer):
    """TensorZero's gateway, which its Python package can start as an HTTP server."""

    name, title = "tensorzero", "TensorZero 2026.6"
    package, version = "tensorzero", "2026.6.0"

    def install(self) -> Path:
        """From PyPI."""
        return python_environment(self.package, self.version)

    @contextmanager
    def running(self, pool: Pool, site: Site) -> Iterator[Running]:
        """The package's own server in a Python process that does nothing else."""
        # It chooses its port itself, and the small server beside it tells that port.
        (told,) = free_ports(1)
        site.directory.mkdir(parents=True, exist_ok=True)
        config = site.directory / "tensorzero.toml"
        config.write_text(_tensorzero_config(pool, site))
        address = site.directory / "address"
        launcher = Path(__file__).with_name("tensorzero_launcher.py")
        command = [str(self.installed), str(launcher), str(config), str(address), str(told)]
        with running_server(command, site.directory, told, seconds=_START_SECONDS) as pid:
            yield Running(
                f"{address.read_text()}/chat/completions", pid, model="tensorzero::model_name::{deployment}"
            )


def _tensorzero_config(pool: Pool, site: Site) -> str:
    lines = ["[gateway]", "observability.enabled = false"]
    for deployment in DEPLOYMENTS:
        names = [f"{kind}-{number}" for kind, number in pool.members]
        lines += [f"[models.{deployment}]", f"routing = {json.dumps(names)}"]
        for kind, number in pool.members:
            lines += [
                f"[models.{deployment}.providers.{kind}-{number}]",
                'type = "openai"',
                f'model_name = "{_UPSTREAM_MODEL}"',
                f'api_base = "{upstream(site, kind, number, deployment)}/"',
                'api_key_location = "none"',
            ]
    return "\n".join([*lines, ""])
