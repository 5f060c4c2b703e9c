"""Node.js packages that tests use, as a ``package-lock.json`` pins them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

INSTALL_SECONDS = 300


def node_with_packages(folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Gives the command that runs Node, once the packages of ``folder`` are installed. Skips without Node.

    ``environment`` is the one to install in, this process's own by default.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js and npm are not installed")
    lock = folder / "package-lock.json"
    with lock.open() as held:
        # Parallel test processes share the folder.
        fcntl.flock(held, fcntl.LOCK_EX)
        # npm writes this file when all packages are in place.
        done = folder / "node_modules" / ".package-lock.json"
        if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
            subprocess.run(
                [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=folder,
                env=dict(environment or os.environ),
                check=True,
                capture_output=True,
                timeout=INSTALL_SECONDS,
            )
    return node
