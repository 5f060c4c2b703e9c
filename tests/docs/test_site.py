"""The documentation builds without a warning, and everything in the site leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.docs.build import BuildError, build
from scripts.docs.check import problems_of


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("documentation") / "site"
    try:
        build(path)
    except BuildError as error:
        if "uv is not installed" in str(error) or "Failed to fetch" in str(error):
            pytest.skip("MkDocs cannot be installed here")
        raise
    return path


@pytest.mark.xdist_group("documentation")
def test_every_link_anchor_and_picture_of_the_site_is_there(site: Path) -> None:
    assert problems_of(site) == []


@pytest.mark.xdist_group("documentation")
def test_a_file_of_the_repository_that_a_page_leads_to_is_in_the_site(site: Path) -> None:
    assert "terraform" in (site / "repository" / "github/workflows/deploy.yml.example.txt").read_text()


@pytest.mark.xdist_group("documentation")
def test_a_long_name_in_a_table_may_break_between_its_words(site: Path) -> None:
    assert "AZURE_<wbr>OPENAI_<wbr>KEY_" in (site / "configuration.html").read_text()


def written(site: Path, **pages: str) -> Path:
    site.mkdir()
    for name, body in pages.items():
        (site / f"{name}.html").write_text(f"<html><body><article>{body}</article></body></html>")
    return site


def test_a_link_to_what_runs_on_the_machine_of_the_reader_is_no_fault(tmp_path: Path) -> None:
    body = '<a href="http://127.0.0.1:9080/live">the live page</a>'
    assert problems_of(written(tmp_path / "site", index=body)) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="other.html">a</a>', "other.html does not exist"),
        ('<a href="#there">a</a>', "#there has no such anchor"),
        ('<img src="a.png">', "a.png does not exist"),
        ('<img src="https://example.com/a.png">', "loads https://example.com/a.png from elsewhere"),
        ('<a href="http://example">a</a>', "http://example is no address of another site"),
        ("a key of <N> characters", "<n> is no tag of HTML: put it into backticks"),
        ("<p>text\n- an item</p>", "Markdown that is not understood: '- an item'"),
        ("<p>[a](b.md)</p>", "Markdown that is not understood: '](b.md)'"),
    ],
)
def test_a_fault_of_a_page_is_told(tmp_path: Path, body: str, problem: str) -> None:
    assert problems_of(written(tmp_path / "site", index=body)) == [f"index.html: {problem}"]


def test_a_style_that_loads_from_elsewhere_is_told(tmp_path: Path) -> None:
    site = written(tmp_path / "site")
    (site / "a.css").write_text("@font-face { src: url(https://example.com/a.woff2) }")
    assert problems_of(site) == ["a.css: loads https://example.com/a.woff2"]


def test_a_page_whose_links_lead_somewhere_has_no_problem(tmp_path: Path) -> None:
    body = '<h2 id="a">a</h2><a href="#a">a</a> <a href="https://example.com/">b</a> <code>| [b](c)</code>'
    assert problems_of(written(tmp_path / "site", index=body)) == []
