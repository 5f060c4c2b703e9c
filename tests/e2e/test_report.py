"""The reports: one HTML file that needs nothing else, JUnit XML, charts and the console."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as Xml

import pytest
from rich.console import Console

from e2e.criteria import none, not_measured
from e2e.report import charts, console, html, junit
from e2e.report.series import plots_of
from e2e.scenarios.run import Result
from tests.e2e.support import BAD, GOOD, evidence, result, sample

TITLES = ["Share of each backend", "Latency", "Failovers", "Answers by status", "Tokens by client"]


class _Links(HTMLParser):
    """Everything that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object"):
            self.found.append(tag)
        self.found += [f"{k}={v}" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("#")]


def _page(*results: Result) -> str:
    return html.page(results, "local, engine embedded", "2026-11-29 10:00 UTC")


def test_the_page_loads_nothing_from_elsewhere() -> None:
    links = _Links()
    text = _page(result(criteria=[GOOD, BAD]))
    links.feed(text)
    assert links.found == []
    assert "url(" not in text
    assert "@import" not in text


def test_the_page_has_colours_for_light_and_for_dark() -> None:
    text = _page(result())
    assert "color-scheme:light dark" in text
    assert text.count("prefers-color-scheme: dark") == 2  # of the page and of the plots


def test_the_page_shows_each_criterion_with_its_measured_value() -> None:
    text = _page(result(criteria=[GOOD, BAD]))
    assert "0 of 100" in text
    assert "at most 2" in text
    assert "slow &lt;requests&gt;" in text
    assert '<span class="bad">1 failed</span>' in text


def test_the_page_has_all_plots() -> None:
    text = _page(result())
    for title in TITLES:
        assert title in text


def test_the_page_escapes_what_it_shows() -> None:
    text = _page(result("x"), result("y", error="<script>"))
    assert "<script>" not in text
    assert "<much>" not in text
    assert "key <removed>" not in text


def test_a_skipped_scenario_says_why() -> None:
    assert "cannot: read metrics" in _page(result(skipped="cannot: read metrics"))


def test_junit_has_a_suite_for_each_scenario_and_a_case_for_each_criterion() -> None:
    criteria = [GOOD, BAD, not_measured("tokens", "7", "no metrics")]
    root = Xml.fromstring(junit.document([result("a", criteria), result("b")]))
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["a", "b"]
    first = {name: suites[0].get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert first == {"tests": "3", "failures": "1", "errors": "0", "skipped": "1"}
    failure = suites[0].find(".//failure")
    assert failure is not None
    assert "at most 2" in str(failure.get("message"))


def test_junit_shows_what_could_not_be_run() -> None:
    root = Xml.fromstring(
        junit.document([result("a", [], error="no engine"), result("b", [], skipped="no Redis")])
    )
    assert [case.get("message") for case in root.iter("error")] == ["no engine"]
    assert [case.get("message") for case in root.iter("skipped")] == ["no Redis"]


@pytest.mark.parametrize("text", ["a\x00b", "a\x1b[2Jb", "a\ud800b", "a\uffffb"])
def test_text_of_others_breaks_no_report(text: str) -> None:
    odd = result("a", [none("failed requests", 1, 100, 10, text)])
    case = Xml.fromstring(junit.document([odd]).encode()).find(".//failure")
    assert case is not None
    assert "such as a\\" in str(case.get("message"))
    assert "such as a\\" in _page(odd).encode().decode()


def test_a_picture_stands_alone() -> None:
    drawn = charts.picture(plots_of(result().evidence or evidence([]))[:2])
    root = Xml.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in drawn
    assert "<image" not in drawn


def test_shares_add_up_to_100_percent() -> None:
    shares = plots_of(evidence([sample(n / 9, backend=f"b{n % 3}") for n in range(90)]))[0]
    sums = [sum(values) for values in zip(*([v for _, v in s] for s in shares.series.values()), strict=True)]
    assert all(abs(total - 100) < 1e-6 for total in sums)


def test_failovers_and_statuses_are_counted_per_second() -> None:
    samples = [sample(n / 10, attempts="a:429,b:200" if n % 2 else "b:200") for n in range(100)]
    plots = {plot.title: plot for plot in plots_of(evidence(samples))}
    failovers = [value for _, value in plots["Failovers"].series["failovers"]]
    assert sum(failovers) / len(failovers) == 5
    statuses = [value for _, value in plots["Answers by status"].series["200"]]
    assert sum(statuses) / len(statuses) == 10


def test_a_run_without_samples_has_no_plots() -> None:
    empty = evidence([sample(0)])
    empty.samples.clear()
    assert plots_of(empty) == []


def test_the_console_shows_criteria_and_small_charts() -> None:
    screen = Console(record=True, width=console.WIDTH, file=io.StringIO())
    console.show(screen, result(criteria=[GOOD, BAD]))
    console.total(screen, [result(criteria=[BAD])], 3)
    text = screen.export_text()
    assert "✗" in text
    assert "slow <requests>" in text
    assert re.search(r"Share of each backend\s+payg-backend-1\s+[▁▂▃▄▅▆▇█]+", text)
    assert "0 passed, 0 skipped, 1 failed" in text
