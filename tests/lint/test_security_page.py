"""The security page names tests that exist."""

from __future__ import annotations

import re

from scripts.engines.base import REPOSITORY


def test_every_test_that_the_security_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (REPOSITORY / "docs" / "security.md").read_text()))
    defined = {
        name
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert (bool(named), sorted(named - defined)) == (True, [])
