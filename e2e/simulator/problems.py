"""Validation errors as lines that say where, what is wrong and what to write, without the given value."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import ValidationError


class ProblemsError(Exception):
    """The settings cannot be used; ``problems`` has one line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def problems_of(error: ValidationError, where: str = "", known: Iterable[str] = ()) -> list[str]:
    """One line for each problem, such as ``regions[0].port: unknown name, did you mean port?``.

    ``where`` stands before each place. ``known`` are the names to suggest for an unknown one.
    """
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        place = _place(where, problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            text = f"unknown name{_suggestion(str(problem['loc'][-1]), known)}"
        lines.append(f"{place}: {text}" if place else text)
    return lines


def _place(where: str, parts: tuple[int | str, ...]) -> str:
    """``regions[0].port`` for the parts of a location."""
    # Pydantic calls a wrong key of a mapping "[key]".
    steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts if part != "[key]")
    return (where + "".join(steps)).lstrip(".")


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""
