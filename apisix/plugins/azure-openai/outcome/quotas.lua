--- What answers say of a deployment's quota: until when it is used up and for which requests, and how much is left.
local throttle_hints = require("apisix.plugins.azure-openai.outcome.throttle_hints")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local cooldowns = require("apisix.plugins.azure-openai.routing.cooldowns")
local shared_cooldowns = require("apisix.plugins.azure-openai.routing.shared_cooldowns")

local ipairs = ipairs
local math_min = math.min

local _M = {}

-- The smallest size of requests that a backend would refuse, too; 0 when it would refuse any.
local function refused_from(tokens, remaining)
    return remaining and remaining > 0 and math_min(tokens / 2, remaining + 1) or 0
end

--- A backend refused a request for want of quota: its cool-down starts.
-- @param pool table
-- @param backend table
-- @param deployment string the backend's name for it
-- @param tokens number what the request may take
-- @param outcome Outcome with the answer's headers and body
function _M.throttled(pool, backend, deployment, tokens, outcome)
    local headers = outcome.headers
    local remaining, limit = throttle_hints.left(headers, "tokens")
    local noted_remaining, noted_limit = availability.left(backend, deployment, "tokens")
    remaining, limit = remaining or noted_remaining, limit or noted_limit
    if remaining or limit then
        availability.note_left(backend, deployment, "tokens", remaining, limit)
    end
    local seconds = throttle_hints.cooldown_seconds(headers, outcome.body, pool.failover)
    if throttle_hints.is_out_of_requests(headers) then
        shared_cooldowns.start(backend, deployment, seconds, 0)
    elseif limit and tokens > limit then
        -- It fits at no time. The tokens that are left have nothing to do with it.
        shared_cooldowns.start_for_large(backend, deployment, seconds, tokens)
    else
        shared_cooldowns.start(backend, deployment, seconds, refused_from(tokens, remaining))
    end
end

-- The share of one of its limits that a deployment has left; nil when the limit is not known.
local function share_left(backend, deployment, kind, remaining, reported)
    local limit = availability.limit(backend, deployment, kind, remaining, reported)
    return limit > 0 and math_min(remaining / limit, 1) or nil
end

--- Notes what a successful answer says of the quota. The scarcer of requests and tokens decides.
-- @param headers table
function _M.note(pool, backend, deployment, headers)
    local scarcest
    for _, kind in ipairs(throttle_hints.KINDS) do
        local remaining, limit = throttle_hints.left(headers, kind)
        local share = remaining and share_left(backend, deployment, kind, remaining, limit)
        scarcest = share and math_min(scarcest or share, share) or scarcest
        -- Only the headers of test routes tell how many requests are left.
        if remaining and (kind == "tokens" or pool.is_part) then
            availability.note_left(backend, deployment, kind, remaining, limit)
        end
        if remaining and kind == "tokens" then
            cooldowns.note_remaining(backend, deployment, remaining)
        end
    end
    if scarcest then
        availability.note_share(backend, deployment, scarcest)
    end
    if throttle_hints.is_exhausted(headers) then
        cooldowns.spent(backend, deployment, throttle_hints.spent_seconds(headers, pool.failover))
    end
end

return _M
