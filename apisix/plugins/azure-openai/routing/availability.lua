--- Which (backend, deployment) pairs may be used now: cool-downs, circuit breakers and missing deployments.
--
-- A request acquires a pair and then reports one thing of it: `succeeded`, `began` (an answer in parts), `throttled`,
-- `failed`, `refused` (the credential), `missing` (the deployment) or `abandoned` (the outcome will never be known).
--
-- All workers share the state (`pair_memory`). One entry holds why and until when a pair is unavailable. Faults of the
-- whole backend (it cannot be reached, it refuses the credential) are kept for EVERY deployment at once.
local memory = require("apisix.plugins.azure-openai.routing.pair_memory")

local ngx = ngx
local ngx_now = ngx.now
local math_ceil = math.ceil
local math_floor = math.floor
local math_min = math.min

local EVERY = memory.EVERY
local MISSING_SECONDS = 300
-- An open breaker is remembered past its deadline, because the next request is a trial.
local HALF_OPEN_MEMORY_SECONDS = 3600

-- An entry's value is a deadline. Its flags hold in how many seconds that was at first, and one of these: why.
local TRIAL, THROTTLED, OPEN, MISSING = 0, 1, 2, 3
local KINDS = 4
local REASONS = { [THROTTLED] = "throttled", [OPEN] = "open", [MISSING] = "missing" }

-- A reported quota says little about later minutes.
local QUOTA_MEMORY_SECONDS = 60

-- By how much the clocks of workers may differ.
local CLOCK_SECONDS = 1

local _M = { EVERY = EVERY }

local function observer() end

--- Sets who watches.
-- @param on_rest function(backend, deployment (nil for all), reason, seconds), called when a pair starts to rest
function _M.watch(on_rest)
    observer = on_rest
end

local function flags_of(kind, seconds)
    return math_ceil(seconds) * KINDS + kind
end

-- The seconds until an entry's deadline, 0 when it has passed; and the entry's kind, nil without an entry. A deadline
-- that is farther away than at first has passed, too: the clock has been set back since.
local function rest_of(kind_of_entry, backend, deployment, now)
    local deadline, flags = memory.get(kind_of_entry, backend, deployment)
    if not deadline then
        return 0, nil
    end
    local kind = flags % KINDS
    local seconds, seconds_at_first = deadline - now, (flags - kind) / KINDS
    local is_resting = seconds > 0 and seconds <= seconds_at_first + CLOCK_SECONDS
    return is_resting and seconds or 0, kind
end

local function state_of(backend, deployment, now)
    local seconds, kind = rest_of("until", backend, deployment, now)
    if seconds > 0 then
        return REASONS[kind], seconds
    end
    if kind == OPEN then
        seconds = rest_of("trial", backend, deployment, now)
        if seconds > 0 then
            return "open", seconds
        end
        return "half-open", 0
    end
    return nil
end

--- Tells whether a pair can be used, without changing anything.
-- @param backend table
-- @param deployment string the backend's name for it
-- @return string|nil nil when usable, else "throttled", "open", "missing" or "half-open" (usable for one trial)
-- @return number|nil seconds until that may change
function _M.state(backend, deployment)
    local now = ngx_now()
    local reason, seconds = state_of(backend, deployment, now)
    if reason and reason ~= "half-open" then
        return reason, seconds
    end
    local wide_reason, wide_seconds = state_of(backend, EVERY, now)
    if wide_reason then
        return wide_reason, wide_seconds
    end
    return reason, seconds
end

-- Whether the pair may be used, and whether this takes the one trial of its half-open breaker.
local function claim_trial(backend, deployment, seconds)
    local now = ngx_now()
    if state_of(backend, deployment, now) ~= "half-open" then
        return true, false
    end
    local rest, kind = rest_of("trial", backend, deployment, now)
    if kind and rest == 0 then
        -- Its deadline has passed, but the dictionary goes by the clock that was set back.
        memory.delete("trial", backend, deployment)
    end
    -- The claim expires: a worker that dies during its trial must not lock the backend out.
    return memory.add("trial", backend, deployment, now + seconds, seconds, flags_of(TRIAL, seconds)), true
end

