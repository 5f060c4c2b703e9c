"""What a rehearsal has shown: how long each step took, and which bodies were checked against what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tests.rehearsal.azure.state import Ledger
from tests.rehearsal.stage import Ran

CANNOT_SHOW = """\
What the definitions and the stand-in cannot show:
  pairs of cpu and memory that Azure accepts, rules for names, rules across several fields
  quotas, and what a region or a SKU offers
  answers: they are checked only by what the real tools make of them
  how long Azure takes, and how it recovers
  whether images build, and whether containers start; only the renderer's runs for real"""

_STEP = re.compile(r"▸ (.+)")
_TOOK = re.compile(r"  ((?:\d+ min )?[\d.]+ s)")


def summary(name: str, ran: Iterable[Ran], ledger: Ledger) -> str:
    """The whole summary, as text."""
    lines = [f"── {name}", "Time of each command and of its steps:"]
    for command in ran:
        took, first = f"{command.seconds:.1f} s", command.line.splitlines()[-1]
        lines.append(f"  {took:>10}  {first}  (exit code {command.code})")
        lines += [f"  {took:>10}    {step}" for step, took in _steps(command.screen)]
    return "\n".join([*lines, "", ledger.summary(), "", CANNOT_SHOW, ""])


def _steps(screen: str) -> Iterator[tuple[str, str]]:
    """The steps that a screen shows, each with the time below it."""
    open_step = None
    for line in screen.splitlines():
        begins, took = _STEP.fullmatch(line), _TOOK.fullmatch(line)
        if begins:
            open_step = begins[1]
        elif took and open_step:
            yield open_step, took[1]
            open_step = None
