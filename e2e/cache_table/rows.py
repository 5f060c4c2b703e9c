"""What a run has shown beside the goal, as rows of a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from e2e.cache_table.playing import Totals

GOAL_OF_SHARE = 0.9
GOAL_OF_BALANCE = 1.25


@dataclass(frozen=True)
class Way:
    """A way to choose among equals."""

    name: str
    settings: Mapping[str, str]


ROUND_ROBIN = Way("round robin", {"PROMPT_CACHE_AFFINITY": "false"})
BY_CLIENT = Way("by client", {"LB_ALG": "chash", "LB_HASH_ON": "consumer"})
OURS = Way("ours", {})
WAYS = [ROUND_ROBIN, BY_CLIENT, OURS]


@dataclass(frozen=True)
class Cell:
    """One run."""

    totals: Totals
    weights: Mapping[str, int]

    @property
    def balance(self) -> float:
        """The largest share of the requests, divided by the share that its weight deserves."""
        total = sum(self.weights.values())
        shares = (
            self.totals.by_backend[name] / self.totals.requests / (weight / total)
            for name, weight in self.weights.items()
        )
        return max(shares)

    def __str__(self) -> str:
        """`91.2 % · 1.04`."""
        usd = "" if self.totals.usd is None else f" · ${self.totals.usd:.2f}"
        return f"{self.totals.share:.1%}{usd} · {self.balance:.2f}"


@dataclass(frozen=True)
class Row:
    """A shape behind so many backends."""

    shape: str
    backends: int
    throttles: bool
    is_bound: bool
    alone: Cell
    cells: Mapping[str, Cell]

    @property
    def kept(self) -> float:
        """How much of the cached share of a single backend ours gets."""
        alone = self.alone.totals.share
        return self.cells[OURS.name].totals.share / alone if alone else 1.0

    @property
    def is_good(self) -> bool:
        """Whether ours reaches the goal. Nobody can balance what has its place."""
        is_balanced = self.is_bound or self.cells[OURS.name].balance <= GOAL_OF_BALANCE
        return self.kept >= GOAL_OF_SHARE and is_balanced

    def __str__(self) -> str:
        """The row in Markdown."""
        cells = " | ".join(str(self.cells[way.name]) for way in WAYS)
        name = f"{self.shape}{', throttled' if self.throttles else ''}"
        verdict = "" if self.is_good else " **missed**"
        return f"| {name} | {self.backends} | {self.alone} | {cells} | {self.kept:.0%}{verdict} |"


HEAD = (
    "| Sessions | Backends | One backend | Round robin | By client | Ours | Ours ÷ one |\n"
    "|---|---|---|---|---|---|---|"
)


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    return "\n".join([HEAD, *map(str, rows)])
