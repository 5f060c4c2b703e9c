"""What the command says while it works: results on standard output, trouble on standard error."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from renderer import Problem
from renderer.report import show_warnings
from scripts.live.tables import plain
from scripts.local_gateway.request_lines import line_of

_MOST_CHARACTERS = 1000

out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str, style: str = "") -> None:
    """A line about something that is fine."""
    out.print(Text(plain(text, _MOST_CHARACTERS), style=style))


def warn(heading: str, lines: Sequence[str]) -> None:
    """Something is not as it should be, and the command goes on."""
    _tell(heading, lines, "bold yellow")


def complain(heading: str, lines: Sequence[str]) -> None:
    """Why the command ends."""
    _tell(heading, lines, "bold red")


def advise(text: str) -> None:
    """What to do after a complaint."""
    _err.print(Text(f"\n{text}"))


def doubt(warnings: Sequence[Problem], ignored: Sequence[str], *, after_problems: bool = False) -> None:
    """Values that cannot work, and variables that are not read although they look like the gateway's."""
    show_warnings(_err, warnings, ignored, after_problems=after_problems)


def print_requests(logged: Sequence[str]) -> None:
    """A line for each request, from the lines of the access log."""
    lines = [line for line in map(line_of, logged) if line is not None]
    if lines:
        out.print(Text("\n").join(lines))


def _tell(heading: str, lines: Sequence[str], style: str) -> None:
    _err.print(Text(heading, style=style))
    for line in lines:
        _err.print(Text(f"  {line}"))
