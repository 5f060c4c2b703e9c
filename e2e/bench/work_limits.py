"""The counts that a request may have: more is a change for the worse, which has to be meant.

`work_limits.json` holds them for each engine. A change that needs more raises them, which reviewers see. One
that needs less lowers them, so that it stays so: ``aoai-gateway bench --part work --write-limits``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.bench.work import Work

LIMITS = Path(__file__).with_name("work_limits.json")
# How far a count may lie above its limit, as a share of it: as far as it differs from run to run.
_TOLERANCES = {"instructions": 0.02, "kib": 0.08}
# Calls never differ, but some are made once a second: on a slow machine more of them fall to a request.
_PART_OF_A_CALL = 0.3


@dataclass(frozen=True)
class Limits:
    """The limits of the cases of an engine, and what they were measured with."""

    runtime: str
    cases: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, engine: str, path: Path = LIMITS) -> Limits:
        """Those of an engine; without cases where nobody has measured it."""
        known = json.loads(path.read_text()) if path.exists() else {}
        return cls(**known[engine]) if engine in known else cls("", {})

    def excess(self, case: str, work: Work) -> list[str]:
        """Which counts are above their limits, and by how much.

        >>> limits = Limits("1", {"answer": {"sends": 2.0, "instructions": 1000.0}})
        >>> limits.excess("answer", Work({"sends": 3.0, "instructions": 1004.0}, "1"))
        ['sends: 3 instead of 2']
        """
        allowed = self.cases.get(case, {})
        names = [name for name in allowed if work.runtime == self.runtime or name not in _TOLERANCES]
        return [
            f"{name}: {work.counts[name]:,.10g} instead of {allowed[name]:,.10g}"
            for name in names
            if work.counts[name] > allowed[name] * (1 + _TOLERANCES.get(name, 0.0)) + _PART_OF_A_CALL
        ]


def write_limits(engine: str, measured: Mapping[str, Work], path: Path = LIMITS) -> None:
    """Makes the counts of the cases of an engine their limits."""
    known = json.loads(path.read_text()) if path.exists() else {}
    cases = {
        case: {name: round(value, 1) for name, value in work.counts.items()}
        for case, work in measured.items()
    }
    (runtime,) = {work.runtime for work in measured.values()}
    known[engine] = {"runtime": runtime, "cases": cases}
    path.write_text(json.dumps(known, indent=2) + "\n")
