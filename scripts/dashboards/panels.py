"""The panels, as `dashboards/panels.yaml` lists them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

PURPOSE = "Which backend and region serve, how often failover triggers and why, and what it costs."
DIRECTORY = Path(__file__).resolve().parents[2] / "dashboards"


@dataclass(frozen=True)
class Panel:
    """One panel; the file says what the fields mean."""

    section: str
    title: str
    about: str
    kind: Literal["number", "chart", "table"]
    width: int
    query: str
    unit: str = "short"
    stacked: bool = False

    @property
    def labels(self) -> list[str]:
        """The labels that tell the series of a chart apart: those of the outermost `by`, except `le`."""
        _, by, rest = self.query.partition(" by (")
        return [name for name in rest.partition(")")[0].split(", ") if name != "le"] if by else []


def read() -> list[Panel]:
    """All panels, in their order."""
    section, panels = "", []
    for entry in yaml.safe_load((DIRECTORY / "panels.yaml").read_text(encoding="utf-8")):
        if "section" in entry:
            section = entry["section"]
        else:
            panels.append(Panel(section=section, **entry))
    return panels
