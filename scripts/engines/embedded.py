"""The embedded engine: the distribution's nginx with Lua and the compact host in apisix/embedded."""

import grp
import os
import pwd
import resource
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.engines.base import REPOSITORY, Instance, Launch
from scripts.engines.config import (
    dump_config,
    parse_config,
    section,
    trusted_certificates,
    with_listeners,
    write_private,
)
from scripts.engines.errors import EngineError

HOST = REPOSITORY / "apisix" / "embedded"
LUALIB = HOST / "lualib"
# Also read by scripts/setup.sh.
PACKAGES = " ".join(Path(__file__).with_name("embedded-packages.txt").read_text().split())

_MODULE_DIRECTORIES = (Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules"))
_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")
_LUA_DIRECTORIES = (
    Path("/usr/share/lua/5.1"),
    Path("/usr/local/share/lua/5.1"),
    *sorted(Path("/usr/lib").glob("*/lua/5.1")),
)
# A file of each Lua package, to see whether it is installed.
_LUA_FILES = {
    "lua-resty-core": "resty/core.lua",
    "lua-resty-lrucache": "resty/lrucache.lua",
    "lua-cjson": "cjson.so",
    "lua-yaml": "lyaml/init.lua",
    "lua-filesystem": "lfs.so",
    "lua-nginx-string": "nginx/sha256.lua",
    "lua-nginx-redis": "nginx/redis.lua",
    "lua-nginx-websocket": "nginx/websocket/client.lua",
}
_CERTIFICATES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))

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
    "main_configuration_snippet": "",
    "http_configuration_snippet": "",
    "http_server_configuration_snippet": "",
    "http_server_location_configuration_snippet": "",
    "http_end_configuration_snippet": "",
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
_SHARED_DICTS = {"prometheus-metrics": "16m", "status-report": "1m", "lrucache-lock": "1m"}

# The variables that APISIX's nginx.conf declares for plugins, with their first values.
_VARIABLES: dict[str, str] = {
    "apisix_request_id": "$request_id",
    "request_type": "traditional_http",
    "apisix_upstream_response_time": "$upstream_response_time",
    "upstream_scheme": "http",
    "upstream_host": "$http_host",
    **dict.fromkeys(("llm_stream", "llm_has_tool_calls"), "false"),
    **dict.fromkeys(
        (
            "llm_time_to_first_token",
            "llm_prompt_tokens",
            "llm_completion_tokens",
            "llm_total_tokens",
            "llm_tool_count",
            "llm_cache_read_input_tokens",
            "llm_cache_creation_input_tokens",
            "llm_reasoning_tokens",
        ),
        "0",
    ),
    **dict.fromkeys(
        (
            "llm_model",
            "request_llm_model",
            "llm_end_user_id",
            "llm_content_risk_level",
            "request_line",
            "rate_limiting_info",
            "upstream_unresolved_host",
            "upstream_uri",
            "upstream_upgrade",
            "upstream_connection",
            "opentelemetry_context_traceparent",
            "opentelemetry_trace_id",
            "opentelemetry_span_id",
        ),
        "''",
    ),
}


def _module(name: str) -> Path | None:
    return next((found / name for found in _MODULE_DIRECTORIES if (found / name).is_file()), None)


def _missing_parts() -> list[str]:
    parts = [] if shutil.which("nginx") else ["nginx"]
    parts += [name for name in _MODULES if _module(name) is None]
    for package, file in _LUA_FILES.items():
        if not any((directory / file).is_file() for directory in _LUA_DIRECTORIES):
            parts.append(package)
    return parts


def _plugin_offered(name: str, roots: list[Path]) -> bool:
    return any((root / "apisix" / "plugins" / f"{name}.lua").is_file() for root in roots)


def _bundle_roots(config: Mapping[str, Any]) -> list[Path]:
    entries = str(section(config, "apisix").get("extra_lua_path", "")).split(";")
    return [Path(entry.removesuffix("?.lua")) for entry in entries if entry.strip().endswith("/?.lua")]


def _refusals(config: Mapping[str, Any]) -> list[str]:
    roots = [LUALIB, *_bundle_roots(config)]
    refused = [name for name in config.get("plugins") or [] if not _plugin_offered(name, roots)]
    problems = []
    if refused:
        names = ", ".join(refused)
        problems.append(f"the embedded engine does not offer: {names}; use --engine docker or apisix")
    apisix = section(config, "apisix")
    if section(apisix, "ssl").get("enable"):
        problems.append("the embedded engine does not offer apisix.ssl.enable; use --engine docker or apisix")
    if apisix.get("trusted_addresses"):
        problems.append(
            "the embedded engine does not offer apisix.trusted_addresses; use --engine docker or apisix"
        )
    if section(config, "deployment", "role_data_plane").get("config_provider") != "yaml":
        problems.append(
            "config.yaml: deployment.role_data_plane.config_provider has to be yaml for the embedded engine"
        )
    return problems


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
    return next((str(path) for path in _CERTIFICATES if path.is_file()), None)


def _user() -> str | None:
    # Only root can, and has to, say as whom the workers run.
    if os.getuid() != 0:
        return None
    return f"{pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getgid()).gr_name}"


def _address(listener: Mapping[str, Any]) -> str:
    return f"{listener['ip']}:{listener['port']}"


def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(HOST),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - this is nginx's syntax, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )


def nginx_conf(config: Mapping[str, Any]) -> str:
    """nginx.conf for a config.yaml whose listeners are explicit (ip and port)."""
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
            modules=[_module(name) for name in _MODULES],
            user=_user(),
            nginx=nginx,
            http=http,
            lua_package_path=";".join(entry for entry in lua_path if entry),
            lua_module_hook=apisix.get("lua_module_hook"),
            shared_dicts={
                **_SHARED_DICTS,
                **section(http, "lua_shared_dict"),
                **section(http, "custom_lua_shared_dict"),
            },
            variables=_VARIABLES,
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
        )
    )


class EmbeddedEngine:
    """nginx from the distribution; for development and tests."""

    name = "embedded"
    bundle_root = str(REPOSITORY)
    settle_seconds = 0.0

    def missing(self) -> str | None:
        """Names what is not installed, and the packages that bring it."""
        parts = _missing_parts()
        if not parts:
            return None
        return f"not installed: {', '.join(parts)} (on Debian: apt-get install {PACKAGES})"

    def prepare(self, instance: Instance) -> Launch:
        """Writes apisix.yaml, config.yaml and nginx.conf into the instance's directory."""
        config = with_listeners(parse_config(instance.files["config.yaml"]), instance.ports, instance.workers)
        problems = _refusals(config)
        if problems:
            raise EngineError(*problems)
        directory = instance.directory
        for name in ("logs", "tmp"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        write_private(directory / "apisix.yaml", instance.files["apisix.yaml"])
        write_private(directory / "config.yaml", dump_config(config))
        (directory / "nginx.conf").write_text(nginx_conf(config))
        nginx = shutil.which("nginx")
        assert nginx is not None
        return Launch(
            argv=[nginx, "-p", f"{directory}/", "-c", "nginx.conf", "-e", "stderr"],
            env={"PATH": os.environ.get("PATH", ""), **instance.env},
            cwd=directory,
            apisix_yaml=directory / "apisix.yaml",
            error_log=directory / "logs" / "error.log",
            access_log=directory / "logs" / "access.log",
        )
