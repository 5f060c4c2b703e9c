"""What a deploy command says while it works and has nothing to report."""

from __future__ import annotations

import threading

import pytest

from scripts.deploy import silence
from scripts.deploy.console import Screen
from scripts.deploy.silence import Silence


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SECONDS", 0.02)


def test_a_silence_is_told_once() -> None:
    told, heard = threading.Event(), []
    watched = Silence()

    def tell() -> None:
        heard.append("told")
        told.set()

    with watched.broken_by(tell, lambda: False):
        assert told.wait(timeout=10)
        threading.Event().wait(0.1)  # nothing may happen in it
    assert heard == ["told"]


def test_the_next_silence_is_told_again() -> None:
    told = threading.Event()
    watched = Silence()
    with watched.broken_by(told.set, lambda: False):
        assert told.wait(timeout=10)
        told.clear()
        watched.broken()
        assert told.wait(timeout=10)


def test_a_step_explains_a_silence() -> None:
    asked, told = threading.Event(), threading.Event()

    def is_explained() -> bool:
        asked.set()
        return True

    with Silence().broken_by(told.set, is_explained):
        assert asked.wait(timeout=10)
    assert not told.is_set()


def test_a_busy_command_says_so_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen, told = Screen(), threading.Event()
    say = screen.say

    def heard(text: str, style: str = "") -> None:
        say(text, style)
        told.set()

    monkeypatch.setattr(screen, "say", heard)
    with screen.busy("dev: asking Azure"):
        assert told.wait(timeout=10)
    assert capsys.readouterr().err == "dev: asking Azure …\n"
