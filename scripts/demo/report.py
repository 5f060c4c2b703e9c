"""Shows the demo's requests in a table that grows row by row, 100 columns wide."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scripts.demo.calls import Outcome
from scripts.demo.stage import Stage

WIDTH = 100
# Heading, width in characters, and alignment of the cells.
_COLUMNS = (
    ("request", 26, "left"),
    ("status", 6, "right"),
    ("winner", 13, "left"),
    ("attempts", 28, "left"),
    ("first token", 11, "right"),
    ("total", 6, "right"),
)


def make_console() -> Console:
    """The console of the demo: at most 100 columns on a terminal, exactly 100 anywhere else."""
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal or console.width > WIDTH:
        console.width = WIDTH
    return console


def _table(*, heading: bool = False) -> Table:
    table = Table(box=None, show_header=heading, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name, width, side in _COLUMNS:
        table.add_column(name, width=width, justify="right" if side == "right" else "left", overflow="fold")
    return table


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _attempt(attempt: str) -> Text:
    return Text(attempt, style="" if attempt.endswith(":200") else "yellow")


class Report:
    """Prints what happens and counts it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._outcomes: list[Outcome] = []

    @property
    def failed(self) -> int:
        """How many requests got no correct answer."""
        return sum(outcome.failed for outcome in self._outcomes)

    def begin(self, stage: Stage) -> None:
        """Prints what runs, and the head of the table."""
        regions = ", ".join(stage.simulator.regions)
        self._console.print(f"Gateway    {stage.gateway.url} ({stage.gateway.engine} engine)")
        self._console.print(f"Backends   {regions}: simulated Azure OpenAI regions")
        self._console.print("Clients    openai.OpenAI and openai.AzureOpenAI, without retries of their own\n")
        self._console.print(_table(heading=True))

    def scene(self, title: str) -> None:
        """Begins a part of the table."""
        self._console.print()
        self._console.rule(f"[bold]{escape(title)}", align="left", style="dim")

    def row(self, outcome: Outcome) -> None:
        """Adds a request to the table."""
        self._outcomes.append(outcome)
        status = str(outcome.status or "-")
        row = _table()
        row.add_row(
            outcome.request,
            Text(
                f"{status} ✗" if outcome.failed else status, style="bold red" if outcome.failed else "green"
            ),
            outcome.winner or "-",
            Text(" ").join(_attempt(attempt) for attempt in outcome.attempts) if outcome.attempts else "-",
            _milliseconds(outcome.first_token_ms),
            _milliseconds(outcome.total_ms),
        )
        self._console.print(row)
        if outcome.problem is not None:
            self._console.print(f"  [bold red]failed:[/] {escape(outcome.problem)}")

    def end(self) -> None:
        """Prints what the gateway did for the client."""
        saved = sum(not outcome.failed and len(outcome.attempts) > 1 for outcome in self._outcomes)
        self._console.print(
            f"\n{saved} requests met a failing region and were answered by another within the same request."
        )

    def total(self) -> None:
        """Prints the last line, which scripts read too."""
        self._console.print(f"demo: {len(self._outcomes)} requests, {self.failed} failed")
        sys.stdout.flush()
