"""What every engine offers: whether it can run here, and how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from scripts.engines.ports import Ports

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Instance:
    """One gateway to be run: its directory, its rendered files and its listeners.

    `files` maps names (apisix.yaml, config.yaml) to text; `env` holds the variables that the gateway's
    Lua may read; `workers` is None for as many as config.yaml says.
    """

    directory: Path
    files: Mapping[str, str]
    ports: Ports
    env: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None


@dataclass(frozen=True)
class Launch:
    """A prepared gateway: the process to start and the files to look at.

    `apisix_yaml` is the file whose change makes the running gateway reload. `stop_command` replaces
    signals where the started process is only a client of the gateway; it gets the seconds that requests
    in flight have.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: Path
    apisix_yaml: Path
    error_log: Path
    access_log: Path
    stop_command: Callable[[float], list[str]] | None = None


class Engine(Protocol):
    """Something that runs the rendered files and the Lua bundle."""

    @property
    def name(self) -> str:
        """Its name on the command line."""

    @property
    def bundle_root(self) -> str:
        """Where the engine sees the directory that holds apisix/plugins."""

    @property
    def settle_seconds(self) -> float:
        """How long after a worker has read a changed apisix.yaml it may still serve the old one."""

    def missing(self) -> str | None:
        """Why this engine cannot run here, and what to do about it; None when it can."""

    def prepare(self, instance: Instance) -> Launch:
        """Writes what the engine needs into the instance's directory.

        Raises:
            EngineError: the files ask for something that the engine does not offer.
        """
