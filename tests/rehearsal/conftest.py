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


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage with a login and settings from the example. Skips where a real tool is missing."""
    tools = find_tools()
    if isinstance(tools, str):
        pytest.skip(tools)
    name = request.module.__name__.rpartition(".test_")[2]
    folder = Path(os.environ.get("AZURE_REHEARSAL_LOGS", REPOSITORY / "build"))
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"rehearsal.{name}.log"
    for path in folder.glob(f"{log.stem}.*"):
        path.unlink()
    with open_stage(tmp_path_factory.mktemp("rehearsal"), tools, log) as made:
        log_in(made)
        assert made.run("aoai-gateway deploy init dev").code == 0
        yield made
        log.with_suffix(".summary.txt").write_text(summary(name, made.ran, made.cloud.ledger), "utf-8")


@pytest.fixture(scope="module")
def story(stage: Stage) -> Story:
    """The points of the story so far."""
    return Story(stage)


@pytest.fixture(autouse=True)
def without_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a failure behind."""
    yield
    if "stage" in request.fixturenames:
        request.getfixturevalue("stage").cloud.faults.clear()
