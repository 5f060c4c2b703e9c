"""Made-up prose of an exact number of tokens, as the simulator counts them."""

from __future__ import annotations

from random import Random

_CONSONANTS, _VOWELS = "bcdfghklmnprstvw", "aeiou"
_WORDS = [f"{a}{b}{c} " for a in _CONSONANTS for b in _VOWELS for c in _CONSONANTS]


def prose(random: Random, tokens: int) -> str:
    """A text of so many tokens: each word and its space are four bytes, one token."""
    return "".join(random.choices(_WORDS, k=tokens))


def between(random: Random, least: int, most: int) -> str:
    """A text of a random length."""
    return prose(random, random.randint(least, most))
