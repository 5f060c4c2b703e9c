"""This gateway, on an engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.bench.added_lua import AddedLua
from e2e.bench.pools import SERVING, Pool
from e2e.bench.targets.base import Running, Site, Target
from e2e.bench.targets.plain import PATH
from e2e.local_settings import backend_settings, client_settings
from e2e.redis_server import is_installed
from scripts.engines import EngineError, Gateway, choose_engine, start_files
from scripts.engines.files import render

API_VERSION = "?api-version=2024-10-21"
_PREFERRED = "10"
_SILENCE, _SILENT_LUA = "silence", Path(__file__).parents[1] / "silent.lua"
_LIMITS = {"tokens_per_minute": "1000000000", "requests_per_minute": "1000000000"}


class ThisGateway(Target):
    """The gateway with its defaults: keys, records and metrics are on."""

    def __init__(self, engine: str) -> None:
        self.name = engine
        self.title = f"this gateway, {engine}"

    def missing(self) -> str | None:
        """What the engine lacks."""
        try:
            choose_engine(self.name)
        except EngineError as error:
            return "; ".join(error.problems)
        return None

    def offers(self, pool: Pool) -> bool:
        """All of them; Redis has to be installed for its own."""
        return pool.extra != "redis" or is_installed()

    @contextmanager
    def running(self, pool: Pool, site: Site) -> Iterator[Running]:
        """A gateway of one worker."""
        with started(self.name, pool, site) as gateway:
            keys = tuple(client_key(number) for number in range(pool.clients))
            others = {"key_header": "api-key", "keys": keys} if pool.clients > 1 else {}
            url = f"{gateway.url}{PATH}{API_VERSION}"
            yield Running(url, gateway.pid, {"api-key": keys[0]}, **others)  # type: ignore[arg-type]


@contextmanager
def started(name: str, pool: Pool, site: Site) -> Iterator[Gateway]:
    """A gateway for a pool, on the engine of that name. Raises `EngineError` when it cannot be started."""
    env = environment(pool, site)
    engine, _ = choose_engine(name)
    files = render(env, engine.bundle_root)
    silencing = AddedLua(engine, _SILENT_LUA, (_SILENCE,)) if pool.extra == "silent" else None
    with start_files(files, engine=silencing or engine, env=env, workers=1, timeout=60) as gateway:
        if silencing:
            silencing.ask(_SILENCE)
        yield gateway


def client_key(number: int) -> str:
    """The key of a client."""
    return f"client-key-of-the-benchmark-{number:05}"


def environment(pool: Pool, site: Site) -> dict[str, str]:
    """The settings of a gateway for a pool."""
    env: dict[str, str] = {}
    for number in range(pool.clients):
        env |= client_settings(number, f"client-{number}", client_key(number))
    for index, (kind, number) in enumerate(pool.members):
        priority = {} if kind == SERVING else {"priority": _PREFERRED}
        endpoint = site.backends.url(kind, number)
        env |= backend_settings(index, f"{kind}-{number}", endpoint, **priority)
    if pool.extra == "redis":
        env |= site.redis
        env |= {f"GATEWAY_CLIENT_{name.upper()}_0": value for name, value in _LIMITS.items()}
    elif pool.extra == "telemetry":
        env["OTEL_COLLECTOR_ENDPOINT"] = f"http://127.0.0.1:{site.backends.sink}"
    elif pool.extra == "limit":
        env["GATEWAY_CLIENT_REQUESTS_PER_MINUTE_0"] = "1"
    return env
