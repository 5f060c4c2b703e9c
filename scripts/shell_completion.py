"""What shells need to complete the commands, with typer's own scripts and protocol."""

from enum import StrEnum

from typer._completion_classes import completion_init
from typer._completion_shared import get_completion_script


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
    parts = (
        get_completion_script(
            prog_name=program,
            complete_var=f"_{program.replace('-', '_').upper()}_COMPLETE",
            shell=shell.value,
        )
        for program in programs
    )
    return "\n\n".join(parts)
