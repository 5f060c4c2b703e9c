"""A running gateway on this machine."""

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.engines.base import Engine, EngineError, Instance, Launch
from scripts.engines.files import LOOPBACK, metrics_uri, parse_config, render, write_private
from scripts.engines.process import GatewayProcess

START_TIMEOUT_SECONDS = 30.0
STOP_GRACE_SECONDS = 5.0
RELOAD_TIMEOUT_SECONDS = 10.0
LIVE_PLUGIN = "azure-openai-live"
_REMOVALS = 20
# In the engines' logs: the last line of a worker about a changed file, and a line for each problem.
_DECIDED = (b"apisix.yaml reloaded.", b"config file refused.")
_REFUSED = b"configuration refused: "


def _problem_in(line: str) -> str:
    return line.split(_REFUSED.decode(), 1)[-1].split(", context: ", 1)[0]


def _remove(directory: Path) -> None:
    # A process that is just ending may write a file while its directory is being emptied.
    for _ in range(_REMOVALS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.05)


class Gateway:
    """A started gateway; a context manager that stops it."""

    def __init__(self, engine: Engine, instance: Instance, launch: Launch, *, keep_files: bool) -> None:
        self.engine = engine.name
        self.directory: Path = instance.directory
        self.error_log: Path = launch.error_log
        self.access_log: Path = launch.access_log
        scheme = "http" if instance.tls is None else "https"
        self.url = f"{scheme}://{LOOPBACK}:{instance.ports.traffic}"
        self.status_url = f"http://{LOOPBACK}:{instance.ports.status}/status"
        config = parse_config(instance.files["config.yaml"])
        self.metrics_url = f"http://{LOOPBACK}:{instance.ports.metrics}{metrics_uri(config)}"
        self.live_url = f"{self.url}/live" if LIVE_PLUGIN in (config.get("plugins") or []) else None
        self._bundle_root = engine.bundle_root
        self._apisix_yaml = launch.apisix_yaml
        self._fitted = launch.fitted
        self._keep_files = keep_files
        self._settle_seconds = engine.settle_seconds
        self._process = GatewayProcess(launch, instance.ports.status)

    @property
    def apisix_yaml(self) -> Path:
        """The file that the gateway loads again when it changes."""
        return self._apisix_yaml

    @property
    def pid(self) -> int:
        """The process id of the gateway's first process."""
        return self._process.pid

    @property
    def children(self) -> list[int]:
        """The process ids of its workers and helpers; empty where they cannot be seen, as in a container."""
        return self._process.children() or []

    def wait_until_ready(self, timeout: float = START_TIMEOUT_SECONDS) -> None:
        """Returns when the gateway serves; raises EngineError when it does not within `timeout` seconds."""
        self._process.wait_until_ready(timeout)

    def wait(self, timeout: float | None = None) -> int:
        """Waits until the gateway ends on its own; returns its exit status."""
        return self._process.wait(timeout)

    def reload(self, env: Mapping[str, str]) -> None:
        """Renders apisix.yaml again, in place, and returns when the gateway serves the new configuration.

        Raises:
            EngineError: the gateway refused it, or took longer than 10 s.
            renderer.ConfigurationError: the settings are wrong; nothing was changed.
        """
        self.replace_configuration(render(env, self._bundle_root)["apisix.yaml"])

    def replace_configuration(self, apisix_yaml: str) -> None:
        """Replaces the gateway's apisix.yaml and waits until the new one is served or refused."""
        start = self.error_log.stat().st_size
        # The engines notice a change by the modification time in whole seconds.
        modified = max(int(time.time()), int(self._apisix_yaml.stat().st_mtime) + 1)
        replacement = self._apisix_yaml.with_suffix(".new")
        write_private(replacement, self._fitted(apisix_yaml))
        os.utime(replacement, (modified, modified))
        replacement.replace(self._apisix_yaml)
        self._await_reload(start)

    def _await_reload(self, start: int) -> None:
        deadline = time.monotonic() + RELOAD_TIMEOUT_SECONDS
        expected = len(self.children) or 1  # each of them logs that it has reloaded
        while time.monotonic() < deadline:
            with self.error_log.open("rb") as log:
                log.seek(start)
                lines = log.read().splitlines()
            # Wait for every worker: a late line would otherwise be taken for an answer to the next change.
            if sum(any(word in line for word in _DECIDED) for line in lines) >= expected:
                refused = [line.decode(errors="replace") for line in lines if _REFUSED in line]
                if refused:
                    raise EngineError(*dict.fromkeys(_problem_in(line) for line in refused))
                time.sleep(self._settle_seconds)
                return
            time.sleep(0.02)
        raise EngineError(f"the gateway did not load the configuration within {RELOAD_TIMEOUT_SECONDS:g} s")

    def stop(self, grace: float = STOP_GRACE_SECONDS) -> None:
        """Stops the gateway; requests in flight have `grace` seconds to finish. Removes the files it made."""
        self._process.stop(grace)
        if not self._keep_files:
            _remove(self.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
