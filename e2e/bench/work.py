"""What a request does, counted. The counts are steady where times are not, so a test can guard them.

The worker runs with its compiler off: `instructions` are those of LuaJIT's virtual machine, `kib` is what a
request allocates, `writes` are calls of the kernel, the others those of Lua. What the compiler makes of it
only the benchmark itself can tell.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from e2e.bench.added_lua import AddedLua
from e2e.bench.pools import ALL_RESTING, ONE, REDIS, RESTING_FIRST, TELEMETRY, Pool
from e2e.bench.targets import Running, Site
from e2e.bench.targets.gateway import client_key, environment
from e2e.bench.targets.plain import PATH
from e2e.bench.workload import ANSWER, Request
from scripts.engines import Gateway, choose_engine, start_files
from scripts.engines.files import render

WARM_UP, REQUESTS, REPEATS = 30, 50, 3
COUNTS = ("dictionary", "connects", "sends", "reads", "prints", "flushes", "writes", "instructions", "kib")

_LUA = Path(__file__).with_name("work.lua")


@dataclass(frozen=True)
class Case:
    """A kind of request whose work is counted."""

    name: str
    pool: Pool
    deployment: str = ANSWER
    status: int = 200


CASES = (
    Case("answer", ONE),
    Case("stream", ONE, "stream50"),
    Case("failover", RESTING_FIRST),
    Case("all throttled", ALL_RESTING, status=429),
    Case("redis", REDIS),
    Case("telemetry", TELEMETRY),
)


@dataclass(frozen=True)
class Work:
    """The counts of one request, and the versions of what runs the Lua: they decide some of the counts."""

    counts: Mapping[str, float]
    runtime: str


def work(engine: str, case: Case, site: Site, added: str = "") -> Work:
    """What a request of a case does on an engine, per request: the least of some repeats.

    Whatever else a worker does meanwhile only adds to it. `added` is Lua that is loaded first, to see what it
    costs. Raises `EngineError` when the gateway cannot be started.
    """
    chosen, _ = choose_engine(engine)
    counting = AddedLua(chosen, _LUA, ("begin", "finish", "runtime"), added)
    env = environment(case.pool, site)
    with start_files(render(env, chosen.bundle_root), engine=counting, env=env) as gateway:
        request = Running(f"{gateway.url}{PATH}", headers={"api-key": client_key(0)}).request(case.deployment)
        _send(gateway, request, case, WARM_UP)
        found = [_counted(gateway, counting, request, case) for _ in range(REPEATS)]
        runtime = counting.ask("runtime")
    return Work({name: min(counts.get(name, 0.0) for counts in found) / REQUESTS for name in COUNTS}, runtime)


def _counted(gateway: Gateway, counting: AddedLua, request: Request, case: Case) -> Mapping[str, float]:
    counting.ask("begin")
    before = _writes(gateway)
    _send(gateway, request, case, REQUESTS)
    writes = _writes(gateway) - before
    lines = counting.ask("finish").splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines)} | {"writes": writes}


def _writes(gateway: Gateway) -> float:
    """How often the workers have called the kernel to write: to clients and logs. Source: proc_pid_io(5)."""
    lines = [Path(f"/proc/{pid}/io").read_text() for pid in gateway.children]
    return sum(float(re.findall(r"syscw: (\d+)", text)[0]) for text in lines)


def _send(gateway: Gateway, request: Request, case: Case, times: int) -> None:
    address = urlsplit(request.url)
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=30)
    for _ in range(times):
        connection.request("POST", f"{address.path}?{address.query}", request.body, dict(request.headers))
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == case.status, said
    connection.close()
