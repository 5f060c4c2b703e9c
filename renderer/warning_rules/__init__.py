"""Rules about values that are valid and cannot work: each takes the draft and yields warnings.

A rule looks at valid groups only, as those of `cross_rules` do.
"""

from __future__ import annotations

from collections.abc import Iterator

from renderer.draft import Draft
from renderer.problems import Problem
from renderer.warning_rules import access, addresses, keys, placeholders


def check(draft: Draft) -> Iterator[Problem]:
    """Apply every rule to what is valid so far."""
    for rule in (*placeholders.RULES, *keys.RULES, *addresses.RULES, *access.RULES):
        yield from rule(draft)
