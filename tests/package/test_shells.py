"""Completion in the shells themselves: bash, zsh and fish, as far as they are installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scripts.engines.base import REPOSITORY
from scripts.umbrella import COMMANDS
from tests.package.shells import Shell
from tests.support.uv_scripts import find_uv

PROGRAMS = Path(sys.executable).parent
SHELLS = pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
# What the three complete by the same rules.
ALIKE = pytest.mark.parametrize(
    "name", ["bash", *(pytest.param(name, marks=pytest.mark.long) for name in ("zsh", "fish"))]
)


def shell(name: str, home: Path, *more: str, directory: Path | None = None, before: str = "true") -> Shell:
    path = os.pathsep.join([str(PROGRAMS), *more, os.environ["PATH"]])
    return Shell(name, directory or home, {**os.environ, "PATH": path, "HOME": str(home)}, before)


@ALIKE
def test_a_shell_completes_the_commands(name: str, tmp_path: Path) -> None:
    shell(name, tmp_path).completes("aoai-gateway ", *COMMANDS, "completion")


@ALIKE
def test_a_shell_completes_an_option(name: str, tmp_path: Path) -> None:
    shell(name, tmp_path).completes("local-gateway --wat", "--watch")


@SHELLS
def test_a_shell_completes_options_behind_a_command(name: str, tmp_path: Path) -> None:
    shell(name, tmp_path).completes("aoai-gateway render --strict --check-", "--check-prices")


@ALIKE
def test_a_shell_completes_the_value_of_an_option(name: str, tmp_path: Path) -> None:
    shell(name, tmp_path).completes("local-gateway --engine emb", "embedded")


@SHELLS
def test_a_shell_completes_a_value_behind_an_equals_sign(name: str, tmp_path: Path) -> None:
    shell(name, tmp_path).completes("local-gateway --engine=emb", "embedded")


@SHELLS
def test_a_shell_completes_a_file_where_one_is_meant(name: str, tmp_path: Path) -> None:
    (tmp_path / "staging.env").touch()
    shell(name, tmp_path).completes("local-gateway --env-file stag", "staging.env")


@ALIKE
def test_a_shell_completes_an_environment(name: str, tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "staging.tfvars").touch()
    before = f"export GATEWAY_STACKS_DIR='{tmp_path / 'stacks'}'"
    shell(name, tmp_path, before=before).completes("aoai-gateway deploy up stag", "staging")


@SHELLS
def test_a_shell_completes_a_program_that_is_not_on_the_path(name: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "bin"
    elsewhere.mkdir()
    (elsewhere / "aoai-gateway").symlink_to(PROGRAMS / "aoai-gateway")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "local-gateway").symlink_to(PROGRAMS / "local-gateway")
    path = os.pathsep.join([str(elsewhere), "/usr/bin", "/bin"])
    Shell(name, tmp_path, {**os.environ, "PATH": path, "HOME": str(tmp_path)}).completes(
        "local/local-gateway --wat", "--watch"
    )


@SHELLS
def test_a_shell_completes_what_uv_runs(name: str, tmp_path: Path) -> None:
    uv = str(Path(find_uv()).parent)
    shell(name, tmp_path, uv, directory=REPOSITORY).completes(
        "uv run --quiet aoai-gateway render --check-", "--check-prices"
    )


@SHELLS
def test_the_rest_of_uv_is_completed_by_uv(name: str, tmp_path: Path) -> None:
    uv = find_uv()
    load = {
        "bash": f'eval "$({uv} generate-shell-completion bash)"',
        "zsh": f'autoload -Uz compinit; compinit -u; eval "$({uv} generate-shell-completion zsh)"',
        "fish": f"{uv} generate-shell-completion fish | source",
    }
    shell(name, tmp_path, str(Path(uv).parent), before=load[name]).completes("uv run --no-syn", "--no-sync")
