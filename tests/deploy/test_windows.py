"""What can be shown of Windows elsewhere: the commands load without the modules and signals that it lacks."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOAD = """
import signal, sys

for name in ("fcntl", "grp", "pty", "pwd", "resource", "termios"):
    sys.modules[name] = None  # so that an import of it fails
for name in ("SIGHUP", "SIGKILL", "SIGUSR1"):
    delattr(signal, name)
__import__(sys.argv[1])
"""


@pytest.mark.parametrize(
    "module", ["scripts.deploy.cli", "scripts.deploy.up", "scripts.deploy.doctor", "renderer.cli"]
)
def test_no_import_needs_what_windows_lacks(module: str) -> None:
    loaded = subprocess.run([sys.executable, "-c", LOAD, module], capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
