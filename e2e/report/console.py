"""The run on the console: progress, then a table of criteria and small charts for each scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from e2e.load.samples import Sample
from e2e.report.charts import spark
from e2e.report.series import name_of, plots_of
from e2e.scenarios.run import Result, Watch
from renderer.progress import working

WIDTH = 120
_REFRESH_EACH = 20
"""How many samples pass between two looks at the screen."""


def make_console() -> Console:
    """At most `WIDTH` columns on a terminal, exactly as many anywhere else."""
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal or console.width > WIDTH:
        console.width = WIDTH
    return console


@contextmanager
def progress(console: Console, name: str) -> Iterator[Watch]:
    """A line that follows a scenario: its phase, statuses and backends. In a file or a pipe, its name."""
    if not console.is_terminal:
        with working(f"playing {name}"):
            yield lambda _phase, _sample: None
        return
    statuses: Counter[str] = Counter()
    backends: Counter[str] = Counter()
    with Live(Text(f"{name}: starting"), console=console, transient=True, refresh_per_second=4) as live:

        def watch(phase: str, sample: Sample | None) -> None:
            if sample is not None:
                statuses[name_of(sample)] += 1
                backends[sample.backend or "none"] += 1
            if sample is None or statuses.total() % _REFRESH_EACH == 0:
                live.update(Text(f"{name}: {phase}  {_counts(statuses)}  {_counts(backends)}"))

        yield watch


def _counts(counter: Counter[str]) -> str:
    return " ".join(f"{name}={count}" for name, count in sorted(counter.items()))


def show(console: Console, result: Result) -> None:
    """One finished scenario."""
    if result.skipped:
        console.print(f"[yellow]skipped[/] [bold]{result.scenario.name}[/]: {escape(result.skipped)}")
        return
    word = "[green]passed[/]" if result.passed else "[bold red]failed[/]"
    requests = len(result.evidence.samples) if result.evidence else 0
    console.print(f"{word} [bold]{result.scenario.name}[/] {requests} requests in {result.seconds:.0f} s")
    if result.error:
        console.print(f"  {escape(result.error)}")
    console.print(_criteria(result))
    for line in _charts(result):
        console.print(line, markup=False)


def _criteria(result: Result) -> Table:
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "criterion", "expected", "measured", "tolerance", "requests", "least"):
        rows.add_column(heading, overflow="fold")
    for criterion in result.criteria:
        sign = "[yellow]-[/]" if criterion.skipped else "[green]✓[/]" if criterion.passed else "[red]✗[/]"
        cells = (criterion.name, criterion.expected, criterion.measured, criterion.tolerance)
        counts = (str(criterion.requests), str(criterion.least))
        rows.add_row(sign, *(escape(cell) for cell in cells), *counts)
    return rows


def _charts(result: Result) -> Iterator[str]:
    for plot in plots_of(result.evidence)[:2] if result.evidence else []:
        for name, points in plot.series.items():
            greatest = 100.0 if plot.unit == "%" else max(value for _, value in points)
            yield f"  {plot.title:<22} {name:<16} {spark(points, greatest)} up to {greatest:.3g} {plot.unit}"
    yield ""


def total(console: Console, results: Sequence[Result], seconds: float) -> None:
    """The last lines: how many scenarios passed."""
    failed = [result.scenario.name for result in results if not result.passed]
    skipped = sum(bool(result.skipped) for result in results)
    passed = len(results) - len(failed) - skipped
    console.print(f"{passed} passed, {skipped} skipped, {len(failed)} failed in {seconds:.0f} s")
    for name in failed:
        console.print(f"  [bold red]failed[/] {name}")
