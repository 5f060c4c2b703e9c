"""The wheel as `uv build` makes it of a used clone, and an environment with nothing but it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.engines.base import REPOSITORY
from tests.support.signals import heed_signals
from tests.support.wheel import SECONDS, install, uv

SECRET = "canary-key-5f0c1e7a"

LEFT_BEHIND = (
    ".env",
    "build/apisix.yaml",
    "examples/.env",
    "infra/terraform/environments/dev.tfvars",
    "infra/terraform/stacks/20-workload/terraform.tfvars.dev",
    "infra/terraform/stacks/20-workload/dev.tfvars",
    "infra/terraform/stacks/20-workload/errored.tfstate",
    "infra/terraform/stacks/20-workload/.terraform/terraform.tfstate",
    "infra/terraform/stacks/00-bootstrap/backend_override.tf",
    "infra/terraform/.deploy/dev/bootstrap.tfstate",
    "infra/terraform/.deploy/dev/20-workload/plan/plan.tfplan",
    "renderer/__pycache__/cli.cpython-311.pyc",
    "scripts/.mypy_cache/cache.json",
)
"""What a used clone has, and nobody else should."""


def tracked_files() -> list[str]:
    """The files of the repository, links among them as what they point to."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).exists()]


@dataclass(frozen=True)
class Package:
    """The two builds of the wheel: from the source distribution, and from the clone itself."""

    clone: Path
    wheel: Path
    wheel_of_clone: Path


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    clone = tmp_path_factory.mktemp("clone")
    for name in tracked_files():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, clone / name, follow_symlinks=False)
    for name in LEFT_BEHIND:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(SECRET)
    uv("build", "--quiet", "--out-dir", "dist", cwd=clone)
    uv("build", "--quiet", "--wheel", "--out-dir", "again", cwd=clone)
    (wheel,) = (clone / "dist").glob("*.whl")
    return Package(clone, wheel, clone / "again" / wheel.name)


@dataclass(frozen=True)
class Environment:
    """An environment with the wheel, and a directory to work in."""

    root: Path
    directory: Path

    @property
    def packages(self) -> Path:
        (found,) = self.root.glob("lib/python*/site-packages")
        return found

    def variables(self, **more: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory), "COLUMNS": "100", **more}

    def start(self, name: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "bin" / name, *arguments],
            cwd=self.directory,
            env=self.variables(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_signals,
        )

    def run(self, name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        with self.start(name, *arguments, **variables) as process:
            out, err = process.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture(scope="session")
def installation(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(package.wheel, tmp_path_factory.mktemp("environment"))


@pytest.fixture
def installed(installation: Path, tmp_path: Path) -> Environment:
    return Environment(installation, tmp_path)
