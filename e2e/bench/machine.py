"""What Linux knows of processes and of the machine: time, memory, connections, and who else was busy."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_ESTABLISHED, _LISTENING = "01", "0A"
_BUSY_SHARE = 0.1
_STOLEN_SHARE = 0.02


@dataclass(frozen=True)
class Cores:
    """The core of the target, and those of clients and backends; the same one where there is only one."""

    target: int
    others: frozenset[int]


def cores() -> Cores:
    """The cores that this process may use, divided."""
    first, *rest = sorted(os.sched_getaffinity(0))
    return Cores(first, frozenset(rest or [first]))


@contextmanager
def on_cores(chosen: frozenset[int]) -> Iterator[None]:
    """This process, and every one that it starts meanwhile, runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    found = [root]
    for pid in found:
        for children in (PROC / str(pid) / "task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in children.read_text().split()]
    return found


def pin(root: int, core: int) -> None:
    """Binds every thread of a tree to a core, also those that chose another one by themselves."""
    for pid in tree(root):
        for thread in (PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(thread.name), {core})


def pause(root: int) -> None:
    """Stops every process of a tree, until `resume`."""
    _signal(root, signal.SIGSTOP)


def resume(root: int) -> None:
    """Lets a tree go on."""
    _signal(root, signal.SIGCONT)


def _signal(root: int, sign: signal.Signals) -> None:
    for pid in tree(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)


def cpu_seconds(root: int) -> float:
    """User and system time of a tree so far, with that of its threads and children that have ended."""
    return sum(map(_own_seconds, tree(root)))


def _own_seconds(pid: int) -> float:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS


def pss_mib(root: int) -> float:
    """Memory of a tree; pages that processes share count once."""
    kib = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            rollup = (PROC / str(pid) / "smaps_rollup").read_text()
            kib += int(re.findall(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[0])
    return kib / 1024


def connections_to(root: int, port: int) -> int:
    """How many connections a tree has to a port."""
    return sum(_port(row[2]) == port for row in _own_sockets(root, _ESTABLISHED))


def listens(root: int, port: int) -> bool:
    """Whether a process of a tree listens on a port. Somebody else may have taken it a moment before."""
    return any(_port(row[1]) == port for row in _own_sockets(root, _LISTENING))


def _own_sockets(root: int, state: str) -> list[list[str]]:
    """The rows of a tree's sockets in the kernel's table. Source: proc_pid_fd(5), proc_pid_net(5)."""
    sockets = {name for pid in tree(root) for name in _sockets(pid)}
    # Node.js, for one, listens on the wildcard address of IPv6, which takes IPv4 as well.
    tables = [table for name in ("tcp", "tcp6") if (table := PROC / "net" / name).exists()]
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    return [row for row in rows if row[3] == state and row[9] in sockets]


def _port(address: str) -> int:
    return int(address.split(":")[1], 16)


def _sockets(pid: int) -> Iterator[str]:
    """The numbers of the sockets that a process has open."""
    for descriptor in (PROC / str(pid) / "fd").glob("*"):
        with contextlib.suppress(OSError):
            link = str(descriptor.readlink())
            if link.startswith("socket:["):
                yield link[8:-1]


@dataclass(frozen=True)
class Clock:
    """The time that all cores together have spent, in ticks."""

    total: int
    idle: int
    stolen: int

    @classmethod
    def now(cls) -> Clock:
        """Source: proc_stat(5)."""
        fields = [int(field) for field in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
        return cls(sum(fields), fields[3] + fields[4], fields[7])

    def busy_share(self, later: Clock) -> float:
        """The share of the cores that was in use until `later`."""
        return 1 - (later.idle - self.idle) / max(later.total - self.total, 1)

    def stolen_share(self, later: Clock) -> float:
        """The share that the host gave to other machines until `later`."""
        return (later.stolen - self.stolen) / max(later.total - self.total, 1)


def remarks(busy_before: float, stolen: float) -> list[str]:
    """Why the figures of a run mean little; empty on a quiet machine."""
    found = []
    if busy_before > _BUSY_SHARE:
        found.append(f"{busy_before:.0%} of the machine was in use before the run")
    if stolen > _STOLEN_SHARE:
        found.append(f"the host took {stolen:.1%} of the processor time away")
    if len(os.sched_getaffinity(0)) < 2:
        found.append("there is one core only: client, target and backends shared it")
    return found


def description() -> str:
    """The machine in a few words."""
    text = (PROC / "cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return f"{len(os.sched_getaffinity(0))} cores, {model[1] if model else os.uname().machine}"
