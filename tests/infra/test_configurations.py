"""Terraform accepts every stack and module, and their own tests pass: the real provider, no Azure.

`AZURERM_MIRROR` names a directory with the provider, as `terraform providers mirror` makes it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.deploy.layout import REPOSITORY
from tests.infra.schema import TERRAFORM, configurations

MIRROR = os.environ.get("AZURERM_MIRROR")
BINARY = os.environ.get("TERRAFORM_BINARY", "terraform")

pytestmark = [
    pytest.mark.skipif(MIRROR is None, reason="AZURERM_MIRROR names no directory with the azurerm provider"),
    pytest.mark.skipif(shutil.which(BINARY) is None, reason=f"{BINARY} is not installed"),
]
each_configuration = pytest.mark.parametrize(
    "name", [str(path.relative_to(TERRAFORM)) for path in configurations()]
)


def terraform(directory: Path, *arguments: str) -> None:
    """Run Terraform in a directory. Its output is the message of a failure."""
    result = subprocess.run(
        [BINARY, *arguments, "-no-color"], cwd=directory, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, because `init` writes lock files and providers beside them."""
    copy = tmp_path_factory.mktemp("sources")
    shutil.copytree(REPOSITORY / "dashboards", copy / "dashboards")
    ignored = shutil.ignore_patterns(".terraform*", ".deploy")
    return shutil.copytree(TERRAFORM, copy / TERRAFORM.relative_to(REPOSITORY), ignore=ignored)


@each_configuration
def test_it_is_valid_and_its_own_tests_pass(name: str, sources: Path) -> None:
    directory = sources / name
    terraform(directory, "init", "-backend=false", "-input=false", f"-plugin-dir={MIRROR}")
    terraform(directory, "validate")
    if (directory / "tests").is_dir():
        terraform(directory, "test")
