"""The plan in the docstring of a package is true: it lists every module, and arrows go down only."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import ModuleType

import pytest

import scripts.deploy
import scripts.terraform


def planned(package: ModuleType) -> list[str]:
    return re.findall(r"^ *([a-z_]+)  +\S", package.__doc__ or "", re.MULTILINE)


def files(package: ModuleType) -> dict[str, Path]:
    return {
        path.stem: path for path in Path(str(package.__file__)).parent.glob("*.py") if path.stem[0] != "_"
    }


def imported(path: Path, package: str) -> set[str]:
    """Modules of the package that a module imports, anywhere in its code."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return {
        str(node.module).removeprefix(f"{package}.") for node in nodes if str(node.module).startswith(package)
    }


@pytest.mark.parametrize("package", [scripts.deploy, scripts.terraform], ids=lambda package: package.__name__)
class TestPlan:
    def test_it_lists_every_module(self, package: ModuleType) -> None:
        assert sorted(planned(package)) == sorted(files(package))

    def test_a_module_imports_only_modules_below_it(self, package: ModuleType) -> None:
        order = planned(package)
        wrong = [
            (name, other)
            for name, path in files(package).items()
            for other in imported(path, package.__name__)
            if order.index(other) <= order.index(name)
        ]
        assert wrong == []
