"""The drawn pictures of the documentation: they are well formed, and load nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

DRAWN = sorted((Path(__file__).parents[2] / "docs" / "pictures").glob("*.svg"))


@pytest.mark.parametrize("picture", DRAWN, ids=lambda path: path.stem)
def test_a_picture_loads_nothing_from_elsewhere(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    addresses = {
        value
        for element in root.iter()
        for name, value in element.attrib.items()
        if name.rpartition("}")[2] in ("href", "src") and not value.startswith("#")
    }
    styles = " ".join(element.text or "" for element in root.iter() if element.tag.endswith("style"))
    loaded = re.findall(r"@import|url\((?![\"']?#)", styles)
    assert (addresses, loaded) == (set(), [])


def test_the_way_of_a_request_can_be_read_in_the_dark() -> None:
    (way,) = (path for path in DRAWN if path.stem == "request-way")
    text = way.read_text(encoding="utf-8")
    light, dark = text.split("prefers-color-scheme: dark")
    used = set(re.findall(r"var\((--[a-z]+)\)", text))
    assert all(f"{name}:" in part for name in used for part in (light, dark))
