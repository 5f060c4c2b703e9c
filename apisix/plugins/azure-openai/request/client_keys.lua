--- The keys that a request brings, wherever its client may put them.
local core = require("apisix.core")
local credentials = require("apisix.plugins.azure-openai.request.credentials")
local websocket = require("apisix.plugins.azure-openai.request.websocket")

local ipairs = ipairs
local type = type

local _M = {}

local function key_in(name, value)
    if name == "authorization" then
        -- The pattern runs before authentication, so it must be fast: no part of it can match in two ways.
        return value:match("^[Bb][Ee][Aa][Rr][Ee][Rr]%s+(%S+)%s*$")
    end
    return value
end

--- Lists them, in the order in which they are tried.
-- @param ctx table request context
-- @param surface Surface|nil
-- @return string[]
function _M.of(ctx, surface)
    local keys = {}
    local request_headers = core.request.headers(ctx)
    for _, name in ipairs(credentials.client_headers(surface)) do
        local values = request_headers[name]
        for _, value in ipairs(type(values) == "table" and values or { values }) do
            keys[#keys + 1] = key_in(name, value)
        end
    end
    for _, key in ipairs(websocket.client_keys(ctx)) do
        keys[#keys + 1] = key
    end
    return keys
end

return _M
