"""The report as one HTML file: no script, no font and no picture from elsewhere, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from e2e.criteria import Criterion
from e2e.report.charts import STYLE, picture
from e2e.report.series import plots_of
from e2e.scenarios.run import Result

_PAGE_STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1f2328;--quiet:#57606a;--line:#d0d7de;
--good:#1a7f37;--bad:#cf222e}
@media (prefers-color-scheme: dark){
:root{--back:#0d1117;--text:#f0f6fc;--quiet:#9198a1;--line:#3d444d;--good:#3fb950;--bad:#f85149}}
body{background:var(--back);color:var(--text);font:14px/1.5 system-ui,sans-serif;margin:2em auto;
max-width:1260px;padding:0 1em}
table{border-collapse:collapse;width:100%}th,td{border-bottom:1px solid var(--line);padding:4px 8px;
text-align:left;vertical-align:top}
th{color:var(--quiet);font-weight:600}td.n{text-align:right}
.good{color:var(--good)}.bad{color:var(--bad);font-weight:600}.quiet{color:var(--quiet)}
.plots{display:flex;flex-wrap:wrap;gap:12px}h2{margin-top:2em}svg{max-width:100%;height:auto}
"""


def page(results: Sequence[Result], target: str, when: str) -> str:
    """The whole page. `when` is the time of the run, for people."""
    failed = sum(not result.passed for result in results)
    verdict = (
        f'<span class="bad">{failed} failed</span>' if failed else '<span class="good">all passed</span>'
    )
    rows = "".join(_summary_row(result) for result in results)
    sections = "".join(_section(result) for result in results)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>End-to-end report</title><style>{_PAGE_STYLE}{STYLE}</style></head><body>"
        f"<h1>End-to-end report</h1><p>{escape(when)}, target: {escape(target)}. "
        f"{len(results)} scenarios, {verdict}.</p>"
        "<table><tr><th>scenario<th>result<th>criteria<th>requests<th>seconds</tr>"
        f"{rows}</table>{sections}</body></html>\n"
    )


def _summary_row(result: Result) -> str:
    name = escape(result.scenario.name)
    held = sum(criterion.passed for criterion in result.criteria)
    requests = len(result.evidence.samples) if result.evidence else 0
    return (
        f'<tr><td><a href="#{name}">{name}</a><td>{_verdict(result)}<td>{held} of {len(result.criteria)}'
        f"<td>{requests}<td>{result.seconds:.0f}</tr>"
    )


def _verdict(result: Result) -> str:
    if result.skipped:
        return '<span class="quiet">skipped</span>'
    return '<span class="good">passed</span>' if result.passed else '<span class="bad">failed</span>'


def _section(result: Result) -> str:
    head = (
        f'<h2 id="{escape(result.scenario.name)}">{escape(result.scenario.name)} {_verdict(result)}</h2>'
        f"<p>{escape(result.scenario.promise)}</p>"
    )
    if result.skipped or result.error:
        return f"{head}<p>{escape(result.skipped or result.error)}</p>"
    rows = "".join(_criterion_row(criterion) for criterion in result.criteria)
    plots = plots_of(result.evidence) if result.evidence else []
    drawings = "".join(f"<div>{picture([plot], alone=False)}</div>" for plot in plots)
    return (
        f"{head}<table><tr><th>criterion<th>expected<th>measured<th>tolerance<th>requests<th>least<th></tr>"
        f'{rows}</table><div class="plots">{drawings}</div>'
    )


def _criterion_row(criterion: Criterion) -> str:
    if criterion.skipped:
        verdict = '<span class="quiet">not measured</span>'
    else:
        verdict = '<span class="good">holds</span>' if criterion.passed else '<span class="bad">fails</span>'
    cells = (criterion.name, criterion.expected, criterion.measured, criterion.tolerance)
    texts = "".join(f"<td>{escape(cell)}" for cell in cells)
    return f"<tr>{texts}<td>{criterion.requests}<td>{criterion.least}<td>{verdict}</tr>"
