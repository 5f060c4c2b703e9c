"""The files of the images agree with each other, and with the code that builds and deploys the images."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import PurePath
from typing import Any

import pytest
import yaml

from renderer import read_env_file
from renderer.render import DEFAULT_BUNDLE_ROOT
from scripts.deploy.base_images import bases_of
from scripts.deploy.images import GATEWAY, RENDERER, SIMULATOR, Image
from scripts.engines.base import REPOSITORY
from scripts.engines.docker import IMAGE as PINNED_IMAGE

DOCKERFILE = (REPOSITORY / GATEWAY.dockerfile).read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
IMAGES = {"gateway": GATEWAY, "config-renderer": RENDERER, "simulators": SIMULATOR}
PYTHON_IMAGES = [RENDERER, SIMULATOR]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
# Packages whose module has another name.
PACKAGES = {
    "azure.core": "azure-core",
    "azure.identity": "azure-identity",
    "azure.keyvault": "azure-keyvault-secrets",
    "jsonschema_rs": "jsonschema-rs",
    "pydantic_core": "pydantic-core",
    "yaml": "pyyaml",
}
SCRIPTS = sorted(path.name for path in (REPOSITORY / "apisix" / "image").glob("*.sh"))


def copied_into_image(text: str) -> list[str]:
    """The sources of a Dockerfile's COPY lines that come from the build context."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def installed_packages(group: str) -> set[str]:
    """The packages of a dependency group, with all that they need."""
    lock = {
        package["name"]: package for package in tomllib.loads((REPOSITORY / "uv.lock").read_text())["package"]
    }
    waiting = [entry["name"] for entry in lock[PROJECT["project"]["name"]]["dev-dependencies"][group]]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [entry["name"] for entry in lock[name].get("dependencies", [])]
    return found


def imported_packages(image: Image) -> set[str]:
    """The packages that the code in an image imports by name."""
    modules: set[str] = set()
    for source in image.sources:
        path = REPOSITORY / source
        for file in [path] if path.suffix == ".py" else path.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    modules |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    modules.add(node.module)
    # Several packages share this namespace, so the first two parts name the package.
    names = {
        ".".join(name.split(".")[:2]) if name.startswith("azure.") else name.split(".")[0] for name in modules
    }
    return {PACKAGES.get(name, name) for name in names - sys.stdlib_module_names - {"renderer", "e2e"}}


def test_the_gateway_image_is_built_on_the_pinned_release() -> None:
    assert bases_of(REPOSITORY / GATEWAY.dockerfile) == {"APISIX_IMAGE": PINNED_IMAGE}
    assert re.findall(r"^FROM (.*)$", DOCKERFILE, re.MULTILINE) == ["${APISIX_IMAGE}"]


def test_the_bundle_is_where_the_renderer_says() -> None:
    assert f"COPY apisix/plugins {DEFAULT_BUNDLE_ROOT}/apisix/plugins" in DOCKERFILE


@pytest.mark.parametrize("image", IMAGES.values(), ids=list(IMAGES))
def test_no_image_runs_as_root(image: Image) -> None:
    # Group 0 can read the rendered files, and no image runs as root.
    assert re.findall(r"^USER (\d+):0$", (REPOSITORY / image.dockerfile).read_text(), re.MULTILINE)[-1] != "0"


def test_the_gateway_has_its_group_where_only_the_user_is_passed_on() -> None:
    # On Kubernetes the group comes from /etc/passwd, and group 0 can read the rendered files.
    assert "\nUSER root\n" in DOCKERFILE.partition("usermod --gid 0 apisix")[0]


@pytest.mark.parametrize("image", IMAGES.values(), ids=list(IMAGES))
def test_an_image_names_the_versions_that_it_is_made_of(image: Image) -> None:
    text = (REPOSITORY / image.dockerfile).read_text()
    bases = bases_of(REPOSITORY / image.dockerfile)
    assert [name for name in bases.values() if not re.search(r":\d+\.\d+", name)] == []
    # A base that is no argument would come from a public registry with each build.
    origins = re.findall(r"^FROM (\S+)|^COPY --from=(\S+)", text, re.MULTILINE)
    stages = {*re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE), *(f"${{{name}}}" for name in bases)}
    assert {*map("".join, origins)} - stages == set()


@pytest.mark.parametrize("image", PYTHON_IMAGES, ids=["config-renderer", "simulators"])
def test_an_image_holds_the_packages_that_its_code_imports(image: Image) -> None:
    (group,) = re.findall(r"--only-group (\S+)", (REPOSITORY / image.dockerfile).read_text())
    assert imported_packages(image) - installed_packages(group) == set()


@pytest.mark.parametrize("image", PYTHON_IMAGES, ids=["config-renderer", "simulators"])
def test_an_image_has_no_packages_of_its_own(image: Image) -> None:
    (group,) = re.findall(r"--only-group (\S+)", (REPOSITORY / image.dockerfile).read_text())
    declared = {re.split(r"[=<>]", name)[0] for name in PROJECT["project"]["dependencies"]}
    own = {entry for entry in PROJECT["dependency-groups"][group] if isinstance(entry, str)}
    assert own - declared == set()


@pytest.mark.parametrize("image", IMAGES.values(), ids=list(IMAGES))
def test_what_an_image_copies_is_in_its_digest(image: Image) -> None:
    copied = [PurePath(source) for source in copied_into_image((REPOSITORY / image.dockerfile).read_text())]
    undigested = [
        source for source in copied if not any(source.is_relative_to(known) for known in image.sources)
    ]
    assert undigested == []


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


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_compose_takes_rights_away(service: str) -> None:
    given = COMPOSE["services"][service]
    rights = [given.get(name) for name in ("read_only", "cap_drop", "security_opt")]
    assert rights == [True, ["ALL"], ["no-new-privileges:true"]]


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
