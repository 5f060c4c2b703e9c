"""The results as a table: on the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from e2e.bench.results import DIRECT, Cell, Results
from e2e.bench.rows import Figure, Row
from e2e.bench.targets import Target

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
_NOTHING = ""
_WIDE_SPREAD = 0.05


def lines(
    results: Results, rows: Sequence[Row], targets: Sequence[Target]
) -> Iterator[tuple[str, list[str]]]:
    """The title and the cells of each line; lines without any figure are left out."""
    for row in rows:
        for figure in row.figures:
            shown = [results.cell(row, figure, target.name) for target in targets]
            if any(shown):
                yield title(row, figure), [text(cell) for cell in shown]


def title(row: Row, figure: Figure) -> str:
    """What a line measures, and in what."""
    what = f"{row.title}: {figure.title}" if figure.title else row.title
    return f"{what}, {figure.unit}" if figure.unit else what


def text(cell: Cell | None) -> str:
    """A median, with its spread where the rounds differ by more than a little.

    >>> text(Cell(198.4, 190.0, 214.0)), text(Cell(0.1234, 0.123, 0.124)), text(None)
    ('198 ±6%', '0.123', '')
    """
    if cell is None:
        return _NOTHING
    value = number(cell.median)
    return f"{value} ±{cell.spread:.0%}" if cell.spread > _WIDE_SPREAD else value


def number(value: float) -> str:
    """A number with three digits or more.

    >>> [number(value) for value in (12345.6, 198.4, 14.26, 0.1234, 0.0)]
    ['12,346', '198', '14.3', '0.123', '0']
    """
    if value == 0:
        return "0"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def markdown(results: Results, rows: Sequence[Row], targets: Sequence[Target]) -> str:
    """The table, the machine, and what else has to be known to read it."""
    shown = _with_figures(results, rows, targets)
    head = ["", *(target.title for target in shown)]
    parts = [_line(head), "|---" * len(head) + "|"]
    parts += [_line([what, *cells]) for what, cells in lines(results, rows, shown)]
    parts += ["", f"{_rounds(results)} on {results.machine}, at {results.commit}: `{results.command}`"]
    parts += [f"\n{note}" for note in notes(results)]
    return "\n".join([*parts, ""])


def notes(results: Results) -> list[str]:
    """What was not measured, and why the figures may mean little."""
    found = [f"Not at hand: {name}: {reason}." for name, reason in results.absent.items()]
    found += [f"Failed: {error}." for error in results.errors()]
    return found + [f"**Not a quiet machine**: {remark}." for remark in results.remarks]


def terminal(results: Results, rows: Sequence[Row], targets: Sequence[Target]) -> Table:
    """The table for a terminal."""
    shown = _with_figures(results, rows, targets)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=_rounds(results), caption_justify="left")
    table.add_column("", overflow="fold")
    for target in shown:
        table.add_column(target.title, justify="right", overflow="fold")
    for what, cells in lines(results, rows, shown):
        table.add_row(what, *cells)
    return table


def write_into(page: Path, content: str) -> None:
    """Replaces what stands between the marks of a page. Raises `ValueError` where it has none."""
    whole = page.read_text()
    if whole.count(BEGIN) != 1 or whole.count(END) != 1:
        raise ValueError(f"{page} needs the lines {BEGIN} and {END}, once each")
    before, rest = whole.split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{content}{END}{rest.split(END)[1]}")


def _with_figures(results: Results, rows: Sequence[Row], targets: Sequence[Target]) -> list[Target]:
    """Targets with a column of their own; `direct` is what others are compared with."""

    def has_figures(target: Target) -> bool:
        return any(results.cell(row, figure, target.name) for row in rows for figure in row.figures)

    return [target for target in targets if target.name != DIRECT and has_figures(target)]


def _rounds(results: Results) -> str:
    rounds = "one round" if results.rounds == 1 else f"{results.rounds} rounds"
    starts = "one start" if results.starts == 1 else f"each of {results.starts} starts"
    return f"Medians of {rounds} of {results.seconds} s after {starts}; ± is half the range, where above 5 %"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
