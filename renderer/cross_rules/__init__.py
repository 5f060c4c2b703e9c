"""Rules between settings: each takes the draft of the settings and yields what is wrong with it.

A rule looks at valid groups only; a mistake in a group has its own problem already.
"""

from __future__ import annotations

from collections.abc import Iterator

from renderer.cross_rules import backends, clients, end_to_end, guardrails, live_page
from renderer.draft import Draft
from renderer.problems import Problem


def check(draft: Draft) -> Iterator[Problem]:
    """Apply every rule to what is valid so far."""
    for rule in (*backends.RULES, *clients.RULES, *guardrails.RULES, *end_to_end.RULES, *live_page.RULES):
        yield from rule(draft)
