"""The stacks of an installed package, copied to where Terraform may write.

Terraform writes beside its configuration: a state that the storage refuses, for example. The files of a
package are not the place for that: they may be read-only, belong to a cache, or be replaced at any time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

PARTS = ("infra/terraform", "dashboards")
"""What Terraform reads, below the root of the package. The second holds the workbook that it deploys."""


def unpack(root: Path, working: Path) -> Path:
    """The directory of `working` with a copy of these parts; each version of them is copied once."""
    files = sorted(path for part in PARTS for path in (root / part).rglob("*") if path.is_file())
    target = working / f"stacks-{_digest(root, files)}"
    if target.is_dir():
        return target
    working.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=working, prefix="stacks-") as name:
        copy = Path(name) / "copy"
        for path in files:
            place = copy / path.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        try:
            copy.rename(target)
        except OSError:
            if not target.is_dir():  # else another command was faster
                raise
    return target


def keep_out_of_git(directory: Path, pattern: str = "*") -> None:
    """Make git ignore the files of a directory that match, unless somebody has decided about that already."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(directory / ".gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{pattern}\n")


def _digest(root: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()[:12]
