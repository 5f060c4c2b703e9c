"""Draws the dashboard from a Prometheus: `python -m scripts.dashboards.draw URL MINUTES FILE.svg`.

It asks the queries of the panels themselves. The picture is a likeness of Grafana's, for the documentation.
"""

from __future__ import annotations

import math
import sys
import time
from html import escape
from itertools import pairwise
from pathlib import Path

from scripts.dashboards.panels import Panel, read
from scripts.dashboards.prometheus import Series, Source

_COLUMN, _GAP, _TITLE = 50, 8, 22
_HEIGHTS = {"number": 74, "chart": 210, "table": 210}
_ROW, _MOST_ROWS, _MOST_NAMES = 17, 9, 8
_COLOURS = 8
_WIDTH = 24 * _COLUMN
_STYLE = """
svg{background:#f6f8fa;font:12px system-ui,sans-serif}
.panel{fill:#fff;stroke:#d0d7de}text{fill:#57606a}.title{fill:#1f2328;font-weight:600}
.section{fill:#1f2328;font-weight:600;font-size:15px}.number{fill:#0969da;font-size:30px;font-weight:600}
.grid{stroke:#d8dee4;stroke-width:.6}polyline{fill:none;stroke-width:1.6}
.s0{stroke:#0969da}.s1{stroke:#bc4c00}.s2{stroke:#1a7f37}.s3{stroke:#8250df}
.s4{stroke:#cf222e}.s5{stroke:#9a6700}.s6{stroke:#0e7490}.s7{stroke:#57606a}
@media (prefers-color-scheme:dark){svg{background:#0d1117}.panel{fill:#161b22;stroke:#3d444d}
text{fill:#9198a1}.title,.section{fill:#f0f6fc}.number{fill:#4493f8}.grid{stroke:#2b3139}
.s0{stroke:#4493f8}.s1{stroke:#f0883e}.s2{stroke:#3fb950}.s3{stroke:#ab7df8}
.s4{stroke:#f85149}.s5{stroke:#d29922}.s6{stroke:#39c5cf}.s7{stroke:#9198a1}}
"""


def amount(value: float, unit: str) -> str:
    """A value as people read it.

    >>> amount(0.25, "percentunit"), amount(1234.5, "short"), amount(0.0421, "currencyUSD")
    ('25 %', '1,234', '$0.0421')
    """
    if math.isnan(value):
        return "?"
    if unit == "percentunit":
        return f"{value * 100:.0f} %"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return {"currencyUSD": f"${text}", "s": f"{text} s"}.get(unit, text)


def name_of(series: Series) -> str:
    """The labels of a series in one text: `{"backend": "a", "reason": "b"}` → `a: b`."""
    return ": ".join(value or "none" for value in series.labels.values()) or "all"


def picture(panels: list[Panel], source: Source) -> str:
    """The page of panels as an SVG."""
    parts: list[str] = []
    section, x, y, height = None, 0, 0, 0
    for panel in panels:
        if panel.section != section:
            section, x, y = panel.section, 0, y + height + 26
            parts.append(f'<text class="section" x="{_GAP}" y="{y - 6}">{escape(section)}</text>')
            height = 0
        if x + panel.width > 24:
            x, y, height = 0, y + height, 0
        height = max(height, _HEIGHTS[panel.kind] + _GAP)
        place = f"translate({x * _COLUMN + _GAP / 2} {y})"
        parts.append(f'<g transform="{place}">{_panel(panel, source)}</g>')
        x += panel.width
    whole = y + height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {whole}" width="{_WIDTH}" '
        f'height="{whole}"><style>{_STYLE}</style>{"".join(parts)}</svg>\n'
    )


