"""The embedded engine: the distribution's nginx with Lua and the compact host in apisix/embedded."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.engines.base import REPOSITORY, EngineError, Instance, Launch
from scripts.engines.files import (
    dump_config,
    parse_config,
    section,
    with_errors_on_stderr,
    with_listeners,
    write_private,
)
from scripts.engines.nginx_conf import LUALIB, MODULES, module_path, nginx_conf

# Also read by scripts/setup.sh.
PACKAGES = " ".join(Path(__file__).with_name("embedded-packages.txt").read_text().split())

_LUA_DIRECTORIES = (
    Path("/usr/share/lua/5.1"),
    Path("/usr/local/share/lua/5.1"),
    *sorted(Path("/usr/lib").glob("*/lua/5.1")),
)
# A file of each Lua package: the package is installed when the file exists.
_LUA_FILES = {
    "lua-resty-core": "resty/core.lua",
    "lua-resty-lrucache": "resty/lrucache.lua",
    "lua-cjson": "cjson.so",
    "lua-yaml": "lyaml/init.lua",
    "lua-filesystem": "lfs.so",
    "lua-nginx-string": "nginx/sha256.lua",
    "lua-nginx-redis": "nginx/redis.lua",
}


# Debian puts nginx there. The PATH of its users has only root look there.
SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def find_nginx() -> str | None:
    """The nginx on PATH, else the distribution's."""
    return shutil.which("nginx") or shutil.which("nginx", path=os.pathsep.join(SYSTEM_DIRECTORIES))


def _missing_parts() -> list[str]:
    parts = [] if find_nginx() else ["nginx"]
    parts += [name for name in MODULES if module_path(name) is None]
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


class EmbeddedEngine:
    """The distribution's nginx; for development and tests."""

    name = "embedded"
    bundle_root = str(REPOSITORY)
    settle_seconds = 0.0

    def missing(self) -> str | None:
        """Names the parts that are not installed, and the packages to install."""
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
        certificate = None
        if instance.tls is not None:
            certificate = "tls.pem"
            write_private(directory / certificate, instance.tls.certificate + instance.tls.key)
        (directory / "nginx.conf").write_text(nginx_conf(with_errors_on_stderr(config), certificate))
        nginx = find_nginx()
        assert nginx is not None
        return Launch(
            argv=[nginx, "-p", f"{directory}/", "-c", "nginx.conf", "-e", "stderr"],
            env={"PATH": os.environ.get("PATH", ""), **instance.env},
            cwd=directory,
            apisix_yaml=directory / "apisix.yaml",
            error_log=directory / "logs" / "error.log",
            access_log=directory / "logs" / "access.log",
        )
