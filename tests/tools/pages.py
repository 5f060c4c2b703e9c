"""The pages of docs/tools, and the code in them."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "tools"

_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PLACEHOLDER = "https://gateway.example.com"
"""The gateway's address in all pages."""


def names() -> list[str]:
    """The pages, without their suffix."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def text(name: str) -> str:
    """The whole of a page."""
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def code(name: str, language: str) -> list[str]:
    """The blocks of a page in one language, in order."""
    return [block for kind, block in _FENCED.findall(text(name)) if kind == language]


def aimed_at(gateway: str, block: str) -> str:
    """A block with the address of a running gateway in the place of the example's."""
    return block.replace(PLACEHOLDER, gateway)


def commands(name: str) -> list[str]:
    """What a page has the reader type at a prompt."""
    lines = [line for block in code(name, "console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def paths(name: str) -> set[str]:
    """The paths that a page says its tool uses."""
    (row,) = re.findall(r"^\| Paths \| (.*) \|$", text(name), re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", row))
