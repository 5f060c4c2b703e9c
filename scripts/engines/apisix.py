"""The apisix engine: an Apache APISIX 3.18 that is installed on this machine."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from scripts.engines.base import REPOSITORY, EngineError, Instance, Launch
from scripts.engines.files import (
    LOOPBACK,
    as_root,
    dump_config,
    parse_config,
    section,
    with_certificate,
    with_errors_on_stderr,
    with_listeners,
    with_tls,
    write_private,
)
from scripts.engines.ports import free_ports

VERSION = "3.18"
DEFAULT_HOME = "/usr/local/apisix"
_OPENRESTY = ("/usr/local/openresty/bin/openresty", "/usr/local/openresty/nginx/sbin/nginx")


def _home() -> Path:
    return Path(os.environ.get("APISIX_HOME", DEFAULT_HOME))


def _openresty() -> str | None:
    found = shutil.which("openresty")
    return found or next((path for path in _OPENRESTY if os.access(path, os.X_OK)), None)


def _installed_version() -> str | None:
    try:
        text = (_home() / "apisix" / "core" / "version.lua").read_text()
    except OSError:
        return None
    match = re.search(r'VERSION\s*=\s*"([^"]+)"', text)
    return match[1] if match else None


def _private(config: Mapping[str, Any]) -> dict[str, Any]:
    # APISIX opens these listeners by default; two instances would collide on them.
    changed = with_errors_on_stderr(config)
    apisix = changed["apisix"] = dict(section(config, "apisix"))
    control, tls = free_ports(2)
    if apisix.get("enable_control", True):
        apisix["control"] = {"ip": LOOPBACK, "port": control}
    ssl = section(apisix, "ssl")
    if ssl.get("enable", True) and "listen" not in ssl:
        apisix["ssl"] = {**ssl, "listen": [{"ip": LOOPBACK, "port": tls}]}
    return as_root(changed) if os.getuid() == 0 else changed


class ApisixEngine:
    """A private instance of the installed APISIX: links to its code, and a conf/ and logs/ of its own."""

    name = "apisix"
    bundle_root = str(REPOSITORY)
    # APISIX's plugins and routes pick up a changed file by timers of their own.
    settle_seconds = 0.5

    def missing(self) -> str | None:
        """Names the missing part, or the version that is installed instead."""
        version = _installed_version()
        if version is None:
            return f"no APISIX in {_home()} (set APISIX_HOME to where APISIX {VERSION} is installed)"
        if not version.startswith(f"{VERSION}."):
            return f"APISIX {version} in {_home()} is not {VERSION}.x"
        if shutil.which("apisix") is None:
            return "the command apisix is not on PATH"
        if _openresty() is None:
            return "the command openresty is not on PATH"
        return None

    def prepare(self, instance: Instance) -> Launch:
        """Makes the instance's directory and lets `apisix init` write nginx.conf there."""
        directory, home = instance.directory, _home()
        for name in ("conf", "logs"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        for part in home.iterdir():
            link = directory / part.name
            own = part.name in ("conf", "logs") or part.name.endswith("_temp")
            if not own and not link.exists():
                link.symlink_to(part)
        for part in (home / "conf").iterdir():
            link = directory / "conf" / part.name
            if not part.name.startswith(("apisix.", "config.", "nginx.conf")) and not link.exists():
                link.symlink_to(part)

        config = with_listeners(parse_config(instance.files["config.yaml"]), instance.ports, instance.workers)
        fitted = partial(with_certificate, tls=instance.tls) if instance.tls else str
        if instance.tls:
            config = with_tls(config)
        apisix_yaml = directory / "conf" / "apisix.yaml"
        write_private(apisix_yaml, fitted(instance.files["apisix.yaml"]))
        write_private(directory / "conf" / "config.yaml", dump_config(_private(config)))
        for name in ("apisix.yaml", "config.yaml"):
            link = directory / name
            if not link.exists():
                link.symlink_to(Path("conf") / name)

        environment = {"PATH": os.environ.get("PATH", ""), **instance.env}
        self._init(directory, environment)
        openresty = _openresty()
        assert openresty is not None
        return Launch(
            argv=[openresty, "-p", f"{directory}/", "-c", "conf/nginx.conf", "-g", "daemon off;"],
            env=environment,
            cwd=directory,
            apisix_yaml=apisix_yaml,
            error_log=directory / "logs" / "error.log",
            access_log=directory / "logs" / "access.log",
            fitted=fitted,
        )

    @staticmethod
    def _init(directory: Path, environment: dict[str, str]) -> None:
        # `apisix` takes the working directory as its home.
        done = subprocess.run(
            ["apisix", "init"],  # noqa: S607
            cwd=directory,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise EngineError("apisix init failed:", *(done.stdout + done.stderr).strip().splitlines()[-10:])
