"""How much memory a gateway's workers take, as Linux counts it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.engines import Gateway

# Written to clear_refs, it makes the peak start again from the present size. Source: proc(5).
_RESET_PEAK = "5"


@dataclass
class Growth:
    """What a block of a test cost the worker that grew most."""

    mib: float = 0.0


def _status_kib(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(rf"{field}:\s+(\d+)", status)[0])


GARBAGE_MIB = 32
"""What a worker may gather before it begins to clean up (base/garbage.lua); half as much comes meanwhile."""


@contextmanager
def peak_growth(gateway: Gateway) -> Iterator[Growth]:
    """Measures how far the resident memory of a worker rises, at its peak, inside the block."""
    growth = Growth()
    before = {}
    for pid in gateway.children:
        Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)
        before[pid] = _status_kib(pid, "VmRSS")
    yield growth
    growth.mib = max(_status_kib(pid, "VmHWM") - kib for pid, kib in before.items()) / 1024
