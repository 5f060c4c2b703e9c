--- Leads clients back to the gateway where an answer names an address of its backend: that of a batch's results.
--
-- The official SDK goes where `results_url` leads, with the client's key or without any. Either way it would leave the
-- gateway.
local core = require("apisix.core")

local tostring = tostring
local type = type
local has_prefix = core.string.has_prefix

local HTTP_PORT = "80"
local COLLECTION = "messages/batches"
local ADDRESS = '("results_url"%s*:%s*")https?://[^/"\\]+(/[^"\\]*")'
-- A host with a port. What else a client calls itself by, it does not get back.
local HOST = "^[%w%[%]:._-]+$"

local _M = {}

-- Where the client has called the gateway; nil when it does not say.
local function origin(ctx)
    local host = core.request.header(ctx, "host")
    if type(host) ~= "string" or not host:find(HOST) then
        return nil
    end
    -- Who names no port has called a usual one, which the gateway does not have: then TLS ends in front of it. APISIX
    -- drops what a proxy says of that. A client must not send its key in the clear.
    local is_usual_port = not host:find(":%d+$") and tostring(ctx.var.server_port) ~= HTTP_PORT
    return (is_usual_port and "https" or ctx.var.scheme) .. "://" .. host
end

local function replaced(body, own)
    return (body:gsub(ADDRESS, function(before, path)
        return before .. own .. path
    end))
end

--- Puts the client's own way to the gateway in the place of the backend's address.
-- @param ctx table request context
-- @param request Request
-- @param answer Answer its body changes
-- @return Answer
function _M.lead_back(ctx, request, answer)
    local is_of_batches = request.kind == "anthropic" and has_prefix(request.operation:lower(), COLLECTION)
    local own = is_of_batches and answer.body and answer.status < 300 and origin(ctx)
    if own then
        answer.body = replaced(answer.body, own)
    end
    return answer
end

return _M
