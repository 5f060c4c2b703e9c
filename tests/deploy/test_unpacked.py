"""The stacks of an installed package are copied to where Terraform may write, once for each version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.deploy.unpacked import keep_out_of_git, unpack

STACK = Path("infra/terraform/stacks/00-bootstrap/main.tf")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (STACK, Path("dashboards/workbook.json"), Path("renderer/cli.py")):
        (tmp_path / "package" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / name).write_text(f"of {name}")
    return tmp_path / "package"


def test_only_what_terraform_reads_is_copied(root: Path, tmp_path: Path) -> None:
    copy = unpack(root, tmp_path / "working")
    names = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert names == {str(STACK), "dashboards/workbook.json"}


def test_what_terraform_has_left_beside_a_stack_stays(root: Path, tmp_path: Path) -> None:
    left = (unpack(root, tmp_path / "working") / STACK).with_name("errored.tfstate")
    left.write_text("state")
    assert (unpack(root, tmp_path / "working") / STACK).with_name("errored.tfstate").read_text() == "state"


def test_another_version_has_a_directory_of_its_own(root: Path, tmp_path: Path) -> None:
    before = unpack(root, tmp_path / "working")
    (root / STACK).write_text("changed")
    after = unpack(root, tmp_path / "working")
    assert ((before / STACK).read_text(), (after / STACK).read_text()) == (f"of {STACK}", "changed")


def test_commands_at_the_same_time_do_not_disturb_each_other(root: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        copies = set(pool.map(lambda _: unpack(root, tmp_path / "working"), range(32)))
    assert set((tmp_path / "working").iterdir()) == copies
    assert len(copies) == 1


def test_what_somebody_wants_git_to_ignore_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    keep_out_of_git(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
