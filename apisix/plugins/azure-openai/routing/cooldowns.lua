--- Why a deployment of a backend has no capacity for a request: it is throttled, its quota is spent, or it is missing.
--
-- A cool-down holds for requests of the refused size, and for smaller ones as far as they would be refused, too (F2).
-- When it ends, one request goes first: the backend may be throttled still, and many may have waited. Larger requests
-- that have to wait longer rest in `large_rests`.
local large_rests = require("apisix.plugins.azure-openai.routing.large_rests")
local memory = require("apisix.plugins.azure-openai.routing.pair_memory")
local rests = require("apisix.plugins.azure-openai.routing.rests")

local ngx = ngx
local ngx_now = ngx.now
local math_floor = math.floor
local math_max = math.max
local math_min = math.min

-- Why a pair rests. A stronger reason takes the place of a weaker one.
local SPENT, MISSING, THROTTLED = 1, 2, 3
local REASONS = { [SPENT] = "spent", [MISSING] = "missing", [THROTTLED] = "throttled" }

-- A deployment that is missing once may be a fresh one. Twice within a minute, it is believed for longer.
local MISSING_SECONDS, MISSING_TWICE_SECONDS, MISSING_MEMORY_SECONDS = 10, 300, 60
-- How often a client's request asks for a missing deployment when nobody else is left.
local LOOK_EVERY_SECONDS = 1

-- A cool-down is remembered past its deadline. Requests that come later meet no crowd.
local END_SECONDS = 60
-- A 429 comes at once, an answer may take a minute. So long as there is neither, more requests may go.
local DOUBLING_SECONDS = 0.5
-- After so many doublings all may go.
local MOST_DOUBLINGS = 10

local _M = {}

-- How often the number of requests has doubled since the first went, and the seconds until the next doubling.
local function doublings(backend, deployment)
    local first_at = memory.get("first", backend, deployment)
    if not first_at or rests.is_ahead(first_at) then
        return nil
    end
    local age = ngx_now() - first_at
    local times = math_floor(age / DOUBLING_SECONDS)
    return times, (times + 1) * DOUBLING_SECONDS - age
end

-- The state of a cool-down whose deadline has passed.
local function state_at_end(backend, deployment)
    local times, seconds = doublings(backend, deployment)
    if not times then
        return "ending", 0
    end
    if times >= MOST_DOUBLINGS then
        return nil
    end
    if (memory.get("gone", backend, deployment) or 0) < 2 ^ times then
        return "ending", 0
    end
    return "throttled", seconds
end

-- The state by what holds for small requests, too.
local function state_of_rest(backend, deployment, size)
    local seconds, why = rests.left("rest", backend, deployment)
    if why ~= THROTTLED then
        return seconds > 0 and REASONS[why] or nil, seconds
    end
    if size and size < (memory.get("from", backend, deployment) or 0) then
        return nil
    end
    if seconds > 0 then
        return "throttled", seconds
    end
    return state_at_end(backend, deployment)
end

--- Tells whether a pair has capacity for a request.
-- @param deployment string the backend's name for it, or `pair_memory.scope` of it
-- @param size number|nil tokens that the request may take; nil for one of any size
-- @return string|nil nil when it has, else "throttled", "missing", "spent" (others are asked first) or "ending" (it
--   takes some requests)
-- @return number|nil seconds until that may change
function _M.state(backend, deployment, size)
    local reason, seconds = state_of_rest(backend, deployment, size)
    local large_seconds = size and large_rests.left(backend, deployment, size) or 0
    if large_seconds > 0 and reason ~= "missing" and (reason ~= "throttled" or large_seconds > seconds) then
        return "throttled", large_seconds
    end
    return reason, seconds
end

--- As `state`, without the time: why a pair has no capacity for a request.
-- @return string|nil
function _M.reason(backend, deployment, size)
    local reason = state_of_rest(backend, deployment, size)
    if
        reason ~= "throttled"
        and reason ~= "missing"
        and size
        and large_rests.left(backend, deployment, size) > 0
    then
        return "throttled"
    end
    return reason
end

