"""Sizes: shared dictionaries for the configured pool, workers for the container."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from renderer.model import Settings

KIB = 1024
MIB = 1024 * KIB

# A backend without DEPLOYMENTS serves any. There is room for this many.
_ASSUMED_DEPLOYMENTS = 64

# Bytes that nginx's slab allocator takes for the plugins' entries, rounded up.
_AVAILABILITY_PER_PAIR = 2 * KIB
_SIGHTINGS_PER_BACKEND = 32 * KIB
_SIGHTINGS_PER_CLIENT = 8 * KIB
_LIMITS_PER_CLIENT = 2 * KIB
_CONVERSATIONS_PER_CLIENT = 64 * KIB
# What this period and the last have used, and what Redis has told of it, for six budgets.
_BUDGETS_PER_CLIENT = 8 * KIB
_METRICS_PER_PAIR = 2 * KIB
_METRICS_PER_CLIENT = 4 * KIB

_CGROUP = Path("/sys/fs/cgroup")

# A stream takes two connections, to the client and to the backend, and 46 KiB of a worker's memory. This is
# more, to be safe. `python -m e2e.many_streams` measures it.
_STREAM_BYTES = 64 * KIB
# The part of the memory that streams may take. The rest is for the workers themselves and for bodies.
_SHARE_OF_STREAMS = 0.5
_FEWEST_CONNECTIONS = 1024
# With more clients the items and ephemeral keys of those that use the gateway least are forgotten first.
_MOST_CLIENTS_WITH_ITEMS = 31
_MOST_CONNECTIONS = 65535
# Files beside connections: logs, listeners, pipes.
_OTHER_FILES = 64


def shared_dictionaries(settings: Settings) -> dict[str, str]:
    """Size of each of the gateway's shared dictionaries by name, in nginx's notation, such as `16m`."""
    pairs = sum(len(backend.deployments or ()) or _ASSUMED_DEPLOYMENTS for backend in settings.backends)
    clients = len(settings.clients) + len(settings.allowed_app_ids)
    sizes = {
        "azure-openai-availability": _megabytes(1 * MIB + pairs * _AVAILABILITY_PER_PAIR),
        # Deployments that only clients have named, for minutes.
        "azure-openai-unproven": "2m",
        # Failures that clients have met, for seconds.
        "azure-openai-sightings": _megabytes(
            1 * MIB + len(settings.backends) * _SIGHTINGS_PER_BACKEND + clients * _SIGHTINGS_PER_CLIENT
        ),
        # Tokens of managed identities: one of a few kilobytes for each identity and scope.
        "azure-openai-identity": "1m",
        # The last 2,048 ephemeral keys of each client: 1 MiB (routing/ephemeral_keys.lua).
        "azure-openai-ephemeral": _megabytes(1 * MIB + min(max(clients, 1), _MOST_CLIENTS_WITH_ITEMS) * MIB),
        # About 250,000 stored resources.
        "azure-openai-ownership": "64m",
        "azure-openai-hints": "4m",
        # Items that clients send again with each turn: 1 MiB for each client (routing/item_hints.lua).
        "azure-openai-items": _megabytes(1 * MIB + min(clients, _MOST_CLIENTS_WITH_ITEMS) * MIB),
        # Where conversations are, for minutes: 256 places for each client (routing/cache_affinity.lua).
        "azure-openai-conversations": _megabytes(1 * MIB + clients * _CONVERSATIONS_PER_CLIENT),
        "azure-openai-limits": _megabytes(1 * MIB + clients * _LIMITS_PER_CLIENT),
        "azure-openai-budgets": _megabytes(1 * MIB + clients * _BUDGETS_PER_CLIENT),
        "azure-openai-metrics": _megabytes(
            8 * MIB + pairs * _METRICS_PER_PAIR + clients * _METRICS_PER_CLIENT
        ),
    }
    if settings.live_page.access != "off":
        # 256 requests of up to 4 KiB, and the sums of 256 pairs of client and deployment.
        sizes["azure-openai-live"] = "4m"
    return sizes


def _megabytes(size: int) -> str:
    return f"{math.ceil(size / MIB)}m"


def worker_processes(settings: Settings) -> int:
    """The configured number of workers, else one for each CPU of this container, rounded up."""
    if settings.gateway.worker_processes is not None:
        return settings.gateway.worker_processes
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cgroup_cpus(_CGROUP)
    return available if limit is None else max(1, min(available, math.ceil(limit)))


def cgroup_cpus(root: Path) -> float | None:
    """The container's limit in CPUs; None without a limit. Example: `150000 100000` in `cpu.max` → `1.5`.

    Source: the kernel's documentation of cgroup v2 and v1.
    """
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None  # `max` in v2 and -1 in v1 mean no limit
    return int(quota) / int(period)


@dataclass(frozen=True)
class Connections:
    """What one worker may have open."""

    connections: int
    """`worker_connections`: to clients, backends and Redis together."""
    files: int
    """`worker_rlimit_nofile`: the connections, and bodies that are too large for memory."""


def connections(settings: Settings) -> Connections:
    """The connections of one worker, from this container's limits of memory and of open files."""
    memory = cgroup_memory(_CGROUP) or _machine_memory()
    return connections_for(memory, _open_files(), worker_processes(settings))


def connections_for(memory: int, files: int, workers: int) -> Connections:
    """The connections of one of `workers` workers that share `memory` bytes and may each open `files` files.

    >>> connections_for(memory=2 * 1024 * MIB, files=1048576, workers=1)
    Connections(connections=32768, files=65536)
    """
    streams = memory * _SHARE_OF_STREAMS / _STREAM_BYTES
    affordable = min(max(math.ceil(2 * streams / workers), _FEWEST_CONNECTIONS), _MOST_CONNECTIONS)
    return Connections(
        connections=max(min(affordable, files - _OTHER_FILES), 1), files=min(2 * affordable, files)
    )


def cgroup_memory(root: Path) -> int | None:
    """The container's memory limit in bytes; None without a limit. Example: `1073741824` in `memory.max`.

    Source: the kernel's documentation of cgroup v2 and v1.
    """
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (root / name).read_text().strip()
        except OSError:
            continue
        # No limit is `max` in v2, and in v1 the largest number of pages.
        return int(text) if text.isdigit() and int(text) < _machine_memory() else None
    return None


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _open_files() -> int:
    import resource  # Windows has none, and the deploy commands import this module

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard != resource.RLIM_INFINITY else 2 * _MOST_CONNECTIONS
