"""What a target is, and how the others of the benchmark see it while it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from e2e.bench.backend import Backends
from e2e.bench.pools import Pool
from e2e.bench.workload import Request, prompt
from e2e.redis_server import RedisServer

JSON_TYPE = {"content-type": "application/json"}


@dataclass(frozen=True)
class Site:
    """Where a target is set up: its own directory, the backends, and a Redis where the pool wants one."""

    directory: Path
    backends: Backends
    redis: dict[str, str] = field(default_factory=dict)
    """The gateway's settings for it."""


@contextmanager
def site_of(pool: Pool, directory: Path, backends: Backends) -> Iterator[Site]:
    """A site in this directory, with a Redis of its own where the pool wants one."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer()).settings if pool.extra == "redis" else {}
        yield Site(directory, backends, {name: str(value) for name, value in redis.items()})


@dataclass(frozen=True)
class Running:
    """A target that runs: how to ask it, and whose time and memory are its own."""

    base: str
    """Its address, with `{deployment}` where the path has it."""
    pid: int | None = None
    """The first of its processes; none where it has none, as without a gateway."""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    key_header: str = ""
    keys: tuple[str, ...] = field(default=(), repr=False)
    model: str = "{deployment}"

    def request(self, deployment: str, size: int = 0) -> Request:
        """What a client sends to have a deployment's answer, with a prompt of `size` bytes when given."""
        body = prompt(deployment, self.model.replace("{deployment}", deployment), size)
        headers = {
            **JSON_TYPE,
            **{name: value.replace("{deployment}", deployment) for name, value in self.headers.items()},
        }
        url = self.base.replace("{deployment}", deployment)
        return Request(url, headers, body, self.key_header, self.keys)


class Target(ABC):
    """Something to measure."""

    name: str
    title: str

    @abstractmethod
    def missing(self) -> str | None:
        """Why it is not at hand; None when it is. May install it."""

    @abstractmethod
    def offers(self, pool: Pool) -> bool:
        """Whether it can be set up with a pool."""

    @abstractmethod
    @contextmanager
    def running(self, pool: Pool, site: Site) -> Iterator[Running]:
        """The target with a pool. Raises `EngineError` when it cannot be started."""
