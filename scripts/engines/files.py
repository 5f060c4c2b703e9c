"""The rendered files: made from the settings, then fitted to this machine (listeners, workers, user)."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from renderer import load_settings, render_files
from scripts.engines.base import Ports, Tls

LOOPBACK = "127.0.0.1"
METRICS_URI = "/apisix/prometheus/metrics"
_CERTIFICATES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian
    Path("/etc/pki/tls/certs/ca-bundle.crt"),  # Fedora
    Path("/etc/ssl/ca-bundle.pem"),  # SUSE
    Path("/etc/ssl/cert.pem"),  # macOS, Alpine
)
_END = "#END"


def render(
    env: Mapping[str, str], bundle_root: str, env_file: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The text of each rendered file by its name, such as `{"apisix.yaml": "…", "config.yaml": "…"}`.

    Args:
        env: the variables of the environment; they win over those of `env_file`.
        bundle_root: the directory that holds apisix/plugins, as the engine sees it.

    Raises:
        renderer.ConfigurationError: the settings are wrong.
    """
    return render_files(load_settings(env, env_file=env_file), bundle_root)


def parse_config(text: str) -> dict[str, Any]:
    """config.yaml as a mapping."""
    config: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader) or {}
    return config


def section(config: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """The mapping at a path of keys; an empty one when it is absent.

    >>> section({"apisix": {"ssl": {"enable": False}}}, "apisix", "ssl")
    {'enable': False}
    """
    value: Any = config
    for key in path:
        value = (value or {}).get(key)
    return value if isinstance(value, dict) else {}


def system_certificates() -> Path | None:
    """The file of certificates that this system trusts; `None` where it is in none of the usual places."""
    return next((path for path in _CERTIFICATES if path.is_file()), None)


def trusted_certificates(config: Mapping[str, Any]) -> str | None:
    """The file of certificates that backends are checked against; `None` for the system's own."""
    path = section(config, "apisix", "ssl").get("ssl_trusted_certificate", "system")
    return None if path == "system" else str(path)


def with_listeners(config: Mapping[str, Any], ports: Ports, workers: int | None = None) -> dict[str, Any]:
    """A copy of `config` that listens on `ports` of the loopback address, with `workers` when given."""
    changed: dict[str, Any] = copy.deepcopy(dict(config))
    apisix = changed.setdefault("apisix", {})
    apisix["node_listen"] = [{"ip": LOOPBACK, "port": ports.traffic}]
    # Otherwise two instances with the same port would share it silently.
    apisix["enable_reuseport"] = False
    apisix["status"] = {"ip": LOOPBACK, "port": ports.status}
    prometheus = changed.setdefault("plugin_attr", {}).setdefault("prometheus", {})
    prometheus["export_addr"] = {"ip": LOOPBACK, "port": ports.metrics}
    if workers is not None:
        changed.setdefault("nginx_config", {})["worker_processes"] = workers
    return changed


def with_tls(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `config` whose listeners for clients speak HTTPS, on APISIX."""
    apisix = section(config, "apisix")
    ssl = {
        **section(apisix, "ssl"),
        "enable": True,
        "listen": apisix["node_listen"],
        # A client that calls an address does not say which server it means.
        "fallback_sni": "localhost",
    }
    return {**config, "apisix": {**apisix, "node_listen": [], "ssl": ssl}}


def with_certificate(apisix_yaml: str, tls: Tls) -> str:
    """An apisix.yaml with a certificate for every server name, on APISIX."""
    ssl = {"id": "local", "snis": ["*"], "cert": tls.certificate, "key": tls.key}
    return f"{apisix_yaml.rstrip().removesuffix(_END)}{dump_config({'ssls': [ssl]})}{_END}\n"


def with_errors_on_stderr(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `config` that writes its error log where `GatewayProcess` filters it."""
    return {**config, "nginx_config": {**section(config, "nginx_config"), "error_log": "/dev/stderr"}}


def as_root(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `config` whose workers run as root, for a first process that runs as root.

    The files hold keys, so only their owner can read them. Workers of another user could not.
    """
    return {**config, "nginx_config": {"user": "root", **section(config, "nginx_config")}}


def dump_config(config: Mapping[str, Any]) -> str:
    """A mapping as the text of a config.yaml."""
    return str(yaml.dump(dict(config), Dumper=yaml.CSafeDumper, sort_keys=False))


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, because rendered files hold keys."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def metrics_uri(config: Mapping[str, Any]) -> str:
    """The path of the metrics page on the metrics port."""
    return str(section(config, "plugin_attr", "prometheus").get("export_uri", METRICS_URI))
