"""What is in the wheel: the product and nothing of its clone."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

import pytest

from scripts.deploy.images import GATEWAY, RENDERER, SIMULATOR, Image, content_tag
from tests.package.conftest import SECRET, Package, tracked_files

pytestmark = pytest.mark.xdist_group("package")

PACKAGE = "azure_openai_gateway"
PARTS = ("apisix/", "dashboards/", "e2e/", "examples/", "infra/", "renderer/", "scripts/")
DIRECTORIES_OF_THE_CLONE = tuple(
    f"scripts/{name}/" for name in ("audit", "coverage", "dashboards", "docs", "lint", "release")
)
SCRIPTS_OF_THE_CLONE = {f"scripts/{name}.sh" for name in ("apt-install", "lint", "setup", "stylua")}


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_what_git_has_of_the_parts_that_commands_need(package: Package) -> None:
    expected = {"pyproject.toml", "uv.lock", "__init__.py", "commands.py"} | {
        name
        for name in tracked_files()
        if name.startswith(PARTS) and not name.startswith(DIRECTORIES_OF_THE_CLONE)
    } - SCRIPTS_OF_THE_CLONE
    found = {name for name in names_in(package.wheel) if ".dist-info/" not in name}
    assert {str(PurePosixPath(name).relative_to(PACKAGE)) for name in found} == expected


def test_it_has_one_package(package: Package) -> None:
    tops = {name.split("/")[0] for name in names_in(package.wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {PACKAGE}


def test_nothing_that_a_user_left_in_the_clone_is_in_it(package: Package) -> None:
    with zipfile.ZipFile(package.wheel) as archive:
        assert [name for name in archive.namelist() if SECRET.encode() in archive.read(name)] == []


def test_it_is_the_same_from_the_clone_and_from_the_source_distribution(package: Package) -> None:
    assert package.wheel.read_bytes() == package.wheel_of_clone.read_bytes()


@pytest.mark.parametrize("image", [GATEWAY, RENDERER, SIMULATOR], ids=["gateway", "renderer", "simulator"])
def test_images_of_it_are_those_of_the_clone(package: Package, installation: Path, image: Image) -> None:
    (root,) = installation.glob(f"lib/python*/site-packages/{PACKAGE}")
    assert content_tag(root, image, {}) == content_tag(package.clone, image, {})