--- Claims a place among the requests that may go when a cool-down ends.
-- @return boolean
function _M.acquire(backend, deployment)
    local is_first = memory.add("first", backend, deployment, ngx_now(), END_SECONDS)
    local gone = memory.add_to("gone", backend, deployment, 1, END_SECONDS)
    if is_first or not gone or gone <= 2 ^ (doublings(backend, deployment) or 0) then
        return true
    end
    memory.add_to("gone", backend, deployment, -1)
    return false
end

local function forget_end(backend, deployment)
    memory.delete("first", backend, deployment)
    memory.delete("gone", backend, deployment)
end

-- Starts a rest, unless one that is stronger or longer holds.
local function start(backend, deployment, why, seconds, memory_seconds)
    local seconds_left, holds = rests.left("rest", backend, deployment)
    if seconds_left > 0 and (holds > why or (holds == why and seconds_left >= seconds)) then
        return
    end
    rests.start("rest", backend, deployment, seconds, why, memory_seconds)
    rests.announce(backend, deployment, REASONS[why], seconds)
end

--- The pair refused a request for want of quota.
-- @param seconds number
-- @param from number the smallest size for which this holds; 0 for all requests
function _M.throttled(backend, deployment, seconds, from)
    local seconds_left, holds = rests.left("rest", backend, deployment)
    local is_going_on = holds == THROTTLED and seconds_left > 0
    local held_from = is_going_on and memory.get("from", backend, deployment) or 0
    if is_going_on and from > held_from and seconds > seconds_left then
        return large_rests.start(backend, deployment, seconds, from)
    end
    if from < held_from and seconds < seconds_left then
        large_rests.start(backend, deployment, seconds_left, held_from)
        memory.delete("rest", backend, deployment)
    end
    start(backend, deployment, THROTTLED, seconds, END_SECONDS)
    local size = is_going_on and math_min(from, held_from) or from
    if size > 0 then
        memory.set("from", backend, deployment, size, math_max(seconds, seconds_left) + END_SECONDS)
    else
        memory.delete("from", backend, deployment)
    end
    if not is_going_on then
        forget_end(backend, deployment)
    end
    return nil
end

--- The backend reports how many tokens are left. A cool-down of larger requests then holds for all that need more, too.
-- @param remaining number
function _M.note_remaining(backend, deployment, remaining)
    local from = memory.get("from", backend, deployment)
    if from and remaining < from then
        local seconds, why = rests.left("rest", backend, deployment)
        if why == THROTTLED and seconds > 0 then
            memory.set("from", backend, deployment, remaining + 1, seconds + END_SECONDS)
        end
    end
end

--- A request that went when the cool-down ended was not throttled: the pair is open for all.
function _M.ended(backend, deployment)
    local seconds, why = rests.left("rest", backend, deployment)
    if why == THROTTLED and seconds == 0 then
        memory.delete("rest", backend, deployment)
        memory.delete("from", backend, deployment)
        forget_end(backend, deployment)
    end
end

--- The pair's quota is used up until it is reset: others are asked first.
-- @param seconds number
function _M.spent(backend, deployment, seconds)
    start(backend, deployment, SPENT, seconds, 0)
end

--- The backend has no such deployment, or not for one operation.
-- @param deployment string the backend's name for it, or `pair_memory.scope` of it
function _M.missing(backend, deployment)
    local is_first = memory.add("missing", backend, deployment, true, MISSING_MEMORY_SECONDS)
    local seconds = is_first and MISSING_SECONDS or MISSING_TWICE_SECONDS
    start(backend, deployment, MISSING, seconds, MISSING_MEMORY_SECONDS)
end

--- Claims to ask for a missing deployment whether it is there by now.
-- @param client string its claims take nothing from other clients
-- @return boolean
function _M.look(backend, deployment, client)
    return memory.add("look|" .. client, backend, deployment, true, LOOK_EVERY_SECONDS)
end

--- A deployment that seemed to be missing has served.
-- @param deployment string as for `missing`
function _M.found(backend, deployment)
    memory.delete("missing", backend, deployment)
    local _, why = rests.left("rest", backend, deployment)
    if why == MISSING then
        memory.delete("rest", backend, deployment)
    end
end

return _M
