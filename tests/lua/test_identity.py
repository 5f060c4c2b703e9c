"""Requests that wait for the same token."""

from __future__ import annotations

from tests.engines.support import Lua

CHUNK = """
local sources = "apisix.plugins.azure-openai.attempt.identity_sources"
local identity_name = "apisix.plugins.azure-openai.attempt.identity"
-- Another test may have loaded it, with the real sources.
local before = { [sources] = package.loaded[sources], [identity_name] = package.loaded[identity_name] }
package.loaded[identity_name] = nil
local asked = 0
package.loaded[sources] = {
    chosen = function()
        return {
            NAME = "a source that fails",
            request = function()
                asked = asked + 1
                ngx.sleep(0.05)
                return nil, "answered 500"
            end,
        }
    end,
}
local identity = require(identity_name)
local threads, errors = {}, {}
for index = 1, 8 do
    threads[index] = ngx.thread.spawn(identity.token, { name = "eastus" }, "scope")
end
for index = 1, 8 do
    local _, _, err = ngx.thread.wait(threads[index])
    errors[index] = err
end
package.loaded[sources], package.loaded[identity_name] = before[sources], before[identity_name]
return asked, errors
"""


def test_h3_requests_that_wait_for_a_token_share_the_failure(lua: Lua) -> None:
    assert lua(CHUNK) == [1, ["answered 500"] * 8]
