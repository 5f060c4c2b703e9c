"""The lines of the gateway's behaviour with their tests and results, engine beside engine.

Run the tests once on each engine with ``--junit-xml``, then::

    python -m tests.behaviour_lines embedded=embedded.xml apisix=apisix.xml

prints a Markdown table with a row for each line, and exits with 1 when a test failed somewhere.
``--tests`` prints a row for each test instead.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

SECTIONS = "SABFTRHLOC"
"""The order of the sections, by the letter of their lines."""

Outcomes = dict[str, str]
"""Test to outcome: passed, failed or skipped."""


def read_outcomes(path: Path) -> Outcomes:
    """The outcome of each test in a JUnit file that pytest wrote."""
    outcomes = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        failed = bool(kinds & {"failure", "error"})
        outcomes[f"{case.get('classname')}::{case.get('name')}"] = (
            "failed" if failed else "skipped" if "skipped" in kinds else "passed"
        )
    return outcomes


def lines_of(test: str) -> list[str]:
    """The lines that a test's name says it proves: ``test_s3_a7_…`` proves S3 and A7."""
    named = re.match(rf"test((?:_[{SECTIONS.lower()}]\d+)+)_", test.rpartition("::")[2])
    return named[1].upper().split("_")[1:] if named else []


def tests_by_line(engines: dict[str, Outcomes]) -> Iterator[tuple[str, list[str]]]:
    """Each line with the tests of all engines, in the order of the sections."""
    found: dict[str, set[str]] = defaultdict(set)
    for outcomes in engines.values():
        for test in outcomes:
            for line in lines_of(test):
                found[line].add(test)
    for line in sorted(found, key=lambda line: (SECTIONS.index(line[0]), int(line[1:]))):
        yield line, sorted(found[line])


def summary(outcomes: Outcomes, tests: list[str]) -> str:
    """For example ``12 passed, 1 skipped``; a hyphen where none ran."""
    counts = Counter(outcomes[test] for test in tests if test in outcomes)
    return (
        ", ".join(f"{counts[kind]} {kind}" for kind in ("passed", "failed", "skipped") if counts[kind]) or "-"
    )


def table(engines: dict[str, Outcomes], *, with_tests: bool) -> Iterator[str]:
    """The rows of the Markdown table."""
    yield f"| {'Test' if with_tests else 'Line'} | {' | '.join(engines)} |"
    yield "|---" * (len(engines) + 1) + "|"
    for line, tests in tests_by_line(engines):
        for name, group in [(f"{line} {test}", [test]) for test in tests] if with_tests else [(line, tests)]:
            yield f"| {name} | {' | '.join(summary(outcomes, group) for outcomes in engines.values())} |"


def main() -> int:
    """Prints the table; 1 when a test failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", nargs="+", metavar="ENGINE=FILE", help="a JUnit file for each engine")
    parser.add_argument("--tests", action="store_true", help="a row for each test")
    arguments = parser.parse_args()
    engines = {}
    for result in arguments.results:
        engine, _, path = result.partition("=")
        if not path or not Path(path).is_file():
            parser.error(f"{result}: not ENGINE=FILE with a file that exists")
        engines[engine] = read_outcomes(Path(path))
    print(*table(engines, with_tests=arguments.tests), sep="\n")
    return int(any("failed" in outcomes.values() for outcomes in engines.values()))


if __name__ == "__main__":
    sys.exit(main())
