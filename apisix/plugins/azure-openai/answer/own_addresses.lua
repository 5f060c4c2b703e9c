--- Leads clients back to the gateway where an answer names an address of its backend: that of a batch's results.
--
-- The official SDK goes where `results_url` leads, with the client's key or without any. Either way it would leave the
-- gateway.
local core = require("apisix.core")

local type = type
local has_prefix = core.string.has_prefix

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
    -- TLS may end in front of the gateway.
    local forwarded = core.request.header(ctx, "x-forwarded-proto")
    return (forwarded == "https" and forwarded or ctx.var.scheme) .. "://" .. host
end

--- Puts the client's own way to the gateway in the place of the backend's address.
-- @param ctx table request context
-- @param request Request
-- @param answer Answer its body changes
-- @return Answer
function _M.lead_back(ctx, request, answer)
    local is_of_batches = request.surface.has_anthropic_errors
        and has_prefix(request.operation:lower(), COLLECTION)
    local own = is_of_batches and answer.body and answer.status < 300 and origin(ctx)
    if own then
        answer.body = answer.body:gsub(ADDRESS, function(before, path)
            return before .. own .. path
        end)
    end
    return answer
end

return _M
