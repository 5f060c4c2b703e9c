"""docs/install.md lists the commands as they are."""

from __future__ import annotations

import re

from scripts.engines.base import REPOSITORY
from scripts.umbrella import COMMANDS, programs

PAGE = (REPOSITORY / "docs" / "install.md").read_text()
ROWS = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("| `")]


def test_its_table_has_every_command_of_the_umbrella() -> None:
    named = {name for first, _ in ROWS for name in re.findall(r"`([a-z0-9]+)`", first)}
    assert named == {*COMMANDS, "completion"}


def test_its_table_has_every_other_command() -> None:
    named = {name for _, second in ROWS for name in re.findall(r"`([a-z0-9-]+)`", second)}
    assert named == {*programs()} - {"aoai-gateway"}
