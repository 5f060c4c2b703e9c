"""The parts of a rendered config.yaml that belong to one machine: where it listens, how many workers."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.engines.ports import Ports

LOOPBACK = "127.0.0.1"
METRICS_URI = "/apisix/prometheus/metrics"


def parse_config(text: str) -> dict[str, Any]:
    """config.yaml as a mapping."""
    config: dict[str, Any] = yaml.safe_load(text) or {}
    return config


def section(config: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """The mapping at a path of keys; an empty one when it is absent."""
    value: Any = config
    for key in path:
        value = (value or {}).get(key)
    return value if isinstance(value, dict) else {}


def trusted_certificates(config: Mapping[str, Any]) -> str | None:
    """Path of the certificates that backends are checked with; `None` for those of the system."""
    path = section(config, "apisix", "ssl").get("ssl_trusted_certificate", "system")
    return None if path == "system" else str(path)


def with_listeners(config: Mapping[str, Any], ports: Ports, workers: int | None = None) -> dict[str, Any]:
    """A copy of `config` that listens on `ports` of the loopback address, with `workers` when given."""
    changed: dict[str, Any] = copy.deepcopy(dict(config))
    apisix = changed.setdefault("apisix", {})
    apisix["node_listen"] = [{"ip": LOOPBACK, "port": ports.traffic}]
    # Two instances that chose the same port would share it silently.
    apisix["enable_reuseport"] = False
    apisix["status"] = {"ip": LOOPBACK, "port": ports.status}
    prometheus = changed.setdefault("plugin_attr", {}).setdefault("prometheus", {})
    prometheus["export_addr"] = {"ip": LOOPBACK, "port": ports.metrics}
    if workers is not None:
        changed.setdefault("nginx_config", {})["worker_processes"] = workers
    return changed


def as_root(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `config` whose workers run as root, where the first process does.

    The instance's directory is readable by its owner only, since the files hold keys; workers that run
    as anybody else could not read them.
    """
    return {**config, "nginx_config": {"user": "root", **section(config, "nginx_config")}}


def dump_config(config: Mapping[str, Any]) -> str:
    """config.yaml text of a mapping."""
    return yaml.safe_dump(dict(config), sort_keys=False)


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, since rendered files hold keys."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def metrics_uri(config: Mapping[str, Any]) -> str:
    """Path of the metrics page on the metrics port."""
    return str(section(config, "plugin_attr", "prometheus").get("export_uri", METRICS_URI))
