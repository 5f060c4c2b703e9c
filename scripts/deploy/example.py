"""`deploy init`: makes the user's file of an environment from the example.

The example is that of dev, with comments. A second, short file of the same form says what differs elsewhere.
Both are read line by line, as they are formatted, so that the comments stay.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.layout import REPOSITORY

EXAMPLES = REPOSITORY / "infra" / "terraform" / "environments"
BASE = "dev"
RANDOM = '"<random>"'
"""The value that stands for a random text."""

_SUBSCRIPTION = '"<subscription id>"'
_SETTING = re.compile(r' *"?(?P<name>[\w-]+)"? += (?P<value>.+)')


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of an example, and its setting, `("platform", "registry_sku")`; or where a map ends."""

    text: str
    path: tuple[str, ...] = ()
    begins: bool = False
    ends: bool = False


def example_of(environment: str, subscription_id: str | None) -> str:
    """The text of the user's file, with random texts for `<random>`, and the subscription if it is known."""
    lines = list(_lines(_read(BASE)))
    if environment != BASE:
        for change in _lines(_read(environment)):
            lines = _changed(lines, change) if change.path else lines
    text = "\n".join(line.text for line in lines) + "\n"
    if subscription_id:
        text = text.replace(_SUBSCRIPTION, f'"{subscription_id}"')
    text = re.sub(RANDOM, lambda _: f'"{secrets.token_hex(24)}"', text)
    return text.replace("about one environment, dev in this file.", f"about {environment}.", 1)


def write_new(path: Path, text: str) -> None:
    """Write a file that only its owner can read. Raises `InvalidSettingsError` when there is one already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidSettingsError(
            f"{path} is there already.", remedy="Edit it, or move it away first."
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _read(environment: str) -> str:
    path = EXAMPLES / f"{environment}.tfvars.example"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _lines(text: str) -> Iterator[_Line]:
    open_maps: list[str] = []
    for line in text.splitlines():
        found = _SETTING.fullmatch(line)
        if line.strip() == "}":
            yield _Line(line, tuple(open_maps), ends=True)
            open_maps.pop()
        elif found is None:
            yield _Line(line)
        else:
            path = (*open_maps, found["name"])
            begins = found["value"].split(" #")[0].rstrip() == "{"
            yield _Line(line, path, begins=begins)
            if begins:
                open_maps.append(found["name"])


def _changed(lines: list[_Line], change: _Line) -> list[_Line]:
    """The lines with one more setting, or with another value of one; a map that is there is left as it is."""
    same = [
        index for index, line in enumerate(lines) if line.path == change.path and line.ends == change.ends
    ]
    if same and (change.begins or change.ends):
        return lines
    if same:
        before = lines[same[0]].text.split("= ")[0]
        value = change.text.partition("= ")[2]
        return [*lines[: same[0]], _Line(f"{before}= {value}", change.path), *lines[same[0] + 1 :]]
    end = next(index for index, line in enumerate(lines) if line.ends and line.path == change.path[:-1])
    indent = " " * (len(change.text) - len(change.text.lstrip()))
    closing = [_Line(f"{indent}}}", change.path, ends=True)] if change.begins else []
    return [*lines[:end], change, *closing, *lines[end:]]
