"""The documentation is correct: its examples are valid, and it describes every fault."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from e2e.simulator import Fault
from e2e.simulator.admin_commands import parse_fault
from e2e.simulator.serve_plan import Options, plan

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
EXAMPLES = re.findall(r"azure-openai-simulator fault eastus ([^`\n]+)", PAGE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_fault_example_is_valid(example: str) -> None:
    Fault.model_validate(parse_fault(shlex.split(example)))


@pytest.mark.parametrize("name", Fault.model_fields)
def test_every_fault_is_documented(name: str) -> None:
    assert f"`{name}" in PAGE


def test_example_file_is_valid(tmp_path: Path) -> None:
    text = PAGE.split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "simulator.yaml"
    path.write_text(text)
    assert len(plan(Options(config=path)).regions) == len(yaml.safe_load(text)["regions"])
