--- Cool-downs that hold for all replicas when Redis is configured: the others need not ask a backend that has told one
--- replica to wait.
--
-- A timer reads them, so no request waits for Redis. A replica learns of a cool-down within a second.
local cooldowns = require("apisix.plugins.azure-openai.routing.cooldowns")
local large_rests = require("apisix.plugins.azure-openai.routing.large_rests")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local shared_state = require("apisix.plugins.azure-openai.base.shared_state")

local ngx = ngx
local ngx_now = ngx.now
local pairs = pairs
local tonumber = tonumber
local type = type
local math_ceil = math.ceil
local math_floor = math.floor
local math_log = math.log
local math_min = math.min

local LIST = "cooldowns"
local POLL_SECONDS = 1
-- A shorter cool-down is over before the others know of it.
local SHORTEST_SECONDS = 1
-- By how much the clocks of replicas may differ.
local CLOCK_SECONDS = 5

local _M = {}

-- Sizes are rounded to powers of two, so a pair has few members on the list.
local function rounded(size, round)
    return size >= 1 and 2 ^ round(math_log(size) / math_log(2)) or 0
end

local function announce(backend, deployment, seconds, size)
    if seconds >= SHORTEST_SECONDS then
        local member = ("%s|%s|%s"):format(backend.name, size, deployment)
        shared_state.announce_later(LIST, member, ngx_now() + seconds)
    end
end

--- Starts a cool-down, here at once and soon in the other replicas.
-- @param backend table
-- @param deployment string the backend's name for it
-- @param seconds number
-- @param from number the smallest size of requests for which it holds; 0 for all
function _M.start(backend, deployment, seconds, from)
    cooldowns.throttled(backend, deployment, seconds, from)
    announce(backend, deployment, seconds, ("%.0f"):format(rounded(from, math_floor)))
end

--- Starts a rest for large requests alone: `large_rests`. One that is rounded up takes nothing from those that
--- would fit.
function _M.start_for_large(backend, deployment, seconds, from)
    large_rests.start(backend, deployment, seconds, from)
    announce(backend, deployment, seconds, ("+%.0f"):format(rounded(from, math_ceil)))
end

-- What a member says: "eastus|0|gpt-4o" -> backend, "gpt-4o", 0, false; "eastus|+16384|gpt-4o" -> backend, "gpt-4o",
-- 16384, true; nil when the backend is none of the pool's.
local function parse(pool, member)
    if type(member) ~= "string" then
        return nil
    end
    local name, sign, from, deployment = member:match("^([^|]*)|(%+?)(%d+)|(.*)$")
    return name and pool.by_name[name], deployment, tonumber(from), sign == "+"
end

local function learn(pool)
    local now, longest = ngx_now(), pool.failover.cooldown_max_seconds
    for member, deadline in pairs(shared_state.announced(LIST)) do
        local backend, deployment, from, is_for_large = parse(pool, member)
        local seconds = deadline - now
        -- No cool-down is longer. That of a replica whose clock is far ahead is no news from now.
        if backend and seconds > 0 and seconds <= longest + CLOCK_SECONDS then
            local start = is_for_large and large_rests.start or cooldowns.throttled
            start(backend, deployment, math_min(seconds, longest), from)
        end
    end
end

-- The first worker asks for all.
local function poll(premature)
    if premature then
        return
    end
    -- Also tells a worker that has served nothing yet which Redis there is.
    local pool = pool_module.current()
    if pool and shared_state.is_configured() and ngx.worker.id() == 0 then
        learn(pool)
    end
end

local is_watching = false

--- Starts to follow the cool-downs of the other replicas. To be called in every worker.
function _M.watch()
    if not is_watching then
        is_watching = true
        ngx.timer.every(POLL_SECONDS, poll)
    end
end

return _M