--- Claims the right to send a request to a pair. Only half-open pairs can refuse: they take one trial at a time.
-- @param failover table the pool's failover settings
-- @return boolean
-- @return boolean whether it is a trial of the pair or of the whole backend, or both
function _M.acquire(backend, deployment, failover)
    -- A model may think for minutes; other requests need not wait so long before they try as well.
    local trial_seconds = math_min(failover.read_timeout_ms / 1000, failover.breaker_max_open_seconds)
    local acquired, is_trial = claim_trial(backend, deployment, trial_seconds)
    if not acquired then
        return false, false
    end
    local wide_acquired, is_wide_trial = claim_trial(backend, EVERY, trial_seconds)
    if not wide_acquired then
        if is_trial then
            memory.delete("trial", backend, deployment)
        end
        return false, false
    end
    return true, is_trial or is_wide_trial
end

--- The outcome will never be known: a claimed trial is free again.
-- @param deployment string|table one deployment, or EVERY
function _M.abandoned(backend, deployment)
    memory.delete("trial", backend, deployment)
end

-- The later deadline wins.
local function set_unavailable(backend, deployment, kind, seconds, memory_seconds)
    local now = ngx_now()
    if rest_of("until", backend, deployment, now) < seconds then
        memory.set("until", backend, deployment, now + seconds, memory_seconds, flags_of(kind, seconds))
        observer(backend, deployment ~= EVERY and deployment or nil, REASONS[kind], seconds)
    end
end

--- The pair refused for want of quota: a cool-down starts.
-- @param seconds number
function _M.throttled(backend, deployment, seconds)
    set_unavailable(backend, deployment, THROTTLED, seconds, seconds)
end

--- The backend has no such deployment; that is remembered for some minutes.
function _M.missing(backend, deployment)
    set_unavailable(backend, deployment, MISSING, MISSING_SECONDS, MISSING_SECONDS)
end

local function open(backend, deployment, failover)
    local rest, kind = rest_of("until", backend, deployment, ngx_now())
    if kind == OPEN and rest > 0 then
        -- Requests that were under way when it opened fail too. They must not prolong the back-off.
        return nil
    end

    local openings = memory.increment("openings", backend, deployment, HALF_OPEN_MEMORY_SECONDS) or 1
    local seconds =
        math_min(failover.breaker_open_seconds * 2 ^ (openings - 1), failover.breaker_max_open_seconds)
    set_unavailable(backend, deployment, OPEN, seconds, seconds + HALF_OPEN_MEMORY_SECONDS)
    memory.delete("failures", backend, deployment)
    memory.delete("trial", backend, deployment)
    return seconds
end

--- The attempt failed. The breaker opens after `breaker_failures` in a row, or when a trial fails.
-- @param failover table the pool's failover settings
-- @return number|nil seconds for which the breaker opened
function _M.failed(backend, deployment, failover)
    local failures = memory.increment("failures", backend, deployment, HALF_OPEN_MEMORY_SECONDS) or 0
    if failures >= failover.breaker_failures or memory.get("trial", backend, deployment) then
        return open(backend, deployment, failover)
    end
    return nil
end

--- The credential was refused: the breaker opens at once, since trying again would not help.
-- @return number|nil seconds for which the breaker opened, nil when it was open already
function _M.refused(backend, deployment, failover)
    return open(backend, deployment, failover)
end

local function close(backend, deployment)
    local _, kind = rest_of("until", backend, deployment, ngx_now())
    if kind == OPEN then
        memory.delete("until", backend, deployment)
        memory.delete("openings", backend, deployment)
        memory.delete("trial", backend, deployment)
    end
end

--- An answer in parts has begun: the breaker closes. Failures in a row count on until the answer is whole.
function _M.began(backend, deployment)
    close(backend, deployment)
end

--- The pair, or EVERY deployment, works: the breaker closes and the failure count ends. A cool-down stays.
function _M.succeeded(backend, deployment)
    close(backend, deployment)
    if memory.get("failures", backend, deployment) then
        memory.delete("failures", backend, deployment)
    end
end

--- A deployment made a model work, so it is no client's invention: see `pair_memory`.
-- @param backends table list of the pool's
-- @param deployment string the serving backend's name for it
_M.served = memory.note_served

--- Notes the share of its quota that a pair reported as left.
-- @param share number 0 to 1
function _M.note_remaining(backend, deployment, share)
    memory.set("quota", backend, deployment, share, QUOTA_MEMORY_SECONDS, math_floor(ngx_now()))
end

--- The share of its quota that a pair has left: 0 while it is throttled, nil when unknown.
function _M.remaining_share(backend, deployment)
    if _M.state(backend, deployment) == "throttled" then
        return 0
    end
    local share, noted_at = memory.get("quota", backend, deployment)
    -- What was noted in the future was noted before the clock was set back.
    return share and noted_at <= ngx_now() + CLOCK_SECONDS and share or nil
end

return _M
