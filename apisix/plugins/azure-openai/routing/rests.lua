--- Rests of pairs of backend and deployment: until when, and why. `breakers` and `cooldowns` keep theirs here.
local memory = require("apisix.plugins.azure-openai.routing.pair_memory")

local ngx_now = ngx.now
local math_ceil = math.ceil

-- An entry's value is the deadline. Its flags hold why, and how many seconds away it was at first.
local MOST_REASONS = 8

-- By how much the clocks of workers may differ.
local CLOCK_SECONDS = 1

local _M = {}

local function observer() end

--- Sets who watches.
-- @param on_rest function(backend, deployment (nil for all), reason, seconds), called when a pair starts to rest
function _M.watch(on_rest)
    observer = on_rest
end

--- Tells the one who watches that a pair starts to rest.
-- @param reason string
function _M.announce(backend, scope, reason, seconds)
    observer(backend, scope ~= memory.EVERY and memory.deployment_of(scope) or nil, reason, seconds)
end

local function flags_of(seconds, why)
    return math_ceil(seconds) * MOST_REASONS + why
end

--- How long a rest lasts still. A deadline that is farther away than it was at first has passed, too: the clock has
--- been set back since.
-- @param kind string of the entry, see `pair_memory`
-- @return number seconds, 0 when it is over
-- @return number|nil why, also when it is over; nil when there is no entry
function _M.left(kind, backend, scope)
    local deadline, flags = memory.get(kind, backend, scope)
    if not deadline then
        return 0, nil
    end
    local why = flags % MOST_REASONS
    local seconds, seconds_at_first = deadline - ngx_now(), (flags - why) / MOST_REASONS
    local is_resting = seconds > 0 and seconds <= seconds_at_first + CLOCK_SECONDS
    return is_resting and seconds or 0, why
end

-- Marks a deployment as one that has rests.
local function mark(backend, deployment, seconds)
    local kept_until = ngx_now() + seconds
    if (memory.get("rests", backend, deployment) or 0) < kept_until then
        memory.set("rests", backend, deployment, kept_until, seconds)
    end
end

--- Whether a deployment may have rests, of any kind and for any operation. Most have none, so a healthy request reads
--- no more than this.
-- @return boolean
function _M.may_rest(backend, deployment)
    return memory.get("rests", backend, deployment) ~= nil
end

--- Starts a rest, in place of one that is there.
-- @param why number 0 to 7
-- @param memory_seconds number for so long the entry is kept behind its deadline
function _M.start(kind, backend, scope, seconds, why, memory_seconds)
    local deadline, kept_seconds = ngx_now() + seconds, seconds + memory_seconds
    memory.set(kind, backend, scope, deadline, kept_seconds, flags_of(seconds, why))
    if scope ~= memory.EVERY then
        mark(backend, memory.deployment_of(scope), kept_seconds)
    end
end

--- Starts a rest unless one is there.
-- @return boolean whether none was there
function _M.claim(kind, backend, scope, seconds)
    return memory.add(kind, backend, scope, ngx_now() + seconds, seconds, flags_of(seconds, 0))
end

--- Whether a time that was noted lies in the future: it was noted before the clock was set back.
-- @param noted_at number
-- @return boolean
function _M.is_ahead(noted_at)
    return noted_at > ngx_now() + CLOCK_SECONDS
end

return _M
