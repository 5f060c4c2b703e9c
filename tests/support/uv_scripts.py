"""Scripts that declare their own dependencies, as a lock file beside each pins them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

INSTALL_SECONDS = 300

# Where scripts/setup.sh installs it on a machine that lacks it.
_LOCAL_UV = Path(__file__).resolve().parents[2] / ".cache" / "bin" / "uv"


def script_command(script: Path, environment: Mapping[str, str]) -> list[str]:
    """The command that runs a script, once its packages are installed. Skips without uv.

    ``environment`` is the one to install in.
    """
    uv = _installed(script, environment)
    return [uv, "run", "--quiet", "--locked", "--offline", "--script", str(script)]


def script_interpreter(script: Path, environment: Mapping[str, str]) -> str:
    """The interpreter that has a script's packages, once they are installed. Skips without uv."""
    uv = _installed(script, environment)
    find = [uv, "python", "find", "--script", str(script)]
    found = subprocess.run(find, env=dict(environment), check=True, capture_output=True, text=True)
    return found.stdout.strip()


def find_uv() -> str:
    """The program. Skips without it."""
    uv = shutil.which("uv") or shutil.which(_LOCAL_UV)
    if uv is None:
        pytest.skip("uv is not installed")
    return uv


def _installed(script: Path, environment: Mapping[str, str]) -> str:
    uv = find_uv()
    install = [uv, "sync", "--quiet", "--locked", "--script", str(script)]
    subprocess.run(install, env=dict(environment), check=True, capture_output=True, timeout=INSTALL_SECONDS)
    return uv
