"""`aoai-gateway`, and what all commands have in common."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.shell_completion import prepare
from scripts.umbrella import COMMANDS, app, programs


@pytest.mark.parametrize("name", COMMANDS)
def test_every_program_says_its_version(name: str) -> None:
    command = COMMANDS[name]
    said = CliRunner().invoke(getattr(import_module(command.module), command.app), ["--version"])
    assert (said.exit_code, said.output) == (0, f"azure-openai-gateway {version('azure-openai-gateway')}\n")


@pytest.mark.parametrize("name", ["deploy", "bench"])
def test_a_command_hands_its_options_over(name: str) -> None:
    umbrella = Path(sys.executable).with_name("aoai-gateway")
    said = subprocess.run([umbrella, name, "--help"], capture_output=True, text=True, check=False)
    assert (said.returncode, f"sage: aoai-gateway {name}" in said.stdout) == (0, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_shell_is_told_the_options_of_every_command(name: str) -> None:
    asked = {
        "_AOAI_GATEWAY_COMPLETE": "complete_bash",
        "COMP_WORDS": f"aoai-gateway {name} --v",
        "COMP_CWORD": "2",
    }
    prepare()
    said = CliRunner().invoke(app, [], env=asked, prog_name="aoai-gateway")
    assert said.output == "--version\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_lines_for_all_programs(shell: str) -> None:
    said = CliRunner().invoke(app, ["completion", shell])
    assert [name for name in programs() if name not in said.output] == []


def test_a_typo_is_met_with_what_was_meant() -> None:
    assert "Did you mean 'render'?" in CliRunner().invoke(app, ["rnder"]).output
