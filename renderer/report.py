"""How problems, warnings and notes about settings look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from renderer.problems import Problem

_MOST_NAMES = 10


def show_problems(console: Console, problems: Sequence[Problem], after: str) -> None:
    """Say what is wrong. `after` ends the heading: "nothing was written"."""
    console.print(Text(f"The configuration has {_counted(problems, 'problem')}; {after}.", style="bold red"))
    _list(console, problems)


def show_warnings(
    console: Console, warnings: Sequence[Problem], ignored: Sequence[str], *, after_problems: bool = False
) -> None:
    """Say what is valid and cannot work, and which variables are not read although they look like ours."""
    if after_problems and (warnings or ignored):
        console.print()
    if warnings:
        values = "a value" if len(warnings) == 1 else "values"
        heading = f"{_counted(warnings, 'warning')}: {values} that cannot work as written."
        console.print(Text(heading, style="bold yellow"))
        _list(console, warnings)
    if ignored:
        if warnings:
            console.print()
        console.print(Text(note_of(ignored), style="dim"))


def note_of(ignored: Sequence[str]) -> str:
    """The one note about other tools' variables. It names them, never their values."""
    names = ", ".join(ignored[:_MOST_NAMES]) + (", …" if len(ignored) > _MOST_NAMES else "")
    return f"Note: not read, since they are no settings of the gateway: {names} (environment)."


def _list(console: Console, problems: Sequence[Problem]) -> None:
    for problem in problems:
        place = (problem.place, "dim")
        console.print(Text.assemble("\n  ", (problem.setting, "bold"), place, f" {problem.message}"))
        console.print(Text(f"    → {problem.remedy_sentence}"))


def _counted(items: Sequence[object], noun: str) -> str:
    return f"1 {noun}" if len(items) == 1 else f"{len(items)} {noun}s"
