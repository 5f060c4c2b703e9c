"""The software bill of materials (CycloneDX JSON): the Python, Lua and image parts."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.engines.base import REPOSITORY

Component = dict[str, Any]
LUA_LIBRARIES = Path(__file__).with_name("apisix-3.18.0.csv")
"""What APISIX brings along; the bundle has no libraries of its own. Read off an installed 3.18.0."""

_IMAGE = re.compile(r"(?:docker\.io|mcr\.microsoft\.com|ghcr\.io)/[\w./-]+:[\w.-]+")


def python_bill() -> dict[str, Any]:
    """The installed packages, which are those of uv.lock, as a whole CycloneDX document."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
    command += ["--no-validate", "--of", "JSON", sys.executable]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill


def lua_components(text: str) -> list[Component]:
    """`"name,version,licence\\nlyaml,6.2.8,MIT\\n"` → one library, `pkg:luarocks/lyaml@6.2.8`."""
    return [
        {
            "type": "library",
            "bom-ref": f"pkg:luarocks/{row['name']}@{row['version']}",
            "purl": f"pkg:luarocks/{row['name']}@{row['version']}",
            "name": row["name"],
            "version": row["version"],
            "licenses": [{"license": {"id": row["licence"]}}] if row["licence"] else [],
        }
        for row in csv.DictReader(text.splitlines())
    ]


def image_components(texts: Iterable[str]) -> list[Component]:
    """The images that a text names: `FROM docker.io/library/python:3.12-slim` → one container."""
    found = sorted({image for text in texts for image in _IMAGE.findall(text)})
    return [
        {"type": "container", "bom-ref": image, "name": name, "version": version}
        for image in found
        for name, _, version in [image.rpartition(":")]
    ]


def bill_of_materials() -> dict[str, Any]:
    """All parts in one document."""
    deployed = [
        *REPOSITORY.glob("**/Dockerfile"),
        *(REPOSITORY / "infra" / "terraform" / "stacks").glob("*/variables.tf"),
    ]
    bill = python_bill()
    bill["components"] += lua_components(LUA_LIBRARIES.read_text())
    bill["components"] += image_components(path.read_text() for path in deployed)
    return bill


def licence_of(component: Component) -> str:
    """The licence in one word: `{"licenses": [{"license": {"id": "MIT"}}]}` → `MIT`; `""` for none."""
    names = []
    for entry in component.get("licenses", []):
        licence = entry.get("license", {})
        names.append(entry.get("expression") or licence.get("id") or licence.get("name", ""))
    return " AND ".join(dict.fromkeys(name for name in names if name))
