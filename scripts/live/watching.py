"""Shows a gateway's live page in the terminal until Ctrl-C; in a file or a pipe, one picture."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.text import Text

from renderer.progress import working
from scripts.live.events import Look, Picture, pictures
from scripts.live.tables import tables

# Rates need some time between two looks.
SECONDS = 5.0
# The lines of a screen besides the rows of backends: sums, both tables' heads, and the last requests.
_OTHER_LINES = 27
_FEWEST_ROWS = 10


def one_picture(url: str, key: str | None) -> Picture:
    """What there is to see after some seconds."""
    picture = None
    with working(f"Watching {url} for {SECONDS:.0f} s"):
        for picture in pictures(url, key):
            if picture.lost:
                raise picture.lost
            if picture.seconds >= SECONDS:
                break
    assert picture is not None
    return picture


def one_look(url: str, key: str | None) -> Look:
    """What the gateway says now."""
    with working(f"Asking {url}"):
        picture = next(pictures(url, key))
    if picture.lost:
        raise picture.lost
    return picture.look


def watch(url: str, key: str | None, console: Console) -> None:
    """Shows the gateway until Ctrl-C; in a file or a pipe one picture."""
    if not console.is_terminal:
        console.print(tables(one_picture(url, key)))
        return
    # A gateway that has scaled to zero takes a while to answer.
    waiting = Text(f"Waiting for {url} …")
    with Live(waiting, console=console, screen=True, auto_refresh=False) as live:
        for picture in pictures(url, key):
            live.update(tables(picture, max(console.height - _OTHER_LINES, _FEWEST_ROWS)), refresh=True)
