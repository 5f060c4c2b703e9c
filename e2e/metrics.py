"""Reading the Prometheus text format."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Sample:
    """One sample of a metric."""

    name: str
    labels: dict[str, str]
    value: float

    def has(self, **labels: str) -> bool:
        """Whether all given labels have the given values."""
        return all(self.labels.get(name) == value for name, value in labels.items())


def parse(text: str) -> list[Sample]:
    """The samples of an export."""
    lines = (_LINE.match(line) for line in text.splitlines() if line and not line.startswith("#"))
    return [Sample(line[1], dict(_LABEL.findall(line[2] or "")), float(line[3])) for line in lines if line]
