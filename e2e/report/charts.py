"""Drawings without any library: SVG for pages and pictures, block characters for the console."""

from __future__ import annotations

from html import escape

from e2e.report.series import Plot, Points

WIDTH, HEIGHT = 560, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 40, 18
_COLOURS = 8
_BLOCKS = "▁▂▃▄▅▆▇█"

STYLE = """
.plot{font:11px system-ui,sans-serif}
.plot text{fill:#57606a}.plot .title{fill:#1f2328;font-weight:600;font-size:12px}
.plot .frame{fill:none;stroke:#d0d7de}.plot .mark{stroke:#afb8c1;stroke-dasharray:3 3}
.plot polyline{fill:none;stroke-width:1.6}
.c0{stroke:#0969da;fill:#0969da}.c1{stroke:#bc4c00;fill:#bc4c00}.c2{stroke:#1a7f37;fill:#1a7f37}
.c3{stroke:#8250df;fill:#8250df}.c4{stroke:#cf222e;fill:#cf222e}.c5{stroke:#9a6700;fill:#9a6700}
.c6{stroke:#0e7490;fill:#0e7490}.c7{stroke:#57606a;fill:#57606a}
@media (prefers-color-scheme: dark){
.plot text{fill:#9198a1}.plot .title{fill:#f0f6fc}.plot .frame{stroke:#3d444d}.plot .mark{stroke:#656c76}
.c0{stroke:#4493f8;fill:#4493f8}.c1{stroke:#f0883e;fill:#f0883e}.c2{stroke:#3fb950;fill:#3fb950}
.c3{stroke:#ab7df8;fill:#ab7df8}.c4{stroke:#f85149;fill:#f85149}.c5{stroke:#d29922;fill:#d29922}
.c6{stroke:#39c5cf;fill:#39c5cf}.c7{stroke:#9198a1;fill:#9198a1}}
"""


def svg(plot: Plot, offset: int = 0) -> str:
    """One plot as a group of SVG, `offset` below the top; `HEIGHT + _TOP + _BOTTOM` high."""
    top = offset + _TOP
    points = [point for series in plot.series.values() for point in series]
    last = max([at for at, _ in points] + [at for at, _ in plot.marks] + [1.0])
    greatest = 100.0 if plot.unit == "%" else max([value for _, value in points] + [1.0]) * 1.05
    parts = [
        f'<text class="title" x="{_LEFT}" y="{offset + 13}">{escape(plot.title)}, {escape(plot.unit)}</text>',
        f'<rect class="frame" x="{_LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}"/>',
        *_axis(greatest, last, top),
    ]
    for number, (at, title) in enumerate(plot.marks):
        x = _LEFT + at / last * WIDTH
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + HEIGHT}"/>')
        y = top + 10 + 11 * (number % 3)
        anchor = "end" if x > _LEFT + WIDTH * 0.8 else "start"
        parts.append(
            f'<text x="{x + (3 if anchor == "start" else -3):.1f}" y="{y}" text-anchor="{anchor}" '
            f'font-size="9">{escape(title)}</text>'
        )
    legend = _LEFT
    for number, (name, series) in enumerate(plot.series.items()):
        colour = f"c{number % _COLOURS}"
        parts.append(f'<rect class="{colour}" x="{legend}" y="{offset + 21}" width="10" height="8"/>')
        parts.append(f'<text x="{legend + 14}" y="{offset + 29}">{escape(name)}</text>')
        legend += 30 + 7 * len(name)
        parts.append(_line(series, colour, last, greatest, top))
    return "".join(parts)


def _axis(greatest: float, last: float, top: int) -> list[str]:
    bottom = top + HEIGHT
    return [
        f'<text x="{_LEFT - 5}" y="{top + 8}" text-anchor="end">{greatest:.3g}</text>',
        f'<text x="{_LEFT - 5}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{_LEFT}" y="{bottom + 13}">0 s</text>',
        f'<text x="{_LEFT + WIDTH}" y="{bottom + 13}" text-anchor="end">{last:.0f} s</text>',
    ]


def _line(series: Points, colour: str, last: float, greatest: float, top: int) -> str:
    points = " ".join(
        f"{_LEFT + at / last * WIDTH:.1f},{top + HEIGHT - min(value / greatest, 1) * HEIGHT:.1f}"
        for at, value in series
    )
    return f'<polyline class="{colour}" points="{points}" style="fill:none"/>'


def picture(plots: list[Plot], *, alone: bool = True) -> str:
    """Plots below each other as one SVG image; `alone` gives it the style that a page has already."""
    step = _TOP + HEIGHT + _BOTTOM + 8
    style = f"<style>{STYLE}</style>" if alone else ""
    width, height = _LEFT + WIDTH + _RIGHT, step * len(plots)
    drawn = "".join(svg(plot, step * number) for number, plot in enumerate(plots))
    return (
        f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">{style}{drawn}</svg>\n'
    )


def spark(points: Points, greatest: float | None = None) -> str:
    """A series as characters, one for each point.

    >>> spark([(0, 0), (1, 50), (2, 100)], 100)
    '▁▅█'
    """
    top = greatest or max((value for _, value in points), default=0) or 1
    last = len(_BLOCKS) - 1
    return "".join(_BLOCKS[min(round(max(value, 0) / top * last), last)] for _, value in points)
