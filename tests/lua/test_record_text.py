"""O2: numbers of any size are written so that a collector can read them."""

from __future__ import annotations

import json

import pytest

from tests.engines.support import Lua

WRITE = """
local record_text = require("apisix.plugins.azure-openai.account.record_text")
local record = {{ client = "c", path = "/", total_ms = 1, tokens = {{ total = {number} }} }}
return record_text.of(record, {{}}, true)
"""
SPAN = """
local otlp_json = require("apisix.plugins.azure-openai.account.otlp_json")
local list = otlp_json.attributes()
list:add("total", {number})
return list:json()
"""


@pytest.mark.parametrize("number", [0, 99_999_999_999_999, 10**14, 10**15, 2**53 - 1])
def test_o2_a_large_number_is_written_in_digits(lua: Lua, number: int) -> None:
    for text in (*lua(WRITE.format(number=number)), *lua(SPAN.format(number=number))):
        assert str(number) in text
        json.loads(text)


PAIR = """
local record_text = require("apisix.plugins.azure-openai.account.record_text")
local texts = {}
for index, record in ipairs(records) do
    record.path, record.total_ms = "/", 1
    texts[index] = { record_text.of(record, {}, true) }
end
return texts
"""


@pytest.mark.parametrize("name", ["deployment", "operation", "model"])
def test_o2_a_name_that_reads_like_nothing_stays_in_its_own_record(lua: Lua, name: str) -> None:
    # Clients name deployments and operations, backends models.
    first, second = {"client": "c", name: "nil"}, {"client": "c"}
    [texts] = lua(PAIR, records=[first, second])
    for record, (line, attributes) in zip((first, second), texts, strict=True):
        assert json.loads(line) == record | {"path": "/", "attempts": [], "total_ms": 1}
        assert {entry["key"] for entry in json.loads(attributes)} == {*record, "path", "attempts", "total_ms"}
