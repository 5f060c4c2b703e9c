"""Builds the site with MkDocs, in an environment of its own: the gateway's has none of its packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SITE = REPOSITORY / "build" / "site"

_ENVIRONMENT = REPOSITORY / ".cache" / "docs"
# Where scripts/setup.sh installs it on a machine that lacks it.
_LOCAL_UV = REPOSITORY / ".cache" / "bin" / "uv"


class BuildError(Exception):
    """The site was not built; the message is what the program said that failed."""


def build(site: Path = SITE) -> None:
    """Writes the site into `site`. Any warning of MkDocs is an error."""
    uv = shutil.which("uv") or shutil.which(_LOCAL_UV)
    if uv is None:
        raise BuildError("uv is not installed: run scripts/setup.sh")
    install = [uv, "sync", "--quiet", "--locked", "--only-group", "docs", "--project", str(REPOSITORY)]
    _run(install, UV_PROJECT_ENVIRONMENT=str(_ENVIRONMENT))
    program = [str(_ENVIRONMENT / "bin" / "mkdocs"), "build", "--quiet", "--strict"]
    # The theme prints an advertisement of its makers without the second variable.
    _run([*program, "--site-dir", str(site)], DISABLE_MKDOCS_2_WARNING="true", NO_MKDOCS_2_WARNING="true")


def _run(command: list[str], **variables: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(  # noqa: S603 (fixed programs)
        command,
        cwd=REPOSITORY,
        env={**environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError((done.stdout + done.stderr).strip())
