"""Lets MkDocs read the pages as GitHub does, and shows the repository's files that they lead to.

A page may link to any file of the repository (`../examples/gateway.env`): the site then has a copy of it, as
text, below `repository/`. A link to a directory becomes its name. A link to nothing stops the build.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from markdown import Markdown
from markdown.extensions import Extension
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

COPIES = "repository"
# The theme's links to the first page lead to its directory, which a disk would list.
_TO_DIRECTORY = re.compile(r'(<a href="\.{1,2}(?:/\.\.)*)/?(?=")')
_CELL = re.compile(r"<t[dh][ >].*?</t[dh]>", re.DOTALL)
_CODE_OF_CELL = re.compile(r"(?<=<code>)[^<]+(?=</code>)")
_AFTER_WORD = re.compile(r"[_/.,=?](?=[^\s])|[a-z](?=[A-Z])")
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[([^\[\]]*(?:\[[^\[\]]*\])?[^\[\]]*)\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")


class ListsOfGitHub(Extension):
    """What belongs to an item of a list stands two columns in, not four."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (its name in Markdown)
        """Called by Markdown."""
        md.tab_length = 2


def on_config(config: Any) -> Any:
    """Reads lists as GitHub does, and leaves pages out of the navigation that `extra.planned` names."""
    config.markdown_extensions.append(ListsOfGitHub())
    docs = Path(config.docs_dir)
    missing = {page for page in config.extra.get("planned", []) if not (docs / page).is_file()}
    config.nav = _without(config.nav, missing)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds a copy of each file of the repository that a page leads to."""
    for page in files.documentation_pages():
        for match in _LINK.finditer(page.content_string):
            target = _outside(page.src_uri, match[2])
            source = Path(config.docs_dir).parent / target if target else None
            if source is None or source.is_dir():
                continue
            if not source.is_file():
                raise PluginError(f"{page.src_uri} leads to {target}, which the repository does not have")
            copy = _copy_of(str(target))
            if files.get_file_from_path(copy) is None:
                files.append(File.generated(config, copy, content=source.read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Leads links out of the documentation to the copies, and gives wide pages the room beside them."""
    page.meta.setdefault("hide", config.extra.get("hide", {}).get(page.file.src_uri, []))
    root = Path(config.docs_dir).parent

    def replacement(match: re.Match[str]) -> str:
        target = _outside(page.file.src_uri, match[2])
        if target is None:
            return match[0]
        if (root / target).is_dir():
            return match[1]
        here = posixpath.dirname(page.file.src_uri)
        return f"[{match[1]}]({posixpath.relpath(_copy_of(target), here or '.')})"

    return _LINK.sub(replacement, "\n".join(_cells(line) for line in markdown.split("\n")))


def on_post_page(output: str, **_: Any) -> str:
    """Leads the theme's own links to files, and lets long names in tables break between their words."""
    output = _CELL.sub(lambda cell: _CODE_OF_CELL.sub(_breakable, cell[0]), output)
    return _TO_DIRECTORY.sub(r"\1/index.html", output)


def _breakable(code: re.Match[str]) -> str:
    # A character that HTML spells out, such as &lt;, stays whole.
    return _AFTER_WORD.sub("\\g<0><wbr>", code[0])


def _cells(line: str) -> str:
    # GitHub wants a bar in the code of a cell escaped, Markdown for Python does not.
    return _CODE.sub(lambda code: code[0].replace(r"\|", "|"), line) if line.startswith("|") else line


def _outside(page: str, link: str) -> str | None:
    """The path in the repository that a page's link leads to, or None when it stays in the documentation."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    if path.startswith(".."):
        raise PluginError(f"{page} leads out of the repository: {link}")
    return None if path.startswith("docs" + os.sep) else path


def _copy_of(path: str) -> str:
    # Browsers show a file of any other kind as a download. A leading dot would hide it from MkDocs.
    return f"{COPIES}/{path.lstrip('.')}.txt"


def _without(nav: list[Any], missing: set[str]) -> list[Any]:
    kept: list[Any] = []
    for entry in nav:
        if isinstance(entry, dict):
            ((title, inside),) = entry.items()
            if isinstance(inside, list):
                kept.append({title: _without(inside, missing)})
            elif inside not in missing:
                kept.append(entry)
        elif entry not in missing:
            kept.append(entry)
    return kept
