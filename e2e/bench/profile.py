"""Where the time of a request goes: LuaJIT's profiler in a busy worker, drawn as a flame graph."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from e2e.bench import wrk
from e2e.bench.added_lua import AddedLua
from e2e.bench.pools import ONE
from e2e.bench.targets import Running, Site
from e2e.bench.targets.gateway import client_key, environment
from e2e.bench.targets.plain import PATH
from e2e.bench.workload import ANSWER
from scripts.engines import choose_engine, start_files
from scripts.engines.files import render

CONNECTIONS = 16
STATES = ("C code", "garbage collection", "compiler")
"""What a stack may end with, besides frames of Lua."""

_LUA = Path(__file__).with_name("profile.lua")
_OURS, _PROMETHEUS = "/azure-openai", "/prometheus"


@dataclass
class Frame:
    """A function below its callers: how often it was seen, itself or what it called."""

    name: str
    samples: int = 0
    callees: dict[str, Frame] = field(default_factory=dict)

    def add(self, path: list[str], samples: int) -> None:
        """Adds a stack below this frame."""
        self.samples += samples
        if path:
            name, *rest = path
            self.callees.setdefault(name, Frame(name)).add(rest, samples)

    @property
    def depth(self) -> int:
        """How many frames stand on each other, this one among them."""
        return 1 + max((callee.depth for callee in self.callees.values()), default=0)


def profile(engine: str, site: Site, warm_up_seconds: int = 4, seconds: int = 20) -> Frame:
    """The stacks of a busy worker. Raises `EngineError` when the gateway cannot be started."""
    chosen, _ = choose_engine(engine)
    noting = AddedLua(chosen, _LUA, ("begin", "clear", "finish"))
    env = environment(ONE, site)
    with start_files(render(env, chosen.bundle_root), engine=noting, env=env, workers=1) as gateway:
        running = Running(f"{gateway.url}{PATH}", headers={"api-key": client_key(0)})
        noting.ask("begin")
        _load(running, warm_up_seconds)
        noting.ask("clear")
        _load(running, seconds)
        return tree(noting.ask("finish"))


def _load(running: Running, seconds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        load = wrk.started(running.request(ANSWER), Path(name) / "load.lua", seconds, CONNECTIONS)
        wrk.check(wrk.finished(load, seconds), refused=False)


def tree(folded: str) -> Frame:
    """The frames of lines such as ``init.lua:access;auth.lua:find;C code 12``.

    >>> root = tree("/a/init.lua:access;/a/auth.lua:find;C code 2\\n/a/init.lua:access 1\\n")
    >>> root.samples, root.callees["/a/init.lua:access"].samples
    (3, 3)
    """
    root = Frame("all")
    for line in folded.splitlines():
        stack, _, samples = line.rpartition(" ")
        root.add([frame for frame in stack.split(";") if frame], int(samples))
    return root


def ends(frame: Frame, caller: str = "") -> Iterator[tuple[str, str, int]]:
    """The innermost function of Lua, the state (empty for Lua itself) and how often both were seen."""
    own = frame.samples - sum(callee.samples for callee in frame.callees.values())
    if own:
        yield (caller, frame.name, own) if frame.name in STATES else (frame.name, "", own)
    for callee in frame.callees.values():
        yield from ends(callee, frame.name)


def shares(root: Frame, *, by_state: bool) -> list[tuple[str, float]]:
    """The share of each state, or of each part of the program, in all samples; the largest first.

    >>> root = tree("/a/init.lua:access;C code 3\\n/a/plugins/azure-openai/hook.lua:run 1\\n")
    >>> shares(root, by_state=True)
    [('C code', 0.75), ('Lua', 0.25)]
    >>> shares(root, by_state=False)
    [('APISIX and its libraries', 0.75), ('this gateway', 0.25)]
    """
    counts: Counter[str] = Counter()
    for function, state, samples in ends(root):
        counts[(state or "Lua") if by_state else part_of(function)] += samples
    return [(name, count / root.samples) for name, count in counts.most_common()]


def part_of(function: str) -> str:
    """Whose a function is."""
    if _OURS in function:
        return "this gateway"
    if _PROMETHEUS in function:
        return "APISIX's metrics"
    return "APISIX and its libraries" if "/" in function else "nginx"
