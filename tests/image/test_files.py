"""The files around the images agree with each other and with the code that builds and deploys them."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from renderer.render import DEFAULT_BUNDLE_ROOT
from renderer.sources import read_env_file
from scripts.deploy.images import GATEWAY, RENDERER, SIMULATOR, Image
from scripts.engines.base import REPOSITORY
from scripts.engines.docker import IMAGE as PINNED_IMAGE

DOCKERFILE = (REPOSITORY / GATEWAY.dockerfile).read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
IMAGES = {"gateway": GATEWAY, "config-renderer": RENDERER, "simulators": SIMULATOR}
SCRIPTS = sorted(path.name for path in (REPOSITORY / "apisix" / "image").glob("*.sh"))


def copied_into_image(text: str) -> list[str]:
    """The sources of a Dockerfile's COPY lines that come from the build context."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_the_gateway_image_is_built_on_the_pinned_release() -> None:
    assert re.findall(r"^FROM (.*)$", DOCKERFILE, re.MULTILINE) == [PINNED_IMAGE]


def test_the_bundle_is_where_the_renderer_says() -> None:
    assert f"COPY apisix/plugins {DEFAULT_BUNDLE_ROOT}/apisix/plugins" in DOCKERFILE


@pytest.mark.parametrize("image", IMAGES.values(), ids=list(IMAGES))
def test_no_image_runs_as_root(image: Image) -> None:
    # Group 0 reads the rendered files; no user of it is root.
    assert re.findall(r"^USER (\d+):0$", (REPOSITORY / image.dockerfile).read_text(), re.MULTILINE)[-1] != "0"


@pytest.mark.parametrize("image", IMAGES.values(), ids=list(IMAGES))
def test_what_an_image_copies_is_in_its_digest(image: Image) -> None:
    copied = copied_into_image((REPOSITORY / image.dockerfile).read_text())
    digested = image.sources
    unknown = [
        source
        for source in copied
        if not any(source.startswith(known) or known.startswith(source) for known in digested)
    ]
    assert unknown == []


@pytest.mark.parametrize("image", IMAGES.values(), ids=list(IMAGES))
def test_what_an_image_copies_is_sent_to_docker(image: Image) -> None:
    sent = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    missing = [source for source in image.sources if not any(source.startswith(known) for known in sent)]
    assert missing == []


@pytest.mark.parametrize("service", IMAGES)
def test_compose_builds_the_deployed_images(service: str) -> None:
    assert COMPOSE["services"][service]["build"]["dockerfile"] == IMAGES[service].dockerfile


def test_compose_runs_the_deployed_collector() -> None:
    variables = (REPOSITORY / "infra/terraform/stacks/20-workload/variables.tf").read_text()
    assert f'"{COMPOSE["services"]["otel-collector"]["image"]}"' in variables


def test_compose_simulates_the_backends_of_the_demo_settings() -> None:
    settings = read_env_file(REPOSITORY / "examples" / "demo.env")
    regions: dict[str, str] = {}
    keys: dict[str, str] = {}
    for option in COMPOSE["services"]["simulators"]["command"]:
        if match := re.fullmatch(r"--region=(\w+):(\d+)", option):
            regions[match[1]] = f"http://127.0.0.1:{match[2]}"
        elif match := re.fullmatch(r"--key-for=(\w+)=(.*)", option):
            keys[match[1]] = match[2]
    names = [settings[f"AZURE_OPENAI_NAME_{index}"] for index in range(3)]
    assert regions == {name: settings[f"AZURE_OPENAI_ENDPOINT_{i}"] for i, name in enumerate(names)}
    assert keys == {name: settings[f"AZURE_OPENAI_KEY_{i}"] for i, name in enumerate(names)}


def test_compose_publishes_on_loopback_only() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_docker_compose_accepts_the_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("the docker client has no compose plugin")
    command = [docker, "compose", "--profile", "simulators", "--profile", "watch", "config", "--quiet"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_nothing(script: str) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    command = [shellcheck, str(REPOSITORY / "apisix" / "image" / script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
