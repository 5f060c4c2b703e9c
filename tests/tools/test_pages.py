"""What every page of a tool has."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import version

import pytest

from tests.tools import pages
from tests.tools.sessions import HERE

INDEX = (pages.DOCS / "tools.md").read_text(encoding="utf-8")
NAMES = pages.names()


def test_the_index_links_every_page() -> None:
    assert sorted(set(re.findall(r"\]\(tools/([\w-]+)\.md\)", INDEX))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_surface_and_base_url(name: str) -> None:
    rows = re.findall(r"^\| (Surface|Base URL) \| ", pages.text(name), re.MULTILINE)
    assert rows == ["Surface", "Base URL"]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_no_address_but_the_examples(name: str) -> None:
    """A tool that is told another address would go around the gateway."""
    assert set(re.findall(r"(?:https?|wss)://[^/`\"\s]+", pages.text(name))) <= {
        pages.PLACEHOLDER,
        pages.PLACEHOLDER.replace("https", "wss"),
    }


@pytest.mark.parametrize("name", [name for name in NAMES if "| Tried with |" in pages.text(name)])
def test_a_page_names_the_versions_that_are_run(name: str) -> None:
    (row,) = re.findall(r"^\| Tried with \| (.*) \|$", pages.text(name), re.MULTILINE)
    told = set(re.findall(r"\d+\.\d+\.\d+", row))
    assert told == pinned(name)


def pinned(name: str) -> set[str]:
    """The versions of the packages that a page is about."""
    if name == "anthropic-sdk":
        return {version("anthropic")}
    script = HERE / "python" / f"{name.replace('-', '_')}.py"
    if script.exists():
        declared = "\n".join(re.findall(r"^# (.*)$", script.read_text(), re.MULTILINE)[1:-1])
        return {text.split("==")[1] for text in tomllib.loads(declared)["dependencies"]}
    package = json.loads((HERE / "node" / name / "package.json").read_text())
    wanted = package.get("dependencies", {}) | package.get("optionalDependencies", {})
    # Not of the tool itself.
    wanted.pop("zod", None)
    return set(wanted.values())
