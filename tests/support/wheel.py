"""Wheels as `uv` builds and installs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from scripts.engines.base import REPOSITORY
from tests.support.uv_scripts import find_uv

SECONDS = 300


def uv(*arguments: object, cwd: Path) -> None:
    """Run uv. Skips without it."""
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run([find_uv(), *map(str, arguments)], cwd=cwd, env=env, check=True, timeout=SECONDS)


def install(wheel: Path, root: Path) -> Path:
    """An environment with nothing but a wheel and what it needs.

    The versions are those of the lock file, so they are on this machine already.
    """
    versions, environment = root / "versions.txt", root / "venv"
    options = ("--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--no-header")
    uv("export", *options, "--output-file", versions, cwd=REPOSITORY)
    uv("venv", "--quiet", "--python", sys.executable, environment, cwd=root)
    python = environment / "bin" / "python"
    uv("pip", "install", "--quiet", "--python", python, "--constraint", versions, wheel, cwd=root)
    return environment
