"""Flame graphs: what calls what, from the bottom up, as wide as it was seen."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import PurePath

from e2e.bench.profile import STATES, Frame, part_of
from e2e.report.charts import STYLE

_WIDTH, _ROW, _TOP = 960, 15, 24
_NARROWEST = 0.6
"""Frames that are narrower, in pixels, are left out."""
_LETTER = 5.6
_COLOURS = {"this gateway": "c0", "APISIX's metrics": "c1", "APISIX and its libraries": "c2", "nginx": "c7"}
_STATE = "c7"


def picture(title: str, root: Frame) -> str:
    """A flame graph as SVG. Frames say their names and shares when pointed at."""
    height = _TOP + _ROW * root.depth
    drawn = "".join(_frames(root, 0.0, height - _ROW, root.samples or 1))
    legend = "".join(
        f'<tspan class="{colour}" stroke="none" dx="14">■</tspan><tspan dx="4">{escape(name)}</tspan>'
        for name, colour in _COLOURS.items()
    )
    return (
        f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img"><style>{STYLE}.plot .name{{fill:#fff}}</style>'
        f'<text class="title" x="0" y="13">{escape(title)}{legend}</text>{drawn}</svg>\n'
    )


def _frames(frame: Frame, x: float, y: int, total: int) -> Iterator[str]:
    width = frame.samples / total * _WIDTH
    if width < _NARROWEST:
        return
    is_state = frame.name in STATES
    colour = _STATE if is_state else _COLOURS[part_of(frame.name)]
    name = frame.name if "/" not in frame.name else PurePath(frame.name.rpartition("lua/")[2]).name
    shown = name[: int((width - 4) / _LETTER)]
    yield (
        f"<g><title>{escape(name)}, {frame.samples / total:.1%}</title>"
        f'<rect class="{colour}" stroke="none" opacity="{0.45 if is_state else 0.85}" x="{x:.1f}" y="{y}" '
        f'width="{max(width - 0.4, 0.3):.1f}" height="{_ROW - 1}"/>'
        + (
            f'<text class="name" x="{x + 2:.1f}" y="{y + 11}">{escape(shown)}</text>'
            if len(shown) > 2
            else ""
        )
        + "</g>"
    )
    for callee in sorted(frame.callees.values(), key=lambda each: each.name):
        yield from _frames(callee, x, y - _ROW, total)
        x += callee.samples / total * _WIDTH
