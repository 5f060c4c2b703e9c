--- Which (backend, deployment) pairs may be used now: `cooldowns` and `breakers` together.
--
-- A request acquires a pair; `outcomes` tells both what comes of it. All workers share the state (`pair_memory`).
-- Faults of the whole backend (it cannot be reached, it refuses the credential) are kept for EVERY deployment at once.
local breakers = require("apisix.plugins.azure-openai.routing.breakers")
local cooldowns = require("apisix.plugins.azure-openai.routing.cooldowns")
local memory = require("apisix.plugins.azure-openai.routing.pair_memory")
local rests = require("apisix.plugins.azure-openai.routing.rests")

local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs
local math_floor = math.floor
local math_min = math.min

local EVERY = memory.EVERY

-- A reported quota says little about later minutes.
local QUOTA_MEMORY_SECONDS = 60
-- In an hour a deployment is idle at some time, so the most that was left comes close to its limit.
local MOST_SEEN_SECONDS = 3600
-- Flags have 32 bits, of which one is the sign.
local MOST_OF_A_LIMIT = 2147483647
local UNKNOWN_REMAINING, UNKNOWN_LIMIT = -1, 0

local _M = {}

-- Which of two reasons a request cannot get past. With two open breakers the later one to close decides. Whether a
-- broken backend misses a deployment is not known: its breaker decides.
local STRENGTH = { ending = 1, ["half-open"] = 1, spent = 2, missing = 3, open = 4, throttled = 5 }

local function stronger(reason, seconds, other, other_seconds)
    if not other then
        return reason, seconds
    end
    local difference = (STRENGTH[reason] or 0) - STRENGTH[other]
    if difference > 0 or (difference == 0 and seconds >= other_seconds) then
        return reason, seconds
    end
    return other, other_seconds
end

-- Operations of the other surfaces. That a chat of Azure OpenAI's misses a deployment says nothing of these.
local OF_OTHER_SURFACES = {
    ["messages"] = true,
    ["messages/count_tokens"] = true,
    ["models/chat/completions"] = true,
    ["models/embeddings"] = true,
    ["models/images/embeddings"] = true,
}

-- Whether a reason does not concern an operation.
local function is_elsewhere(reason, operation)
    return reason == "missing" and OF_OTHER_SURFACES[operation] == true
end

local function capacity(backend, deployment, operation, size)
    local reason, seconds = cooldowns.state(backend, deployment, size)
    if is_elsewhere(reason, operation) then
        return nil
    end
    return reason, seconds
end

--- Tells whether a pair can be used, without changing anything.
-- @param backend table
-- @param deployment string the backend's name for it
-- @param operation string|nil from `operations.name`; nil for the deployment as such
-- @param size number|nil tokens that the request may take; nil for one of any size
-- @return string|nil nil when usable, else "throttled", "open", "missing", "spent" (others are asked first), or
--   "half-open" or "ending" (both usable once they are acquired)
-- @return number|nil seconds until that may change
function _M.state(backend, deployment, operation, size)
    local reason, seconds = breakers.state(backend, EVERY)
    if not rests.may_rest(backend, deployment) then
        return reason, seconds
    end
    reason, seconds = stronger(reason, seconds, capacity(backend, deployment, operation, size))
    if reason == "throttled" then
        -- None is stronger, and only the pair itself is ever throttled.
        return reason, seconds
    end
    reason, seconds = stronger(reason, seconds, breakers.state(backend, deployment))
    if operation then
        local scope = memory.scope(deployment, operation)
        reason, seconds = stronger(reason, seconds, cooldowns.state(backend, scope))
        reason, seconds = stronger(reason, seconds, breakers.state(backend, scope))
    end
    return reason, seconds
end

-- States in which some requests may go.
local ACQUIRABLE = { ["half-open"] = true, ending = true }
local CLOSED, TRIAL = "closed", "trial"

-- What one more reason makes of a verdict: nil (open), TRIAL or CLOSED.
local function judged(reason, verdict)
    if not reason then
        return verdict
    end
    return ACQUIRABLE[reason] and (verdict or TRIAL) or CLOSED
end

local function verdict_of_operation(backend, scope, verdict)
    verdict = judged(cooldowns.reason(backend, scope), verdict)
    return verdict == CLOSED and verdict or judged(breakers.state(backend, scope), verdict)
end

