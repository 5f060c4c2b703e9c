"""Runs the gateway image's entrypoint, as in the image, on the APISIX of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from renderer import load_settings, render_files
from scripts.engines.apisix import DEFAULT_HOME, ApisixEngine
from scripts.engines.base import REPOSITORY, Ports
from scripts.engines.files import as_root, dump_config, parse_config, with_listeners
from scripts.engines.ports import choose_ports
from tests.support.signals import heed_signals

IMAGE = REPOSITORY / "apisix" / "image"
CLIENT_KEY = "client-key-of-team-a-0001"
BACKEND_KEY = "key-of-eastus"
SECONDS = 60


def settings(endpoint: str = "http://127.0.0.1:9", **more: str) -> dict[str, str]:
    """The settings of a gateway with one backend and one client."""
    return {
        "AZURE_OPENAI_NAME_0": "eastus",
        "AZURE_OPENAI_ENDPOINT_0": endpoint,
        "AZURE_OPENAI_KEY_0": BACKEND_KEY,
        "GATEWAY_CLIENT_NAME_0": "team-a",
        "GATEWAY_CLIENT_KEY_0": CLIENT_KEY,
        **more,
    }


class Container:
    """A stand-in for a container of the image: rendered files, and a directory to write into."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "config"
        self.temporary = directory / "tmp"
        self.scripts = directory / "scripts"
        self.log = directory / "log"
        self.ports: Ports = choose_ports(0)
        self.url = f"http://127.0.0.1:{self.ports.traffic}"
        for made in (self.config, self.temporary):
            made.mkdir()
        shutil.copytree(IMAGE, self.scripts)

    def render(self, env: Mapping[str, str]) -> dict[str, str]:
        """The rendered files, on ports of this test."""
        files = render_files(load_settings(env), str(REPOSITORY))
        config = with_listeners(parse_config(files["config.yaml"]), self.ports, workers=1)
        if os.getuid() == 0:
            config = as_root(config)
        return {**files, "config.yaml": dump_config(config)}

    def put(self, files: Mapping[str, str]) -> None:
        """Write files as the renderer does."""
        for name, text in files.items():
            (self.config / name).write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "GATEWAY_CONFIG_DIR": str(self.config),
            "GATEWAY_STATUS_PORT": str(self.ports.status),
        }

    def refusal(self, user: int | None = None) -> str:
        """The output of the entrypoint when it does not start the gateway."""
        done = subprocess.run(
            ["bash", str(self.scripts / "entrypoint.sh")],
            env=self.environment,
            user=user,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        return done.stderr

    def is_healthy(self) -> bool:
        """The result of the image's health check."""
        command = ["bash", str(self.scripts / "healthcheck.sh")]
        return subprocess.run(command, env=self.environment, capture_output=True, check=False).returncode == 0

    def filter_of(self, process: subprocess.Popen[bytes]) -> int:
        """The process id of the filter of the error log."""
        found = [process.pid]
        while found:
            number = found.pop()
            if Path(f"/proc/{number}/comm").read_text() == "sed\n":
                return number
            found += map(int, Path(f"/proc/{number}/task/{number}/children").read_text().split())
        raise AssertionError("nothing filters the error log")

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The started container, once it is healthy."""
        with self.log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", str(self.scripts / "entrypoint.sh")],
                env=self.environment,
                stdout=output,
                stderr=output,
                preexec_fn=heed_signals,
            )
        try:
            wait_until(lambda: self.is_healthy() or process.poll() is not None)
            assert process.poll() is None, self.log.read_text()
            yield process
        finally:
            process.terminate()
            process.wait(SECONDS)


def wait_until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait for something that no event tells: a process is ready, a file has been noticed."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.1)


def installed_home() -> Path:
    """The directory of APISIX on this machine."""
    return Path(os.environ.get("APISIX_HOME", DEFAULT_HOME))


def written(root: Path) -> dict[str, int]:
    """The time at which each file below a directory was written, in nanoseconds."""
    return {str(path): path.lstat().st_mtime_ns for path in sorted(root.rglob("*"))}


def make_container(directory: Path) -> Container:
    missing = ApisixEngine().missing()
    if missing:
        pytest.skip(missing)
    return Container(directory)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return make_container(tmp_path)
