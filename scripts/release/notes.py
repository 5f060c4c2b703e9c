"""Prints what CHANGELOG.md says of a version: `python -m scripts.release.notes v1.2.0` gives its notes.

Ends with 1 when the file, the tag and pyproject.toml do not fit together; says all that does not.
"""

import re
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TITLE = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


def sections(text: str) -> dict[str, tuple[str | None, str]]:
    """Date and text of each version; "Unreleased" has no date."""
    titles = list(TITLE.finditer(text))
    ends = [title.start() for title in titles[1:]] + [len(text)]
    return {
        title["version"]: (title["date"], text[title.end() : end].strip())
        for title, end in zip(titles, ends, strict=True)
    }


def problems(tag: str, text: str, packaged: str) -> list[str]:
    """What stops a release of this tag; `packaged` is the version in pyproject.toml."""
    version = tag.removeprefix("v")
    found = []
    if version == tag:
        found.append(f"{tag} is no tag of a release: those begin with v")
    if version != packaged:
        found.append(f"pyproject.toml has version {packaged}, the tag is {tag}: run `uv version {version}`")
    date, notes = sections(text).get(version, (None, ""))
    if not date:
        found.append(f"CHANGELOG.md has no section `## [{version}] - YYYY-MM-DD`")
    elif not re.search(r"^- ", notes, re.MULTILINE):
        found.append(f"CHANGELOG.md has no entry in the section of {version}")
    return found


def main(arguments: list[str]) -> int:
    """Runs the command."""
    if len(arguments) != 1:
        print("usage: python -m scripts.release.notes TAG", file=sys.stderr)
        return 2
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    packaged = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    found = problems(arguments[0], text, packaged)
    if found:
        print("\n".join(found), file=sys.stderr)
        return 1
    print(sections(text)[arguments[0].removeprefix("v")][1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
