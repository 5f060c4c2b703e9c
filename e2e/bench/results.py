"""The samples of a run: medians, spreads, and the file that holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from e2e.bench.rows import Figure, Row

DIRECT = "direct"


@dataclass(frozen=True)
class Sample:
    """What one measurement of a row on a target has shown, or why it failed."""

    row: str
    target: str
    number: int
    """The round, from 0; the rounds of a second start go on counting."""
    figures: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Cell:
    """The median of a figure over the rounds, and its least and greatest value."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Cell:
        """The cell of these values, of which there is at least one."""
        return cls(median(values), min(values), max(values))

    @property
    def spread(self) -> float:
        """Half the distance from the least to the greatest, as a share of the median."""
        return (self.greatest - self.least) / 2 / abs(self.median) if self.median else 0.0


@dataclass
class Results:
    """A whole run."""

    machine: str
    command: str
    commit: str
    seconds: int
    rounds: int
    """After each start."""
    starts: int = 1
    absent: dict[str, str] = field(default_factory=dict)
    """Targets that were not at hand, and why."""
    remarks: list[str] = field(default_factory=list)
    """Why the figures mean little."""
    samples: list[Sample] = field(default_factory=list)

    def cell(self, row: Row, figure: Figure, target: str) -> Cell | None:
        """A figure of a row on a target; none where nothing was measured."""
        values = []
        for sample in self._good(row, target):
            value = sample.figures.get(figure.key)
            base = self._direct(row, figure, sample.number) if figure.above_direct else 0.0
            if value is not None and base is not None:
                values.append(value - base)
        return Cell.of(values) if values else None

    def _good(self, row: Row, target: str) -> list[Sample]:
        return [sample for sample in self.samples if (sample.row, sample.target) == (row.name, target)]

    def _direct(self, row: Row, figure: Figure, number: int) -> float | None:
        for sample in self._good(row, DIRECT):
            if sample.number == number:
                return sample.figures.get(figure.key)
        return None

    def errors(self) -> list[str]:
        """What failed, once for each row and target."""
        found = {f"{sample.row}, {sample.target}": sample.error for sample in self.samples if sample.error}
        return [f"{where}: {error}" for where, error in found.items()]

    def write(self, path: Path) -> None:
        """Writes everything as JSON, a sample on each line."""
        document = asdict(self)
        samples = ",\n".join(f"  {json.dumps(sample)}" for sample in document.pop("samples"))
        head = json.dumps(document, indent=1).removesuffix("\n}")
        path.write_text(f'{head},\n "samples": [\n{samples}\n ]\n}}\n')

    @classmethod
    def read(cls, path: Path) -> Results:
        """The results of an earlier run."""
        document: dict[str, Any] = json.loads(path.read_text())
        document["samples"] = [Sample(**sample) for sample in document["samples"]]
        return cls(**document)
