"""The docker engine: the pinned official image, with the rendered files and the bundle mounted."""

import math
import os
import shutil
import subprocess
from functools import partial

from scripts.engines.base import REPOSITORY, EngineError, Instance, Launch
from scripts.engines.files import (
    as_root,
    dump_config,
    parse_config,
    trusted_certificates,
    with_certificate,
    with_listeners,
    with_tls,
    write_private,
)

IMAGE = "docker.io/apache/apisix:3.18.0-debian"
_BUNDLE = "/usr/local/azure-openai-gateway"
_CONFIG = "/etc/azure-openai-gateway"
_ANSWER_SECONDS = 20


def _run(*command: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout)  # noqa: S603


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def _fetch_image(client: str) -> None:
    # Before the start, because a download may take longer than a start is allowed to.
    if _run(client, "image", "inspect", IMAGE).returncode == 0:
        return
    pulled = _run(client, "pull", "--quiet", IMAGE)
    if pulled.returncode != 0:
        raise EngineError(f"the image {IMAGE} cannot be pulled: {_reason(pulled)}")


class DockerEngine:
    """The official image that production runs, in a container on this machine."""

    name = "docker"
    bundle_root = _BUNDLE
    settle_seconds = 0.5

    def missing(self) -> str | None:
        """Says whether the client or the engine is missing."""
        client = shutil.which("docker")
        if client is None:
            return "there is no docker client on PATH (install Docker)"
        try:
            info = _run(client, "version", "--format", "{{.Server.Version}}", timeout=_ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            return f"the Docker engine of {client} did not answer within {_ANSWER_SECONDS} s: restart it"
        if info.returncode != 0:
            return f"{client} is installed, but no Docker engine answers ({_reason(info)}): start it"
        return None

    def prepare(self, instance: Instance) -> Launch:
        """Fetches the image when it is missing, and writes the files to mount.

        The container runs the entrypoint of the gateway's image. It uses the host's network, so that it can
        reach backends on the loopback address.
        """
        client = shutil.which("docker") or "docker"
        _fetch_image(client)
        directory = instance.directory
        logs = directory / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        config = with_listeners(parse_config(instance.files["config.yaml"]), instance.ports, instance.workers)
        fitted = partial(with_certificate, tls=instance.tls) if instance.tls else str
        if instance.tls:
            config = with_tls(config)
        write_private(directory / "apisix.yaml", fitted(instance.files["apisix.yaml"]))
        write_private(directory / "config.yaml", dump_config(as_root(config)))
        container = f"azure-openai-gateway-{instance.ports.traffic}"
        certificates = trusted_certificates(config)
        variables = [argument for name in instance.env for argument in ("--env", name)]
        return Launch(
            # As root: only their owner can read the files, and the container does not know that user.
            argv=[
                *(client, "run", "--rm", "--name", container, "--network", "host", "--user", "root"),
                # The directory, not the files: a mounted file would not follow its replacement.
                *("--volume", f"{directory}:{_CONFIG}:ro"),
                *("--volume", f"{REPOSITORY / 'apisix'}:{_BUNDLE}/apisix:ro"),
                *(["--volume", f"{certificates}:{certificates}:ro"] if certificates else []),
                *variables,
                *("--entrypoint", "bash", IMAGE, f"{_BUNDLE}/apisix/image/entrypoint.sh"),
            ],
            # Includes the settings of the docker client, such as DOCKER_HOST.
            env={**os.environ, **instance.env},
            cwd=directory,
            apisix_yaml=directory / "apisix.yaml",
            error_log=logs / "error.log",
            access_log=logs / "access.log",
            stop_command=lambda grace: [client, "stop", "-t", str(math.ceil(grace)), container],
            fitted=fitted,
        )
