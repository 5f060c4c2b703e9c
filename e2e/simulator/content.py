"""The text of generated answers: repeatable, and unique to the request it answers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice

_FILLER = ("lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing", "elit", "sed", "do")

_ECHOED_WORDS = 8


@dataclass(frozen=True, slots=True)
class Generated:
    """A generated text in pieces of one token each; ``finish`` is ``stop`` or ``length``."""

    pieces: list[str]
    finish: str

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)


def generate(
    region: str, deployment: str, number: int, prompt: str, length: int, limit: int | None
) -> Generated:
    """A text of ``length`` tokens that names region, deployment and request number and echoes the prompt.

    ``limit`` is the client's ``max_tokens``; a lower one cuts the text with finish reason ``length``.
    """
    words = [f"{region}/{deployment}#{number}:", *prompt.split()[:_ECHOED_WORDS]]
    words = [*words, *islice(cycle(_FILLER), max(0, length - len(words)))][: max(1, length)]
    finish = "stop"
    if limit is not None and limit < len(words):
        words, finish = words[: max(1, limit)], "length"
    return Generated([words[0], *(f" {word}" for word in words[1:])], finish)
