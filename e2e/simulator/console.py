"""The terminal: tables on standard output, problems on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from e2e.simulator.problems import ProblemsError

EXIT_INVALID = 2

out = Console(emoji=False, highlight=False)
err = Console(stderr=True, emoji=False, highlight=False)


def table(*headings: str) -> Table:
    """A plain table whose long cells fold instead of being cut."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


@contextmanager
def problems_reported() -> Iterator[None]:
    """Prints the problems of a command, one to a line, and ends it with exit code 2."""
    try:
        yield
    except ProblemsError as error:
        for problem in error.problems:
            err.print(f"[red]error:[/red] {escape(problem)}", soft_wrap=True)
        raise typer.Exit(EXIT_INVALID) from None
