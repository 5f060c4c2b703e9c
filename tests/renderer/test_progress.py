"""What is said while something takes long."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from renderer import progress
from renderer.progress import working


class Told(io.StringIO):
    """A stream that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.was_told = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        self.was_told.set()
        return written


def test_what_ends_soon_says_nothing() -> None:
    told = Told()
    with working("Reading Key Vault", Console(file=told)):
        pass
    assert told.getvalue() == ""


def test_what_takes_long_says_so_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    told = Told()
    with working("Reading [Key] Vault", Console(file=told)):
        assert told.was_told.wait(timeout=10)
    assert told.getvalue() == "Reading [Key] Vault …\n"


def test_what_takes_very_long_says_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_NEXT_LINE_SECONDS", 0.01)
    told = Told()
    with working("Reading Key Vault", Console(file=told)):
        while "so far" not in told.getvalue():
            assert told.was_told.wait(timeout=10)
    assert "Reading Key Vault … 0 s so far" in told.getvalue()


def test_a_terminal_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_TERMINAL_SECONDS", 0.0)
    told = Told()
    with working("Reading Key Vault", Console(file=told, force_terminal=True, width=80)):
        assert told.was_told.wait(timeout=10)
    assert (
        "Reading Key Vault …" in told.getvalue(),
        told.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K"),
    ) == (
        True,
        True,
    )


def test_a_failure_inside_passes_through() -> None:
    with pytest.raises(KeyError), working("Reading Key Vault", Console(file=io.StringIO())):
        raise KeyError