local function verdict_of(backend, deployment, operation, size)
    local verdict = judged((breakers.state(backend, EVERY)), nil)
    if verdict == CLOSED or not rests.may_rest(backend, deployment) then
        return verdict
    end
    local reason = cooldowns.reason(backend, deployment, size)
    verdict = not is_elsewhere(reason, operation) and judged(reason, verdict) or verdict
    if verdict ~= CLOSED then
        verdict = judged(breakers.state(backend, deployment), verdict)
    end
    if verdict ~= CLOSED and operation then
        verdict = verdict_of_operation(backend, memory.scope(deployment, operation), verdict)
    end
    return verdict
end

--- As `state`, for who needs no more than whether the pair can be used: the first reason against it is enough.
-- @return boolean whether it is usable
-- @return boolean whether it has to be acquired for that
function _M.admits(backend, deployment, operation, size)
    local verdict = verdict_of(backend, deployment, operation, size)
    return verdict ~= CLOSED, verdict == TRIAL
end

local function abandon(backend, claimed)
    for _, scope in ipairs(claimed) do
        breakers.abandoned(backend, scope)
    end
    return false
end

--- Claims what a request needs to go to a pair that is "half-open" or "ending": the one trial of each half-open
--- breaker, and a place among the first when a cool-down ends.
-- @param failover table the pool's failover settings
-- @param operation string|nil as for `state`
-- @param size number|nil as for `state`
-- @return boolean false when others have it
function _M.acquire(backend, deployment, failover, operation, size)
    local claimed = {}
    for _, scope in ipairs({ deployment, EVERY, operation and memory.scope(deployment, operation) }) do
        local acquired, is_trial = breakers.acquire(backend, scope, failover)
        if not acquired then
            return abandon(backend, claimed)
        end
        claimed[#claimed + 1] = is_trial and scope or nil
    end
    if
        cooldowns.state(backend, deployment, size) == "ending" and not cooldowns.acquire(backend, deployment)
    then
        return abandon(backend, claimed)
    end
    return true
end

--- A deployment made a model work, so it is no client's invention: see `pair_memory`.
-- @param backends table list of the pool's
-- @param deployment string the serving backend's name for it
-- @param operation string from `operations.name`
_M.served = memory.note_served

-- As configured, for deployments whose answers do not name it.
local function configured_limit(backend, deployment, kind)
    return kind == "tokens" and backend.token_limits and backend.token_limits[deployment] or nil
end

--- The limit of a pair: that of a pool for tests, the one that its answer names, the configured one, else the most that
--- was left in the last hour.
-- @param kind string "requests" or "tokens"
-- @param remaining number what is left now
-- @param reported number|nil the limit that its answer names
-- @return number in a minute, 0 when none is known
function _M.limit(backend, deployment, kind, remaining, reported)
    local given = backend.test_limits and backend.test_limits[kind][deployment]
        or reported
        or configured_limit(backend, deployment, kind)
    if given then
        return given
    end
    local most = memory.get("most-" .. kind, backend, deployment)
    if not most or remaining > most then
        memory.set("most-" .. kind, backend, deployment, remaining, MOST_SEEN_SECONDS)
        return remaining
    end
    return most
end

--- Notes the share of its quota that a pair reported as left.
-- @param share number 0 to 1
function _M.note_share(backend, deployment, share)
    memory.set("quota", backend, deployment, share, QUOTA_MEMORY_SECONDS, math_floor(ngx_now()))
end

--- Notes what a pair reported of one of its limits.
-- @param kind string "requests" or "tokens"
-- @param remaining number|nil what is left
-- @param limit number|nil in a minute
function _M.note_left(backend, deployment, kind, remaining, limit)
    local flags = math_min(limit or UNKNOWN_LIMIT, MOST_OF_A_LIMIT)
    local value = remaining or UNKNOWN_REMAINING
    memory.set("left-" .. kind, backend, deployment, value, QUOTA_MEMORY_SECONDS, flags)
end

--- What is known of one of a pair's limits.
-- @param kind string "requests" or "tokens"
-- @return number|nil what was left, as reported in the last minute
-- @return number|nil the limit, in a minute: reported in the last minute, else configured
function _M.left(backend, deployment, kind)
    local remaining, limit = memory.get("left-" .. kind, backend, deployment)
    local configured = configured_limit(backend, deployment, kind)
    if not remaining then
        return nil, configured
    end
    return remaining ~= UNKNOWN_REMAINING and remaining or nil, limit ~= UNKNOWN_LIMIT and limit or configured
end

--- The share of its quota that a pair has left: 0 while it is throttled for all, nil when unknown.
function _M.remaining_share(backend, deployment)
    if _M.state(backend, deployment, nil, 0) == "throttled" then
        return 0
    end
    local share, noted_at = memory.get("quota", backend, deployment)
    return share and not rests.is_ahead(noted_at) and share or nil
end

return _M
