"""Known vulnerabilities of the Python parts, asked of OSV through pip-audit."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

OSV_URL = "https://api.osv.dev/v1/query"


class UnreachableError(Exception):
    """The database cannot be asked."""


def python_pins(components: Iterable[dict[str, Any]]) -> list[str]:
    """`{"purl": "pkg:pypi/jinja2@3.1.6", …}` → `jinja2==3.1.6`; other components are left out."""
    return [
        f"{component['name']}=={component['version']}"
        for component in components
        if str(component.get("purl", "")).startswith("pkg:pypi/")
    ]


def known_vulnerabilities(pins: Iterable[str], url: str = OSV_URL) -> list[str]:
    """One line for each: `jinja2 2.4.1: GHSA-462w-v97r-4m45, fixed in 2.10.1`.

    Raises:
        UnreachableError: the database does not answer.
    """
    with tempfile.TemporaryDirectory() as directory:
        requirements = Path(directory) / "requirements.txt"
        requirements.write_text("\n".join(pins))
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements)]
        command += ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
        command += ["--vulnerability-service", "osv", "--osv-url", url, "--cache-dir", directory]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise UnreachableError from None
    return [
        f"{package['name']} {package['version']}: {found['id']}, "
        f"fixed in {', '.join(found['fix_versions']) or 'no version yet'}"
        for package in answer["dependencies"]
        for found in package.get("vulns", [])
    ]
