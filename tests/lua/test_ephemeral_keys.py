"""A8: the keys that the gateway remembers for browsers."""

from __future__ import annotations

from tests.engines.support import Lua

BEGIN = """
local ephemeral_keys = require("apisix.plugins.azure-openai.routing.ephemeral_keys")
ngx.shared["azure-openai-ephemeral"]:flush_all()
local request = { operation = "realtime/client_secrets", method = "POST" }
local function make(client, key)
    local body = '{"value":"' .. key .. '","expires_at":' .. ngx.time() + 600 .. "}"
    local answer = { status = 200, body = body, backend = { name = "eastus" } }
    ephemeral_keys.learn(request, answer, { name = client })
end
local function owner(key)
    return (ephemeral_keys.among({ key }, "GET", "/openai/v1/realtime") or {}).client
end
"""


def test_a8_a_client_that_has_20000_keys_made_pushes_out_none_of_another(lua: Lua) -> None:
    chunk = """
    make("team-b", "ek_of_b")
    for number = 1, 20000 do
        make("team-a", "ek_" .. number)
    end
    return owner("ek_of_b"), owner("ek_20000")
    """
    assert lua(BEGIN + chunk) == ["team-b", "team-a"]


def test_a8_a_clients_own_oldest_key_makes_room(lua: Lua) -> None:
    chunk = """
    for number = 0, 2048 do
        make("team-a", "ek_" .. number)
    end
    return owner("ek_0") or "forgotten", owner("ek_1"), owner("ek_2048")
    """
    assert lua(BEGIN + chunk) == ["forgotten", "team-a", "team-a"]
