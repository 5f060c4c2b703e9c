"""A2: what is remembered of requests holds no key."""

from __future__ import annotations

import pytest

from tests.engines.support import Lua

# Reads the head of a request, with memories that tell what they are asked. Two types of content end it there.
READ = """
local core = require("apisix.core")
local BUNDLE = "apisix.plugins.azure-openai."
local memo, reading = BUNDLE .. "base.memo", BUNDLE .. "request.reading"
local loaded, read_headers = { package.loaded[memo], package.loaded[reading] }, core.request.headers
local asked = {}
package.loaded[memo] = {
    of = function(compute)
        return function(text)
            asked[#asked + 1] = text
            return compute(text)
        end
    end,
}
package.loaded[reading] = nil
local headers = { ["content-type"] = { "a", "b" }, [name] = "realtime, the-key", ["x-known"] = "known" }
core.request.headers = function() return headers end
local _, refusal = require(reading).read({}, "/openai/v1/realtime", 1)
core.request.headers = read_headers
package.loaded[memo], package.loaded[reading] = loaded[1], loaded[2]
return { refusal.message, table.concat(asked, " ") }
"""


@pytest.mark.parametrize(
    "name",
    ["authorization", "api_key", "x-api-key", "sec-websocket-protocol", "cookie", "proxy-authorization"],
)
def test_a2_no_memory_holds_the_value_of_a_header_in_which_keys_are_sent(lua: Lua, name: str) -> None:
    [[message, remembered]] = lua(READ, name=name)
    assert (message, "known" in remembered, "the-key" in remembered) == (
        "The request has more than one Content-Type.",
        True,
        False,
    )
