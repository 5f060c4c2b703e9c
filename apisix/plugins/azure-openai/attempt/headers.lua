--- Which headers cross the gateway, in each direction.
local core = require("apisix.core")
local memo = require("apisix.plugins.azure-openai.base.memo")
local credentials = require("apisix.plugins.azure-openai.request.credentials")

local ngx = ngx
local pairs = pairs
local ipairs = ipairs
local type = type
local has_prefix = core.string.has_prefix

local _M = {}

local function set_of(...)
    local set = {}
    for _, name in ipairs({ ... }) do
        set[name] = true
    end
    return set
end

-- RFC 9110, section 7.6.1.
local HOP_BY_HOP = set_of(
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade"
)

-- Set anew for each backend, or of no use to it.
local NOT_FORWARDED =
    set_of("host", "content-length", "expect", "cookie", "x-priority", "x-credential-identifier")

-- With these a server behind the backend's own proxy may take another method or path for the one that the gateway has
-- checked.
local STEERING = set_of(
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-envoy-original-path"
)

-- Headers that could steer the gateway, and headers that proxies add. The `websocket` module handles the WebSocket
-- handshake, since it may hold the client's key.
local INTERNAL_PREFIXES = { "x-apisix-", "x-consumer-", "x-gateway-", "x-gw-", "x-forwarded-" }
local HANDSHAKE_PREFIX = "sec-websocket-"

-- nginx writes these, or they depend on how the gateway sends the body.
local NOT_RETURNED = set_of("content-length", "date", "server")

local function is_internal(name)
    for _, prefix in ipairs(INTERNAL_PREFIXES) do
        if has_prefix(name, prefix) then
            return true
        end
    end
    return false
end

local NONE = {}

-- The header names that a Connection header declares as hop-by-hop.
local function connection_options(headers)
    local value = headers["connection"]
    if value == nil then
        return NONE
    end
    local options = {}
    for _, line in ipairs(type(value) == "table" and value or { value }) do
        for name in line:gmatch("[^%s,]+") do
            options[name:lower()] = true
        end
    end
    return options
end

-- The name in lower case, or false when the header stays here.
local name_for_backend = memo.of(function(raw_name)
    local name = raw_name:lower()
    -- Much software takes `api_key` for `api-key`.
    local meant = name:gsub("_", "-")
    local stays = HOP_BY_HOP[meant]
        or NOT_FORWARDED[meant]
        or STEERING[meant]
        or credentials.is_credential(name)
        or is_internal(meant)
        or has_prefix(meant, HANDSHAKE_PREFIX)
    return not stays and name
end)

--- The client's headers as a backend may see them, without any credential.
-- @param client_headers table name -> value or list of values
-- @return table with lower-case names
function _M.to_backend(client_headers)
    local options = connection_options(client_headers)
    local forwarded = {}
    for raw_name, value in pairs(client_headers) do
        local name = name_for_backend(raw_name)
        if name and not options[name] then
            forwarded[name] = value
        end
    end
    return forwarded
end

local is_for_client = memo.of(function(name)
    return not (HOP_BY_HOP[name] or NOT_RETURNED[name] or is_internal(name))
end)

--- Sets a backend's headers on the answer to the client.
-- @param backend_headers table name in lower case -> value or list of values
function _M.to_client(backend_headers)
    local options = connection_options(backend_headers)
    for name, value in pairs(backend_headers) do
        if is_for_client(name) and not options[name] then
            ngx.header[name] = value
        end
    end
end

return _M
