"""Makes the nginx.conf of the embedded engine from a config.yaml."""

import grp
import os
import pwd
import resource
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.engines.base import REPOSITORY
from scripts.engines.files import section, system_certificates, trusted_certificates

HOST = REPOSITORY / "apisix" / "embedded"
LUALIB = HOST / "lualib"

LINE_COUNTS = "LUA_LINE_COUNTS"
"""The variable with the directory for the lines that run, which scripts/coverage/lua.py reads."""

_MODULE_DIRECTORIES = (Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules"))
MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")

# APISIX's defaults for what nginx.conf needs. Source: apisix/cli/config.lua of 3.18.0.
_NGINX_DEFAULTS: dict[str, Any] = {
    "worker_processes": "auto",
    "worker_rlimit_nofile": 20480,
    "worker_shutdown_timeout": "240s",
    "max_pending_timers": 16384,
    "max_running_timers": 4096,
    "error_log": "logs/error.log",
    "error_log_level": "warn",
    "envs": [],
    "http_configuration_snippet": "",
    "http_server_configuration_snippet": "",
}
_HTTP_DEFAULTS: dict[str, Any] = {
    "enable_access_log": True,
    "access_log": "logs/access.log",
    "access_log_format": '$remote_addr [$time_local] "$request_method $uri" $status $request_time',
    "access_log_format_escape": "default",
    "charset": "utf-8",
    "underscores_in_headers": "on",
    "client_max_body_size": 0,
    "client_header_timeout": "60s",
    "client_body_timeout": "60s",
    "keepalive_timeout": "60s",
    "send_timeout": "10s",
    "variables_hash_max_size": 2048,
    "real_ip_header": "X-Real-IP",
    "real_ip_recursive": "off",
    "real_ip_from": ["127.0.0.1", "unix:"],
}
_SHARED_DICTS = {"prometheus-metrics": "16m", "status-report": "1m"}


def module_path(name: str) -> Path | None:
    """The file of a dynamic nginx module, such as `ndk_http_module.so`; None when it is not installed."""
    return next((found / name for found in _MODULE_DIRECTORIES if (found / name).is_file()), None)


def _resolvers(config: Mapping[str, Any]) -> list[str]:
    configured = section(config, "apisix").get("dns_resolver")
    if configured:
        return [str(address) for address in configured]
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    addresses = [word[1].split("%")[0] for word in words if len(word) > 1 and word[0] == "nameserver"]
    return [f"[{address}]" if ":" in address else address for address in addresses]


def _trusted_certificate(config: Mapping[str, Any]) -> str | None:
    configured = trusted_certificates(config)
    if configured:
        return configured
    system = system_certificates()
    return str(system) if system else None


def _user() -> str | None:
    # Only a first process that runs as root chooses the user of the workers.
    if os.getuid() != 0:
        return None
    return f"{pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getgid()).gr_name}"


def _address(listener: Mapping[str, Any]) -> str:
    return f"{listener['ip']}:{listener['port']}"


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(HOST),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - nginx syntax, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )


def nginx_conf(config: Mapping[str, Any], certificate: str | None = None) -> str:
    """The nginx.conf for a config.yaml in which every listener has an ip and a port.

    With `certificate`, the file of a certificate and its key, the listeners for clients speak HTTPS.
    """
    apisix, attributes = section(config, "apisix"), section(config, "plugin_attr")
    given = section(config, "nginx_config")
    http = {**_HTTP_DEFAULTS, **section(given, "http")}
    nginx = {**_NGINX_DEFAULTS, **given, "event": {"worker_connections": 1024, **section(given, "event")}}
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    nginx["worker_rlimit_nofile"] = min(nginx["worker_rlimit_nofile"], hard_limit)
    lua_path = [str(apisix.get("extra_lua_path", "")).strip(";"), f"{LUALIB}/?.lua", f"{LUALIB}/?/init.lua"]
    return (
        _templates()
        .get_template("nginx.conf.j2")
        .render(
            modules=[module_path(name) for name in MODULES],
            user=_user(),
            nginx=nginx,
            http=http,
            lua_package_path=";".join(entry for entry in lua_path if entry),
            line_counts=os.environ.get(LINE_COUNTS),
            lua_module_hook=apisix.get("lua_module_hook"),
            shared_dicts={
                **_SHARED_DICTS,
                **section(http, "lua_shared_dict"),
                **section(http, "custom_lua_shared_dict"),
            },
            resolvers=_resolvers(config),
            resolver_timeout=apisix.get("resolver_timeout", 5),
            ipv6=apisix.get("enable_ipv6", True),
            trusted_certificate=_trusted_certificate(config),
            status_address=_address(apisix["status"]),
            metrics_address=(
                _address(section(attributes, "prometheus")["export_addr"])
                if "prometheus" in (config.get("plugins") or [])
                else None
            ),
            traffic_addresses=[_address(listener) for listener in apisix["node_listen"]],
            certificate=certificate,
        )
    )
