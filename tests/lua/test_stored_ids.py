"""The one spelling of an id."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.support import Lua

PLAIN = """
local stored_ids = require("apisix.plugins.azure-openai.request.stored_ids")
return stored_ids.plain(id) or false
"""


@given(st.text(alphabet="aZ9_- ;.", max_size=20))
def test_an_id_is_what_lies_between_its_first_and_last_letter_or_digit(lua: Lua, text: str) -> None:
    found = re.search(r"[a-zA-Z0-9](.*[a-zA-Z0-9])?", text)
    assert lua(PLAIN, id=text) == [found[0].lower() if found else False]


@pytest.mark.parametrize("text", ["-" * 200_000, "resp_" + "-" * 200_000 + "a"], ids=["none", "too long"])
def test_a_long_one_that_is_no_id_is_looked_through_once(lua: Lua, text: str) -> None:
    """With work that grows with the square of the length this would not end."""
    assert lua(PLAIN, id=text) == [False]
