--- Headers and a query that tools for Azure API Management know, on the routes of end-to-end tests only.
local core = require("apisix.core")
local limits = require("apisix.plugins.azure-openai.account.limits")
local reserve = require("apisix.plugins.azure-openai.account.reserve")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local query = require("apisix.plugins.azure-openai.request.query")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")

local ngx = ngx
local ipairs = ipairs

local PLUGIN = "azure-openai-test-headers"
local PRIORITY = "priority"
local UNKNOWN = -1
local document = schemas.read(PLUGIN)

local _M = {
    version = 0.1,
    priority = 11990, -- right after azure-openai-gateway
    name = PLUGIN,
    schema = document.schema,
    check_schema = schemas.checker(document),
}

--- Takes `?priority=low` for the header `x-priority: low`. The backend sees neither.
function _M.rewrite(_, ctx)
    local state = ctx.azure_openai
    for _, value in ipairs(query.values(state.target, PRIORITY)) do
        if value == "low" then
            core.request.set_header(ctx, "x-priority", value)
        end
    end
    state.target = query.without(state.target, PRIORITY)
end

-- What a pair has left of one of its limits; nil when it has not said so. A throttled one has no tokens left, unless it
-- lacks requests.
local function left(backend, deployment, kind)
    local remaining, reported = availability.left(backend, deployment, kind)
    local is_throttled = availability.state(backend, deployment, nil, 0) == "throttled"
    if kind == "tokens" and is_throttled and availability.left(backend, deployment, "requests") ~= 0 then
        remaining = 0
    end
    if not remaining then
        return nil
    end
    return remaining, availability.limit(backend, deployment, kind, remaining, reported)
end

-- What the candidates have left of one of their limits, and the sum of these limits.
local function left_of_all(pool, request, kind)
    local remaining, limit
    for backend, deployment in pool_module.candidates(pool, request) do
        local some, of = left(backend, deployment, kind)
        if some then
            remaining, limit = (remaining or 0) + some, (limit or 0) + of
        end
    end
    return remaining or UNKNOWN, limit or 0
end

-- Which limit is the reason of a refusal in favour of others.
local function explain(pool, request)
    local tokens, token_limit = left_of_all(pool, request, "tokens")
    local requests, request_limit = left_of_all(pool, request, "requests")
    local is_short_of_requests = requests ~= UNKNOWN
        and (tokens == UNKNOWN or requests * token_limit < tokens * request_limit)
    ngx.header["x-gw-ratelimit-reason"] = (is_short_of_requests and "requests" or "tokens")
        .. "-below-low-priority-threshold"
    ngx.header["x-gw-ratelimit-value"] = is_short_of_requests and requests or tokens
end

-- Counts are the gateway's own (azure-openai-test-limits), so a backend may not set them.
local function remove_claimed_counts()
    for _, kind in ipairs({ "tokens", "requests" }) do
        ngx.header["x-apim-remaining-" .. kind] = nil
        ngx.header["x-apim-total-" .. kind] = nil
        ngx.header["x-apim-" .. kind .. "-retry-after"] = nil
    end
end

function _M.header_filter(_, ctx)
    local state = ctx.azure_openai
    local pool, request = state.pool, state.request
    if state.winner then
        remove_claimed_counts()
    end
    ngx.header["x-apim-backend"] = state.winner and state.winner.name
    ngx.header["x-gw-priority"] = state.lane or limits.lane(ctx, state.client)
    for _, kind in ipairs({ "tokens", "requests" }) do
        ngx.header["x-gw-remaining-" .. kind] = request and left_of_all(pool, request, kind) or UNKNOWN
    end
    if state.error == reserve.REASON then
        explain(pool, request)
    end
end

return _M
