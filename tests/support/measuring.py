"""What a process under test needs of its environment so that `make coverage` counts its lines."""

from __future__ import annotations

import os

_NAMES = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START", "LUA_LINE_COUNTS")


def measuring() -> dict[str, str]:
    """These variables, for a process that gets no others; usually none is set."""
    return {name: os.environ[name] for name in _NAMES if name in os.environ}


# A worker whose lines are counted takes some thirty times as long for a large body.
PATIENCE = 30 if "LUA_LINE_COUNTS" in os.environ else 1
"""What to multiply the time by that a gateway has for an answer."""
