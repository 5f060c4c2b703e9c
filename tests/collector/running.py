"""Runs the OpenTelemetry Collector on a rendered file."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from e2e.waiting import eventually
from scripts.engines.ports import free_ports

NAMES = ("otelcol", "otelcol-contrib")
HOW_TO_GET_IT = "docs/testing.md says how to build it"
KINDS = ("extensions", "receivers", "processors", "exporters")
START_SECONDS = 20.0
STOP_SECONDS = 20.0

_TAKEN = "address already in use"
_TRIES = 3

Document = dict[str, Any]


def find_collector() -> str | None:
    """The collector's executable: the one in ``OTELCOL``, else the first one on ``PATH``."""
    found = (shutil.which(name) for name in (os.environ.get("OTELCOL", ""), *NAMES) if name)
    return next((path for path in found if path), None)


@cache
def version(executable: str) -> str:
    """The version of a collector, such as ``0.159.0``."""
    return _output(executable, "--version").split()[-1].removeprefix("v")


@cache
def components(executable: str) -> frozenset[str]:
    """The components of a collector in the form of ``exporters/debug``, and without underscores.

    Older names, which a collector takes but does not list, differ from the listed ones in underscores alone.
    """
    listed = yaml.safe_load(_output(executable, "components"))
    return frozenset(_plain(kind, entry["name"]) for kind in KINDS for entry in listed.get(kind) or [])


def missing_components(executable: str, text: str) -> list[str]:
    """The components of a configuration that the collector lacks."""
    document = yaml.safe_load(text)
    used = {_plain(kind, name) for kind in KINDS for name in document.get(kind) or {}}
    return sorted(used - components(executable))


def validation_errors(executable: str, path: Path, environment: Mapping[str, str]) -> str:
    """The complaints of ``otelcol validate`` about a file; empty when it is valid."""
    result = subprocess.run(
        [executable, "validate", f"--config={path}"],
        env=_environment(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if result.returncode == 0 else result.stdout + result.stderr


class Collector:
    """A collector that runs a rendered file; a context manager that stops it.

    The file itself stays as it is. A second file is laid over it, with what cannot be the same for several
    tests at once: its ports, the gateway's metrics port, and how long it gathers before it sends.
    """

    def __init__(
        self,
        executable: str,
        text: str,
        directory: Path,
        *,
        metrics_target: str = "127.0.0.1:1",
        environment: Mapping[str, str] | None = None,
        changes: Document | None = None,
    ) -> None:
        """``metrics_target``: host:port of the gateway's metrics; ``changes``: more sections to lay over."""
        directory.mkdir(parents=True, exist_ok=True)
        self._executable = executable
        self._document: Document = yaml.safe_load(text)
        self._target = metrics_target
        self._changes = changes or {}
        self._rendered = directory / "otel-collector.yaml"
        self._overlay = directory / "overlay.yaml"
        self._log = directory / "collector.log"
        self._environment = _environment(environment or {})
        self._rendered.write_text(text)

    @property
    def otlp_endpoint(self) -> str:
        """Its base URL for OTLP over HTTP."""
        return f"http://127.0.0.1:{self._otlp_port}"

    @property
    def health_url(self) -> str:
        """The URL of the probes."""
        return f"http://127.0.0.1:{self._health_port}/"

    @property
    def log(self) -> str:
        """Its console output so far."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        for _ in range(_TRIES):
            self._health_port, self._otlp_port = free_ports(2)
            if self.start():
                return self
            if _TAKEN not in self.log:
                break
        raise RuntimeError(f"the collector ended at once:\n{self.log}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> bool:
        """Start it on its ports, also after a stop; returns whether it runs."""
        self._start()
        eventually(lambda: self._ended() or self._answers(), seconds=START_SECONDS)
        return not self._ended()

    def stop(self) -> int:
        """Ask it to stop, as the platform does; returns its exit status. Stopping twice is allowed."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _start(self) -> None:
        self._overlay.write_text(yaml.safe_dump(self._on_this_machine() | self._changes))
        files = [f"--config={path}" for path in (self._rendered, self._overlay)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._executable, *files],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _on_this_machine(self) -> Document:
        # The collector merges mappings but replaces lists, so the list of jobs must be complete.
        jobs = copy.deepcopy(self._document["receivers"]["prometheus"]["config"]["scrape_configs"])
        jobs[0]["static_configs"][0]["targets"] = [self._target]
        return {
            "extensions": {"health_check": {"endpoint": f"127.0.0.1:{self._health_port}"}},
            "receivers": {
                "otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self._otlp_port}"}}},
                "prometheus": {"config": {"scrape_configs": jobs}, "discovery_reload_on_startup": True},
            },
            "processors": {"batch": {"timeout": "50ms"}},
            # Otherwise its own metrics would use port 8888.
            "service": {"telemetry": {"metrics": {"level": "none"}}},
        }

    def _ended(self) -> bool:
        return self._process.poll() is not None

    def _answers(self) -> bool:
        try:
            return httpx.get(self.health_url).status_code == 200
        except httpx.TransportError:
            return False


def _plain(kind: str, name: str) -> str:
    return f"{kind}/{name.split('/')[0].replace('_', '')}"


def _environment(changes: Mapping[str, str]) -> dict[str, str]:
    # The collector gets no settings of this machine.
    return {"PATH": os.environ.get("PATH", ""), **changes}


def _output(executable: str, *arguments: str) -> str:
    return subprocess.run([executable, *arguments], capture_output=True, text=True, check=True).stdout
