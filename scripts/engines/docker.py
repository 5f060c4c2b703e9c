"""The docker engine: the pinned official image, with the rendered files and the bundle mounted."""

import os
import shutil
import subprocess

from scripts.engines.base import REPOSITORY, Instance, Launch
from scripts.engines.config import as_root, dump_config, parse_config, with_listeners, write_private

IMAGE = "apache/apisix:3.18.0-debian"
_BUNDLE = "/usr/local/azure-openai-gateway"
_CONF = "/usr/local/apisix/conf"


class DockerEngine:
    """What production runs, in a container on this machine."""

    name = "docker"
    bundle_root = _BUNDLE
    settle_seconds = 0.5

    def missing(self) -> str | None:
        """Whether it is the client or the engine that is missing."""
        client = shutil.which("docker")
        if client is None:
            return "there is no docker client on PATH (install Docker)"
        info = subprocess.run(  # noqa: S603
            [client, "version", "--format", "{{.Server.Version}}"],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        )
        if info.returncode != 0:
            reason = (info.stderr.strip().splitlines() or ["no reason given"])[-1]
            return f"{client} is installed, but no Docker engine answers ({reason}): start it"
        return None

    def prepare(self, instance: Instance) -> Launch:
        """Writes the files to mount; the container shares the host's network to reach loopback backends."""
        directory = instance.directory
        logs = directory / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        config = with_listeners(parse_config(instance.files["config.yaml"]), instance.ports, instance.workers)
        write_private(directory / "apisix.yaml", instance.files["apisix.yaml"])
        write_private(directory / "config.yaml", dump_config(as_root(config)))
        # The directory is mounted, not the files: a file that is replaced has another inode.
        command = f"cp {_CONF}/mounted/config.yaml {_CONF}/ && ln -sf mounted/apisix.yaml {_CONF}/apisix.yaml"
        client = shutil.which("docker") or "docker"
        container = f"azure-openai-gateway-{instance.ports.traffic}"
        variables = [argument for name in instance.env for argument in ("--env", name)]
        return Launch(
            argv=[
                *(client, "run", "--rm", "--name", container, "--network", "host", "--user", "root"),
                *("--volume", f"{directory}:{_CONF}/mounted:ro"),
                *("--volume", f"{REPOSITORY / 'apisix'}:{_BUNDLE}/apisix:ro"),
                *("--env", "APISIX_STAND_ALONE=true", *variables),
                *("--entrypoint", "sh", IMAGE),
                *("-c", f"{command} && exec /docker-entrypoint.sh docker-start"),
            ],
            env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), **instance.env},
            cwd=directory,
            apisix_yaml=directory / "apisix.yaml",
            error_log=logs / "error.log",
            access_log=logs / "access.log",
            stop_command=[client, "stop", "--time", "5", container],
        )
