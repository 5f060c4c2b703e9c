"""What shells need to complete the commands: a script for each, beside this file.

A program answers with typer's protocol for fish, which all three scripts read: a line for each candidate,
with a tab before its help. The scripts ask the program that was typed, so one in `.venv/bin` need not be on
`PATH`, and `uv run PROGRAM` is completed, too.
"""

from enum import StrEnum
from pathlib import Path

from typer._completion_classes import completion_init

_MARK = "@PROGRAMS@"


class Shell(StrEnum):
    """The shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def prepare() -> None:
    """Make typer answer a shell that asks, which it does not do by itself where it adds no options."""
    completion_init()


def script(shell: Shell, programs: list[str]) -> str:
    """The lines that make a shell complete these programs."""
    text = Path(__file__).with_name(f"completion.{shell}").read_text(encoding="utf-8")
    return text.replace(_MARK, " ".join(programs)).rstrip("\n")
