"""O2: a record has the same fields in the line of JSON and in the attributes that the collector gets."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.engines.support import Lua
from tests.support.otlp import Attributes, attributes_in

WRITE = """
local record_text = require("apisix.plugins.azure-openai.account.record_text")
local texts = {}
for index, record in ipairs(records) do
    record.path, record.method = "/", "GET"
    local message = require("string.buffer").new()
    local line = record_text.write(record, {}, message)
    texts[index] = { line, ngx.encode_base64(message:get()) }
end
return texts
"""
ALWAYS = {"path": "/", "method": "GET"}


def written(lua: Lua, *records: dict[str, Any]) -> list[tuple[dict[str, Any], Attributes]]:
    """Both forms of each record."""
    [texts] = lua(WRITE, records=list(records))
    return [
        (json.loads(line), attributes_in(LogRecord.FromString(b64decode(attributes)).attributes))
        for line, attributes in texts
    ]


@pytest.mark.parametrize("number", [0, 127, 128, 99_999_999_999_999, 10**14, 10**15, 2**53 - 1])
def test_o2_a_number_of_any_size_arrives(lua: Lua, number: int) -> None:
    [(line, attributes)] = written(lua, {"total_ms": number, "tokens": {"total": number}})
    assert line == ALWAYS | {"attempts": [], "total_ms": number, "tokens": {"total": number}}
    assert attributes == ALWAYS | {"attempts": "[]", "total_ms": number, "tokens.total": number}


def test_o2_a_clock_that_was_set_back_breaks_no_record(lua: Lua) -> None:
    [(line, attributes)] = written(lua, {"first_token_ms": -3, "total_ms": -(2**40)})
    assert line == ALWAYS | {"attempts": [], "first_token_ms": -3, "total_ms": -(2**40)}
    assert attributes == ALWAYS | {"attempts": "[]", "first_token_ms": -3, "total_ms": -(2**40)}


@pytest.mark.parametrize("name", ["deployment", "operation", "model"])
def test_o2_a_name_that_reads_like_nothing_stays_in_its_own_record(lua: Lua, name: str) -> None:
    # Clients name deployments and operations, backends models.
    first, second = {"client": "c", name: "nil"}, {"client": "c"}
    for record, (line, attributes) in zip((first, second), written(lua, first, second), strict=True):
        assert line == record | ALWAYS | {"attempts": []}
        assert attributes == record | ALWAYS | {"attempts": "[]"}
