"""The commands of docs/first-steps.md, in a copy of the repository."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.doc_terminals import Reader, Step, Stop, missing, steps_of

# With the other tests that use the usual ports.
pytestmark = pytest.mark.xdist_group("demo")

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "first-steps.md").read_text(encoding="utf-8")
# Before any fixture of other tests has changed it.
OUTER = dict(os.environ)
PORTS = (8001, 8002, 8003, 9080)


def files_of_the_repository() -> list[Path]:
    """What a clone would have, with what is not committed yet."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("this is no clone")
    return [Path(name) for name in done.stdout.split("\0") if name and (REPOSITORY / name).is_file()]


def is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    copy = tmp_path_factory.mktemp("clone")
    for name in files_of_the_repository():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, copy / name)
    yield copy
    shutil.rmtree(copy)  # it has an environment of its own


@pytest.fixture(scope="module")
def reader(clone: Path, engine: str) -> Iterator[Reader]:
    taken = [port for port in PORTS if not is_free(port)]
    if taken:
        pytest.skip(f"the page's ports are in use: {', '.join(map(str, taken))}")
    environment = {
        **OUTER,
        # uv of this clone, so that it is not fetched once more.
        "PATH": os.pathsep.join([OUTER["PATH"], str(REPOSITORY / ".cache" / "bin")]),
        "ENGINE": engine,
    }
    with Reader(clone, environment) as made:
        yield made


def test_each_command_prints_what_the_page_says(reader: Reader) -> None:
    for step in steps_of(PAGE):
        reader.do(step)


def test_a_page_is_read_step_by_step() -> None:
    page = (
        "```console\n$ a \\\n  b\nc\n```\n<!-- terminal: x, until: d -->\n```console\n$ e\n```\n"
        "```text\nno step\n```\n<!-- stop: x, y -->\n<!-- terminal: x, shows -->\n```text\nf\n```\n"
    )
    assert steps_of(page) == [
        Step("first", ("a   b",), ("c",)),
        Step("x", ("e",), (), until="d"),
        Stop(("x", "y")),
        Step("x", (), ("f",)),
    ]


@pytest.mark.parametrize(
    ("expected", "absent"),
    [
        (("one", "…", "th…ee"), []),
        (("  one",), []),
        (("three", "one"), ["one"]),
        (("four", "two"), ["four"]),
        (("tw",), ["tw"]),
    ],
)
def test_what_was_not_printed_is_found(expected: tuple[str, ...], absent: list[str]) -> None:
    assert missing(expected, "one\ntwo\nthree\n") == absent
