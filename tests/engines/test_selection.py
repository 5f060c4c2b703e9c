"""Which engine is chosen, and the reason when one cannot run."""

from pathlib import Path

import pytest

from scripts.engines import EngineError, choose_engine, embedded
from scripts.engines.apisix import ApisixEngine
from scripts.engines.docker import DockerEngine
from scripts.engines.embedded import EmbeddedEngine


def executable(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty directory as its PATH, and no nginx elsewhere; returns the directory."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("APISIX_HOME", str(tmp_path / "apisix-home"))
    monkeypatch.setattr(embedded, "SYSTEM_DIRECTORIES", ())
    return tmp_path


def install_apisix(home: Path, version: str) -> None:
    core = home / "apisix" / "core"
    core.mkdir(parents=True)
    (core / "version.lua").write_text(f'return {{\n    VERSION = "{version}"\n}}\n')


def test_the_embedded_engine_runs_here() -> None:
    assert EmbeddedEngine().missing() is None


def test_nginx_is_found_where_the_path_of_most_users_does_not_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert EmbeddedEngine().missing() is None


@pytest.mark.usefixtures("bare")
def test_without_nginx_the_packages_to_install_are_named() -> None:
    missing = EmbeddedEngine().missing() or ""
    assert missing.startswith("not installed: nginx (on Debian: apt-get install nginx libnginx-mod-http-ndk ")


@pytest.mark.usefixtures("bare")
def test_without_a_docker_client_that_is_what_is_missing() -> None:
    assert DockerEngine().missing() == "there is no docker client on PATH (install Docker)"


def test_with_a_docker_client_but_no_engine_it_is_the_engine(bare: Path) -> None:
    executable(bare, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    missing = DockerEngine().missing() or ""
    assert "no Docker engine answers (Cannot connect to the Docker daemon)" in missing


def test_docker_runs_where_its_engine_answers(bare: Path) -> None:
    executable(bare, "docker", "echo 27.0")
    assert DockerEngine().missing() is None


def test_without_apisix_its_home_is_named(bare: Path) -> None:
    assert f"no APISIX in {bare / 'apisix-home'}" in (ApisixEngine().missing() or "")


def test_another_version_of_apisix_is_refused(bare: Path) -> None:
    install_apisix(bare / "apisix-home", "3.17.1")
    assert "APISIX 3.17.1" in (ApisixEngine().missing() or "")


def test_apisix_needs_its_commands(bare: Path) -> None:
    install_apisix(bare / "apisix-home", "3.18.0")
    assert ApisixEngine().missing() == "the command apisix is not on PATH"


def test_an_unknown_engine_is_refused_with_those_there_are() -> None:
    with pytest.raises(EngineError, match="choose one of auto, docker, apisix, embedded"):
        choose_engine("kubernetes")


@pytest.mark.usefixtures("bare")
def test_an_engine_that_cannot_run_here_is_refused_with_the_reason() -> None:
    with pytest.raises(EngineError, match="engine docker cannot run here: there is no docker client"):
        choose_engine("docker")


@pytest.mark.usefixtures("bare")
def test_when_no_engine_can_run_every_reason_is_given() -> None:
    with pytest.raises(EngineError) as caught:
        choose_engine("auto")
    assert [problem.split(":")[0] for problem in caught.value.problems[1:]] == [
        "docker",
        "apisix",
        "embedded",
    ]


def test_auto_takes_the_closest_to_production_that_can_run(bare: Path) -> None:
    executable(bare, "docker", "echo 27.0")
    assert choose_engine("auto")[0].name == "docker"


def test_auto_says_why_the_closer_ones_were_passed_over(bare: Path) -> None:
    executable(bare, "nginx", "exit 0")
    engine, why = choose_engine("auto")
    assert (engine.name, "docker: there is no docker client" in why, "apisix: no APISIX" in why) == (
        "embedded",
        True,
        True,
    )
