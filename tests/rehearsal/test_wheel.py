"""A deployment with an installed wheel, in a directory that is no clone. Each test goes on after the last."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.engines.base import REPOSITORY
from tests.rehearsal.stage import Stage
from tests.support.wheel import install, uv

pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="module")
def elsewhere(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The stage for the commands of a wheel, with the settings that they have made."""
    root = tmp_path_factory.mktemp("wheel")
    uv("build", "--quiet", "--wheel", "--out-dir", root, cwd=REPOSITORY)
    (wheel,) = root.glob("*.whl")
    directory = tmp_path_factory.mktemp("elsewhere")
    made = replace(
        stage,
        environment={
            name: value for name, value in stage.environment.items() if name != "GATEWAY_STACKS_DIR"
        },
        programs=install(wheel, root) / "bin",
        directory=directory,
    )
    assert made.run("aoai-gateway deploy init dev").code == 0
    return made


def test_doctor_finds_nothing_bad(elsewhere: Stage) -> None:
    ran = elsewhere.run("aoai-gateway doctor dev")
    assert ran.code == 0, ran.screen


def test_the_storage_of_the_states_is_made_and_its_own_state_moved_there(elsewhere: Stage) -> None:
    ran = elsewhere.run("deploy-bootstrap dev --yes")
    assert ran.code == 0, ran.screen
    assert any("dev/00-bootstrap" in name for name in elsewhere.cloud.state.blobs)


def test_the_plan_of_the_rest_names_what_comes(elsewhere: Stage) -> None:
    ran = elsewhere.run("aoai-gateway deploy up dev --plan")
    assert (ran.code, "observability" in ran.screen) == (10, True), ran.screen


def test_all_that_it_leaves_is_in_the_working_directory(elsewhere: Stage) -> None:
    assert elsewhere.directory is not None
    assert {path.name for path in elsewhere.directory.iterdir()} == {".deploy", "environments"}
