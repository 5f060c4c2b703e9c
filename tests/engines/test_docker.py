"""The docker engine, with a stand-in for the docker client where no Docker has to run."""

from pathlib import Path

import pytest

from scripts.engines import EngineError
from scripts.engines.base import Instance, Launch, Ports
from scripts.engines.docker import IMAGE, DockerEngine
from tests.engines.support import apisix_yaml, config_yaml


class Client:
    """A docker client on PATH that writes down its arguments."""

    def __init__(self, directory: Path, *, images: bool = True, pulls: bool = True) -> None:
        self._calls = directory / "calls"
        self._program = directory / "docker"
        self._program.write_text(
            f"""#!/bin/sh
echo "$@" >> {self._calls}
case $1 in
    image) {"true" if images else "false"} ;;
    pull) {"true" if pulls else "echo no route to the registry >&2; false"} ;;
esac
"""
        )
        self._program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is first on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def prepare(place: Path, **env: str) -> Launch:
    files = {"apisix.yaml": apisix_yaml(), "config.yaml": config_yaml(place, [])}
    return DockerEngine().prepare(Instance(place / "instance", files, Ports(1, 2, 3), env=env))


def test_the_files_and_the_bundle_are_mounted_read_only(place: Path) -> None:
    Client(place)
    mounted = [argument.split(":")[1:] for argument in prepare(place).argv if argument.count(":/") == 1]
    assert mounted == [
        ["/etc/azure-openai-gateway", "ro"],
        ["/usr/local/azure-openai-gateway/apisix", "ro"],
    ]


def test_values_of_variables_are_no_arguments(place: Path) -> None:
    Client(place)
    launch = prepare(place, A_KEY="s3cr3t")
    assert ("A_KEY" in launch.argv, "s3cr3t" in " ".join(launch.argv), launch.env["A_KEY"]) == (
        True,
        False,
        "s3cr3t",
    )


def test_the_client_keeps_its_own_settings(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Client(place)
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
    assert prepare(place).env["DOCKER_HOST"] == "unix:///elsewhere.sock"


def test_requests_in_flight_have_the_seconds_that_they_were_given(place: Path) -> None:
    Client(place)
    stop = prepare(place).stop_command
    assert stop is not None
    assert stop(29.5)[1:-1] == ["stop", "-t", "30"]


def test_an_image_that_is_here_is_not_pulled(place: Path) -> None:
    client = Client(place)
    prepare(place)
    assert client.calls == [f"image inspect {IMAGE}"]


def test_an_image_that_is_missing_is_pulled_before_the_start(place: Path) -> None:
    client = Client(place, images=False)
    prepare(place)
    assert client.calls == [f"image inspect {IMAGE}", f"pull --quiet {IMAGE}"]


def test_an_image_that_cannot_be_pulled_is_named_with_the_reason(place: Path) -> None:
    Client(place, images=False, pulls=False)
    with pytest.raises(EngineError, match=f"{IMAGE} cannot be pulled: no route to the registry"):
        prepare(place)
