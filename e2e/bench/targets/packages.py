"""Installs other gateways from package registries into `.cache/bench`, each in one version."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.engines.base import REPOSITORY

CACHE = Path.cwd() / ".cache" / "bench"
_SECONDS = 600
_SAID = 300


def python_environment(package: str, version: str, extra: str = "") -> Path:
    """The interpreter that has a package of PyPI. Raises `RuntimeError` saying why there is none."""
    directory = CACHE / f"{package}-{version}"
    interpreter = directory / "bin" / "python"
    if not _is_complete(directory):
        uv = shutil.which("uv") or shutil.which(REPOSITORY / ".cache" / "bin" / "uv")
        if uv is None:
            raise RuntimeError("uv is not installed (scripts/setup.sh installs it)")
        _run([uv, "venv", "--quiet", "--clear", str(directory)], CACHE)
        wanted = f"{package}{extra}=={version}"
        _run([uv, "pip", "install", "--quiet", "--python", str(interpreter), wanted], CACHE)
        _mark(directory)
    return interpreter


def node_package(package: str, version: str, overrides: Mapping[str, str]) -> Path:
    """The folder of a package of npm, with these versions of packages that it needs.

    Raises `RuntimeError` saying why there is none.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise RuntimeError("Node.js and npm are not installed (on Debian: apt-get install nodejs npm)")
    directory = CACHE / f"{package.replace('@', '').replace('/', '-')}-{version}"
    if not _is_complete(directory):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "package.json").write_text(json.dumps({"private": True, "overrides": dict(overrides)}))
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        _run([npm, "install", *options, f"{package}@{version}"], directory)
        _mark(directory)
    return directory / "node_modules" / package


def _is_complete(directory: Path) -> bool:
    return (directory / "complete").exists()


def _mark(directory: Path) -> None:
    (directory / "complete").touch()


def _run(command: Sequence[str], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(  # noqa: S603
            command, cwd=directory, check=True, capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())[-_SAID:]
        raise RuntimeError(f"it could not be installed: {said}") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it was not installed within {_SECONDS} s") from None