def _panel(panel: Panel, source: Source) -> str:
    width, height = panel.width * _COLUMN - _GAP, _HEIGHTS[panel.kind]
    frame = (
        f'<rect class="panel" width="{width}" height="{height}" rx="4"/>'
        f'<text class="title" x="8" y="16">{escape(panel.title)}</text>'
    )
    found = source.ask(panel)
    if not found:
        return frame + '<text x="8" y="40">nothing</text>'
    if panel.kind == "chart":
        return frame + _chart(panel, found, (width, height), (source.start, source.end))
    return frame + (_number(panel, found) if panel.kind == "number" else _table(panel, found, width))


def _number(panel: Panel, found: list[Series]) -> str:
    return f'<text class="number" x="10" y="58">{amount(found[0].points[-1][1], panel.unit)}</text>'


def _table(panel: Panel, found: list[Series], width: int) -> str:
    rows = sorted(found, key=lambda series: -series.points[-1][1])[:_MOST_ROWS]
    return "".join(
        f'<text x="8" y="{_TITLE + 18 + _ROW * number}">{escape(name_of(series))}</text>'
        f'<text x="{width - 8}" y="{_TITLE + 18 + _ROW * number}" text-anchor="end">'
        f"{amount(series.points[-1][1], panel.unit)}</text>"
        for number, series in enumerate(rows)
    )


def _chart(panel: Panel, found: list[Series], size: tuple[int, int], time_: tuple[float, float]) -> str:
    width, height = size
    first, last = time_
    found = sorted(found, key=lambda series: -max(value for _, value in series.points))[:_MOST_NAMES]
    names = _legend(found, width, height)
    left, right, top, bottom = 54, width - 8, _TITLE + 8, height - 16 - (len(found) + 2) // 3 * 14
    greatest = (
        max((value for s in found for _, value in s.points if math.isfinite(value)), default=0) * 1.05 or 1
    )
    grid = "".join(
        f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.0f}" y2="{y:.0f}"/>'
        f'<text x="{left - 4}" y="{y + 4:.0f}" text-anchor="end">'
        f"{amount(greatest * share, panel.unit)}</text>"
        for share in (0, 0.5, 1)
        for y in [bottom - (bottom - top) * share]
    )
    lines = "".join(
        f'<polyline class="s{number % _COLOURS}" points="{points}"/>'
        for number, series in enumerate(found)
        for points in _runs(series, first, last, greatest, (left, right, top, bottom))
    )
    return grid + lines + names


def _runs(
    series: Series, first: float, last: float, greatest: float, box: tuple[int, int, int, int]
) -> list[str]:
    """The lines of a series: it is interrupted where it has no value."""
    left, right, top, bottom = box
    runs: list[list[str]] = [[]]
    before = None
    times = [at for at, _ in series.points]
    step = min((after - at for at, after in pairwise(times)), default=0)
    for at, value in series.points:
        if math.isnan(value) or (before is not None and at - before > step * 1.5):
            runs.append([])
        if not math.isnan(value):
            x = left + (at - first) / (last - first) * (right - left)
            runs[-1].append(f"{x:.1f},{bottom - value / greatest * (bottom - top):.1f}")
        before = at
    return [" ".join(run if len(run) > 1 else [run[0], run[0]]) for run in runs if run]


def _legend(found: list[Series], width: int, height: int) -> str:
    """The names below a chart, three in a line."""
    column = (width - 16) / 3
    lines = (len(found) + 2) // 3
    return "".join(
        f'<line class="s{number % _COLOURS}" x1="{x:.0f}" x2="{x + 10:.0f}" y1="{y - 4}" y2="{y - 4}" '
        f'stroke-width="3"/><text x="{x + 14:.0f}" y="{y}">'
        f"{escape(name_of(series)[: int(column / 7)])}</text>"
        for number, series in enumerate(found)
        for x, y in [(8 + column * (number % 3), height - 8 - 14 * (lines - 1 - number // 3))]
    )


def main(url: str, minutes: str, file: str) -> None:
    """Draw the last minutes."""
    end = time.time()
    source = Source(url, end - float(minutes) * 60, end)
    Path(file).write_text(picture(read(), source), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
