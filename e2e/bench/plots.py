"""The results as bars: one SVG image, in the style of the end-to-end report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from statistics import median

from e2e.bench.results import DIRECT, Cell, Results
from e2e.bench.rows import Row
from e2e.bench.table import number, title
from e2e.bench.targets import Target
from e2e.report.charts import STYLE

_LABEL, _WIDTH, _VALUE = 190, 340, 90
_BAR, _HEAD, _GAP = 15, 20, 12
_CUT = 2.5
"""Bars end at so many times the median of a plot. Else one slow target would make all others equal."""

Bars = list[tuple[int, str, Cell]]


def picture(results: Results, rows: Sequence[Row], targets: Sequence[Target]) -> str:
    """A plot for each row, of its first figure. A target has the same colour in each."""
    parts, top = [], 0
    for row in rows:
        bars = _bars(results, row, targets)
        if bars:
            parts.append(_plot(title(row, row.figures[0]), bars, top))
            top += _HEAD + _BAR * len(bars) + _GAP
    width = _LABEL + _WIDTH + _VALUE
    return (
        f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" '
        f'width="{width}" height="{top}" role="img"><style>{STYLE}</style>{"".join(parts)}</svg>\n'
    )


def _bars(results: Results, row: Row, targets: Sequence[Target]) -> Bars:
    found = []
    for colour, target in enumerate(target for target in targets if target.name != DIRECT):
        cell = results.cell(row, row.figures[0], target.name)
        if cell is not None:
            found.append((colour, target.title, cell))
    return found


def _plot(heading: str, bars: Bars, top: int) -> str:
    medians = [cell.median for _, _, cell in bars]
    greatest = min(max(medians), median(medians) * _CUT) or 1.0
    parts = [f'<text class="title" x="0" y="{top + 13}">{escape(heading)}</text>']
    for place, (colour, name, cell) in enumerate(bars):
        parts.append(_bar(colour, name, cell, greatest, top + _HEAD + _BAR * place))
    return "".join(parts)


def _bar(colour: int, name: str, cell: Cell, greatest: float, y: int) -> str:
    length = max(min(cell.median / greatest, 1), 0) * _WIDTH
    cut = " →" if cell.median > greatest else ""
    ends = [_LABEL + max(min(value / greatest, 1), 0) * _WIDTH for value in (cell.least, cell.greatest)]
    middle = y + (_BAR - 3) / 2
    return (
        f'<text x="{_LABEL - 6}" y="{y + 10}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="c{colour}" x="{_LABEL}" y="{y}" width="{length:.1f}" height="{_BAR - 3}" '
        'opacity="0.8"/>'
        f'<line class="mark" style="stroke-dasharray:none" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" '
        f'y1="{middle}" y2="{middle}"/>'
        f'<text x="{max(_LABEL + length, ends[1]) + 6:.1f}" y="{y + 10}">{number(cell.median)}{cut}</text>'
    )
