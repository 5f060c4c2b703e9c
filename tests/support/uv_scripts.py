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
    uv = shutil.which("uv") or shutil.which(_LOCAL_UV)
    if uv is None:
        pytest.skip("uv is not installed")
    install = [uv, "sync", "--quiet", "--locked", "--script", str(script)]
    subprocess.run(install, env=dict(environment), check=True, capture_output=True, timeout=INSTALL_SECONDS)
    return [uv, "run", "--quiet", "--locked", "--offline", "--script", str(script)]
