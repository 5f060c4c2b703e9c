--- Circuit breakers: a backend that fails again and again is left alone for a while, then tried by one request (F3).
--
-- There is one for each pair, for each pair and operation, and for EVERY deployment of a backend. Breakers only shed
-- load that others can carry: when nobody else is left, some requests may go past them (F9).
local memory = require("apisix.plugins.azure-openai.routing.pair_memory")
local rests = require("apisix.plugins.azure-openai.routing.rests")

local math_min = math.min

-- An open breaker is remembered past its deadline, because the next request is a trial.
local HALF_OPEN_MEMORY_SECONDS = 3600
local OVERRIDE_MARGIN_SECONDS = 60
local OPEN = 1

local _M = {}

--- Tells whether a breaker lets requests through.
-- @param scope string|table deployment, `pair_memory.scope` of it, or EVERY
-- @return string|nil nil when it is closed, else "open" or "half-open" (it takes one trial)
-- @return number|nil seconds until that may change
function _M.state(backend, scope)
    local seconds, why = rests.left("breaker", backend, scope)
    if not why then
        return nil
    end
    if seconds == 0 then
        seconds = rests.left("trial", backend, scope)
    end
    if seconds > 0 then
        return "open", seconds
    end
    return "half-open", 0
end

--- Claims the one trial of a breaker that is half-open.
-- @param failover table the pool's failover settings
-- @return boolean whether a request may go
-- @return boolean whether it is a trial
function _M.acquire(backend, scope, failover)
    if _M.state(backend, scope) ~= "half-open" then
        return true, false
    end
    local seconds_left, claimed = rests.left("trial", backend, scope)
    if claimed and seconds_left == 0 then
        -- Its deadline has passed, but the dictionary goes by the clock that was set back.
        memory.delete("trial", backend, scope)
    end
    -- A model may think for minutes; other requests need not wait so long before they try as well. The claim expires: a
    -- worker that dies during its trial must not lock the backend out.
    local seconds = math_min(failover.read_timeout_ms / 1000, failover.breaker_max_open_seconds)
    return rests.claim("trial", backend, scope, seconds), true
end

--- The outcome of a trial will never be known: another request may have it.
function _M.abandoned(backend, scope)
    memory.delete("trial", backend, scope)
end

--- Claims a place among the requests that may go past the open breakers of a pair.
-- @param failover table the pool's failover settings
-- @return boolean
function _M.override(backend, deployment, failover)
    -- A worker that dies would keep its places; they expire.
    local seconds = failover.read_timeout_ms / 1000 + OVERRIDE_MARGIN_SECONDS
    local places = memory.add_to("override", backend, deployment, 1, seconds)
    if places and places <= failover.breaker_override_concurrency then
        return true
    end
    _M.end_override(backend, deployment)
    return false
end

--- A request that went past open breakers is over.
function _M.end_override(backend, deployment)
    if (memory.add_to("override", backend, deployment, -1) or 1) <= 0 then
        memory.delete("override", backend, deployment)
    end
end

local function open_for(backend, scope, seconds)
    rests.start("breaker", backend, scope, seconds, OPEN, HALF_OPEN_MEMORY_SECONDS)
    rests.announce(backend, scope, "open", seconds)
    memory.delete("failures", backend, scope)
    memory.delete("trial", backend, scope)
    return seconds
end

-- Requests that were under way when it opened fail too. They must not prolong the back-off.
local function is_open(backend, scope)
    return rests.left("breaker", backend, scope) > 0
end

--- Opens a breaker at once, since trying again would not help.
-- @param failover table the pool's failover settings
-- @return number|nil seconds for which it opened, nil when it was open already
function _M.open(backend, scope, failover)
    if is_open(backend, scope) then
        return nil
    end
    local openings = memory.add_to("openings", backend, scope, 1, HALF_OPEN_MEMORY_SECONDS) or 1
    local seconds = failover.breaker_open_seconds * 2 ^ (openings - 1)
    return open_for(backend, scope, math_min(seconds, failover.breaker_max_open_seconds))
end

--- Opens a breaker for as long as the backend asks for.
-- @param seconds number
-- @return number|nil seconds, nil when it was open already
function _M.rest(backend, scope, seconds)
    return not is_open(backend, scope) and open_for(backend, scope, seconds) or nil
end

--- An attempt failed. The breaker opens after `breaker_failures` in a row, or when a trial fails.
-- @param failover table the pool's failover settings
-- @return number|nil seconds for which it opened
function _M.failed(backend, scope, failover)
    local failures = memory.add_to("failures", backend, scope, 1, HALF_OPEN_MEMORY_SECONDS) or 0
    if failures >= failover.breaker_failures or memory.get("trial", backend, scope) then
        return _M.open(backend, scope, failover)
    end
    return nil
end

--- An answer in parts has begun: the breaker closes. Failures in a row count on until the answer is whole.
function _M.began(backend, scope)
    if memory.get("breaker", backend, scope) then
        memory.delete("breaker", backend, scope)
        memory.delete("openings", backend, scope)
        memory.delete("trial", backend, scope)
        memory.delete("slow", backend, scope)
    end
end

--- The backend works: the breaker closes and the failure count ends.
function _M.succeeded(backend, scope)
    _M.began(backend, scope)
    if memory.get("failures", backend, scope) then
        memory.delete("failures", backend, scope)
    end
end

--- A connection to the backend was not accepted in time.
function _M.note_slow_connect(backend)
    memory.set("slow", backend, memory.EVERY, true, HALF_OPEN_MEMORY_SECONDS)
end

--- Whether that was so lately, and the breaker has not closed since.
-- @return boolean
function _M.is_slow_to_connect(backend)
    return memory.get("slow", backend, memory.EVERY) == true
end

return _M
