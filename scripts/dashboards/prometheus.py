"""Asks a Prometheus what a panel asks."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from dataclasses import dataclass

from scripts.dashboards.panels import Panel

Point = tuple[float, float]
"""A time in seconds since the epoch, and a value."""


@dataclass(frozen=True)
class Series:
    """One series of an answer."""

    labels: dict[str, str]
    points: list[Point]


@dataclass(frozen=True)
class Source:
    """A Prometheus and the time to look at; everything is chosen."""

    url: str
    start: float
    end: float
    rate_seconds: int = 10

    def ask(self, panel: Panel) -> list[Series]:
        """The series that a panel shows: over the time for a chart, else those at its end."""
        if panel.kind == "chart":
            step = max((self.end - self.start) / 200, 1)
            return self._query(
                "query_range", self.expand(panel.query), start=self.start, end=self.end, step=step
            )
        return self._query("query", self.expand(panel.query), time=self.end)

    def expand(self, query: str) -> str:
        """A query with all variables replaced: `rate(m{a=~"$backend"}[RATE])` → `rate(m{a=~".*"}[10s])`."""
        for name in ("deployment", "backend", "client"):
            query = query.replace(f"${name}", ".*")
        query = query.replace("[RANGE]", f"[{self.end - self.start:.0f}s]")
        return query.replace("[RATE]", f"[{self.rate_seconds}s]")

    def _query(self, kind: str, query: str, **times: float) -> list[Series]:
        parameters = urllib.parse.urlencode({"query": query, **times})
        # The address is one that the caller gives, on this machine.
        with urllib.request.urlopen(f"{self.url}/api/v1/{kind}?{parameters}") as answer:  # noqa: S310
            result = json.load(answer)["data"]["result"]
        return [
            Series(
                one["metric"],
                [(float(at), float(value)) for at, value in one.get("values", [one.get("value")])],
            )
            for one in result
        ]
