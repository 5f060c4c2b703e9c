"""Checks a built site: every link, anchor and picture is there, and nothing is loaded from elsewhere.

Links to other sites are checked by their form only, because a check must not depend on the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

# What a browser loads by itself, by tag and attribute. Other links are followed by readers.
_LOADED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
_FOLLOWED = {("a", "href")}
_LOADED_BY_STYLE = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""")
# Marks of Markdown in the text of a page, outside of code: a list, a table or a link that was not understood.
_RAW_MARKDOWN = re.compile(r"(?m)^\s*(?:[-*] \S|\|[ -]|\d\. \S)|\]\(|\*\*|^```")
_OPAQUE = {"code", "pre", "script", "style", "h1", "h2", "h3", "h4", "h5", "h6"}
_KNOWN_TAG = re.compile(
    r"(?:a|abbr|article|aside|b|base|blockquote|body|br|button|circle|code|dd|del|details|dialog|div|dl|dt|em|figure|footer|form|g|"
    r"h[1-6]|head|header|hr|html|i|img|input|kbd|label|li|link|main|meta|nav|noscript|ol|p|path|pre|rect|script|section|"
    r"small|span|strong|style|sub|summary|sup|svg|table|tbody|td|template|th|thead|title|tr|ul|wbr)"
)


@dataclass
class Page:
    """What the check needs of a page."""

    anchors: set[str] = field(default_factory=set)
    loaded: list[str] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    unknown_tags: set[str] = field(default_factory=set)
    text: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._opaque = 0  # inside what may look like Markdown
        self._article = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not _KNOWN_TAG.fullmatch(tag):
            self.page.unknown_tags.add(tag)
        self._article = self._article or tag == "article"
        if tag in _OPAQUE:
            self._opaque += 1
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.page.anchors.add(value)
            elif (tag, name) in _LOADED:
                self.page.loaded.append(value)
            elif (tag, name) in _FOLLOWED:
                self.page.followed.append(value)

    def handle_endtag(self, tag: str) -> None:
        if tag in _OPAQUE:
            self._opaque -= 1
        if tag == "article":
            self._article = False

    def handle_data(self, data: str) -> None:
        if self._article and not self._opaque:
            self.page.text.append(data)


def problems_of(site: Path) -> list[str]:
    """One line for each problem of the site, with the page that has it."""
    # A web server shows the page 404.html in the place of any other, so its links begin at the root.
    pages = {path: _read(path) for path in sorted(site.rglob("*.html")) if path != site / "404.html"}
    return [
        f"{path.relative_to(site)}: {problem}"
        for path, page in pages.items()
        for problem in _problems_of_page(site, path, page, pages)
    ] + [
        f"{style.relative_to(site)}: loads {address}"
        for style in sorted(site.rglob("*.css"))
        for address in _LOADED_BY_STYLE.findall(style.read_text())
    ]


def _read(path: Path) -> Page:
    reader = _Reader()
    reader.feed(path.read_text())
    return reader.page


def _problems_of_page(site: Path, path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    for tag in sorted(page.unknown_tags):
        yield f"<{tag}> is no tag of HTML: put it into backticks"
    for text in page.text:
        if mark := _RAW_MARKDOWN.search(text):
            yield f"Markdown that is not understood: {text[mark.start() :].strip()[:60]!r}"
    for link in page.loaded:
        yield from _problems_of_loaded(site, path, link)
    for link in page.followed:
        yield from _problems_of_link(site, path, link, pages)


def _problems_of_loaded(site: Path, path: Path, link: str) -> Iterator[str]:
    parts = urlsplit(link)
    if parts.scheme == "data":
        return
    if parts.scheme or parts.netloc:
        yield f"loads {link} from elsewhere"
    elif not _target(site, path, parts).is_file():
        yield f"{link} does not exist"


def _problems_of_link(site: Path, path: Path, link: str, pages: dict[Path, Page]) -> Iterator[str]:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        if not _leads_away(parts):
            yield f"{link} is no address of another site"
        return
    target = _target(site, path, parts)
    if not target.is_file():
        yield f"{link} does not exist"
    elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        yield f"{link} has no such anchor"


def _leads_away(parts: SplitResult) -> bool:
    """Whether it is an address of another site, a mailbox, or what the reader runs on this machine."""
    if parts.scheme == "http":
        return parts.hostname in ("127.0.0.1", "localhost")
    return parts.scheme == "mailto" or (parts.scheme == "https" and "." in parts.netloc)


def _target(site: Path, path: Path, parts: SplitResult) -> Path:
    if not parts.path:
        return path
    base = site if parts.path.startswith("/") else path.parent
    return (base / unquote(parts.path).lstrip("/")).resolve()
