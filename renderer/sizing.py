"""Sizes: shared dictionaries for the configured pool, workers for the container."""

from __future__ import annotations

import math
import os
from pathlib import Path

from renderer.model import Settings

KIB = 1024
MIB = 1024 * KIB

# A backend without DEPLOYMENTS serves any. There is room for this many.
_ASSUMED_DEPLOYMENTS = 64

# Bytes that nginx's slab allocator takes for the plugins' entries, rounded up.
_AVAILABILITY_PER_PAIR = 1 * KIB
_LIMITS_PER_CLIENT = 2 * KIB
_METRICS_PER_PAIR = 2 * KIB
_METRICS_PER_CLIENT = 4 * KIB


def shared_dictionaries(settings: Settings) -> dict[str, str]:
    """Size of each of the gateway's shared dictionaries by name, in nginx's notation, such as `16m`."""
    pairs = sum(len(backend.deployments or ()) or _ASSUMED_DEPLOYMENTS for backend in settings.backends)
    clients = len(settings.clients) + len(settings.allowed_app_ids)
    return {
        "azure-openai-availability": _megabytes(1 * MIB + pairs * _AVAILABILITY_PER_PAIR),
        # About 250,000 stored resources.
        "azure-openai-ownership": "64m",
        "azure-openai-hints": "4m",
        "azure-openai-limits": _megabytes(1 * MIB + clients * _LIMITS_PER_CLIENT),
        "azure-openai-metrics": _megabytes(
            8 * MIB + pairs * _METRICS_PER_PAIR + clients * _METRICS_PER_CLIENT
        ),
    }


def _megabytes(size: int) -> str:
    return f"{math.ceil(size / MIB)}m"


def worker_processes(settings: Settings) -> int:
    """The configured number of workers, else one for each CPU of this container, rounded up."""
    if settings.gateway.worker_processes is not None:
        return settings.gateway.worker_processes
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cgroup_cpus(Path("/sys/fs/cgroup"))
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
