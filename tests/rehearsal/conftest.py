"""The story of one environment, whose points are the starts of the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.deploy.layout import REPOSITORY
from tests.rehearsal.stage import Stage, log_in, open_stage
from tests.rehearsal.story import Story
from tests.rehearsal.summary import summary
from tests.rehearsal.tools import find_tools


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage with a login and settings from the example. Skips where a real tool is missing."""
    tools = find_tools()
    if isinstance(tools, str):
        pytest.skip(tools)
    log = Path(os.environ.get("AZURE_REHEARSAL_LOG", REPOSITORY / "build" / "rehearsal.log"))
    log.parent.mkdir(parents=True, exist_ok=True)
    for path in (log, log.with_suffix(".requests.log")):
        path.unlink(missing_ok=True)
    with open_stage(tmp_path_factory.mktemp("rehearsal"), tools, log) as made:
        log_in(made)
        assert made.run("deploy init dev").code == 0
        yield made
        shown = summary(made.ran, made.cloud.ledger)
        made.note(shown)
        log.with_suffix(".summary.txt").write_text(f"{shown}\n", encoding="utf-8")


@pytest.fixture(scope="session")
def story(stage: Stage) -> Story:
    """The points of the story so far."""
    return Story(stage)


@pytest.fixture(autouse=True)
def without_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a failure behind."""
    yield
    if "stage" in request.fixturenames:
        request.getfixturevalue("stage").cloud.faults.clear()
