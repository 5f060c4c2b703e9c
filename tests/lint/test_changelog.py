"""The notes of a release come from the changelog, and only when all versions agree."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from scripts.release.notes import REPOSITORY, problems, sections

TEXT = """# Changelog

## [Unreleased]

### Added

- A page.

## [1.2.0] - 2027-01-31

### Fixed

- A crash.

## [1.1.0] - 2027-01-01
"""


def test_the_notes_of_a_version_end_where_the_next_one_begins() -> None:
    assert sections(TEXT)["1.2.0"] == ("2027-01-31", "### Fixed\n\n- A crash.")


def test_a_release_whose_versions_agree_has_no_problem() -> None:
    assert problems("v1.2.0", TEXT, "1.2.0") == []


@pytest.mark.parametrize(
    ("tag", "packaged", "said"),
    [
        ("1.2.0", "1.2.0", "no tag of a release"),
        ("v1.2.0", "1.1.0", "run `uv version 1.2.0`"),
        ("v1.3.0", "1.3.0", "no section `## [1.3.0] - YYYY-MM-DD`"),
        ("v1.1.0", "1.1.0", "no entry in the section of 1.1.0"),
        ("vUnreleased", "Unreleased", "no section"),
    ],
)
def test_what_does_not_fit_together_is_named(tag: str, packaged: str, said: str) -> None:
    (problem,) = problems(tag, TEXT, packaged)
    assert said in problem


def test_all_problems_are_told_at_once() -> None:
    assert len(problems("2.0.0", TEXT, "1.2.0")) == 3


def test_the_command_prints_no_notes_when_something_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.release.notes", "v999.0.0"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, "999.0.0" in done.stderr) == (1, "", True)


def test_the_changelog_keeps_the_usual_form() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert next(iter(sections(text))) == "Unreleased"
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
