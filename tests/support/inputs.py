"""How much generated input the property tests try."""

from __future__ import annotations

_SHARE = {"quick": 4, "long": 1}
_suite = "quick"


def choose_suite(long: bool) -> None:
    """Say which suite runs, before any test module is imported."""
    global _suite
    _suite = "long" if long else "quick"


def many(examples: int) -> int:
    """So many inputs in the long suite, and a quarter of them in the quick one, but not less than 25.

    They are the same in each run, so the quick suite would learn little from the others.
    """
    return max(min(examples, 25), examples // _SHARE[_suite])
