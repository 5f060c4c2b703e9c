"""The contract between the engines and the code that starts them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

REPOSITORY = Path(__file__).resolve().parents[2]


class EngineError(Exception):
    """The gateway cannot be started; `problems` has one line for each reason."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Ports:
    """Where a gateway listens on 127.0.0.1."""

    traffic: int
    metrics: int
    status: int


@dataclass(frozen=True)
class Tls:
    """The certificate that a gateway shows to its clients, and the key to it; both are PEM texts."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Instance:
    """One gateway to run: its directory, its rendered files and its listeners.

    `files` maps file names (apisix.yaml, config.yaml) to their text. `env` holds the variables that the
    gateway's Lua may read. Without `workers`, config.yaml decides how many there are. With `tls` the listener
    for clients speaks HTTPS.
    """

    directory: Path
    files: Mapping[str, str]
    ports: Ports
    env: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    tls: Tls | None = None


@dataclass(frozen=True)
class Launch:
    """A prepared gateway: the process to start and the files to watch.

    The running gateway reloads when the file `apisix_yaml` changes. `stop_command` makes the command that
    stops the gateway where a signal to the started process would not reach it, as with a container. Its
    argument is how many seconds requests in flight may still take. `fitted` makes the text of that file from
    a rendered one.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: Path
    apisix_yaml: Path
    error_log: Path
    access_log: Path
    stop_command: Callable[[float], list[str]] | None = None
    fitted: Callable[[str], str] = str


class Engine(Protocol):
    """A way to run the rendered files and the Lua bundle."""

    @property
    def name(self) -> str:
        """The engine's name on the command line."""

    @property
    def bundle_root(self) -> str:
        """The directory that holds apisix/plugins, as the engine sees it."""

    @property
    def settle_seconds(self) -> float:
        """How many seconds a worker may serve the old apisix.yaml after it has read the new one."""

    def missing(self) -> str | None:
        """Says why this engine cannot run here, and what to do about it; None when it can."""

    def prepare(self, instance: Instance) -> Launch:
        """Writes what the engine needs into the instance's directory.

        Raises:
            EngineError: the files ask for something that the engine does not offer.
        """
