--- Which (backend, deployment) pairs may be used now: cool-downs, circuit breakers and missing deployments.
--
-- The state lives in a shared dictionary, so that what one worker learns every worker knows. One key holds why and
-- until when a pair is unavailable; reading it is all that a healthy request pays. Faults that concern the whole
-- backend (it cannot be reached, it refuses the credential) are kept for EVERY deployment at once.
local metrics = require("apisix.plugins.azure-openai.account.metrics")

local ngx = ngx
local ngx_now = ngx.now
local math_min = math.min
local math_max = math.max

local dict = ngx.shared["azure-openai-availability"]

-- No text, so that no deployment is called so.
local EVERY = {}
local MISSING_SECONDS = 300
-- An open breaker is remembered past its deadline: what follows is a trial, not business as usual.
local HALF_OPEN_MEMORY_SECONDS = 3600

-- Stored as the flags of the dictionary entry whose value is the deadline.
local THROTTLED, OPEN, MISSING = 1, 2, 3
local REASONS = { [THROTTLED] = "throttled", [OPEN] = "open", [MISSING] = "missing" }

-- A reported quota says little about the next minute.
local QUOTA_MEMORY_SECONDS = 60

local _M = { EVERY = EVERY }

local function key(kind, backend, deployment)
    if deployment == EVERY then
        -- A backend that cannot be reached or refuses the credential starts afresh with another address or key.
        return kind .. "-all|" .. backend.name .. "|" .. backend.fingerprint
    end
    return kind .. "|" .. backend.name .. "|" .. deployment
end

local function state_of(backend, deployment, now)
    local deadline, flags = dict:get(key("until", backend, deployment))
    if not deadline then
        return nil
    end
    if deadline > now then
        return REASONS[flags], deadline - now
    end
    if flags == OPEN then
        local trial_deadline = dict:get(key("trial", backend, deployment))
        if trial_deadline then
            return "open", math_max(trial_deadline - now, 0.001)
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

-- Whether the pair may be used, and whether that took the one trial of its half-open breaker.
local function claim_trial(backend, deployment, seconds)
    if state_of(backend, deployment, ngx_now()) ~= "half-open" then
        return true, false
    end
    -- The claim expires by itself, so that a worker that dies in its trial does not lock the backend out.
    return dict:add(key("trial", backend, deployment), ngx_now() + seconds, seconds), true
end

--- Claims the right to send a request to a pair. Only half-open pairs can refuse: one trial at a time.
-- @param failover table the pool's failover settings
-- @return boolean
-- @return boolean whether it is a trial of the pair or of the whole backend, or both: to be settled by `answered` and
--   `failed`, or given back by `release`
function _M.acquire(backend, deployment, failover)
    -- A model may think for minutes; others need not wait for its answer before they try as well.
    local trial_seconds = math_min(failover.read_timeout_ms / 1000, failover.breaker_max_open_seconds)
    local acquired, is_trial = claim_trial(backend, deployment, trial_seconds)
    if not acquired then
        return false, false
    end
    local wide_acquired, is_wide_trial = claim_trial(backend, EVERY, trial_seconds)
    if not wide_acquired then
        if is_trial then
            dict:delete(key("trial", backend, deployment))
        end
        return false, false
    end
    return true, is_trial or is_wide_trial
end

--- Gives a claimed trial back undecided, for an attempt that ended without learning anything.
-- @param deployment string|table one deployment, or EVERY
function _M.release(backend, deployment)
    dict:delete(key("trial", backend, deployment))
end

-- Of two reasons the one that lasts longer counts.
local function set_unavailable(backend, deployment, kind, seconds, memory_seconds)
    local entry = key("until", backend, deployment)
    local deadline = ngx_now() + seconds
    local known_deadline = dict:get(entry)
    if not known_deadline or known_deadline < deadline then
        dict:set(entry, deadline, memory_seconds, kind)
        metrics.unavailable(backend, deployment ~= EVERY and deployment or nil, REASONS[kind], seconds)
    end
end

--- Starts a cool-down after a throttled answer.
-- @param seconds number
function _M.cool_down(backend, deployment, seconds)
    set_unavailable(backend, deployment, THROTTLED, seconds, seconds)
end

--- Remembers for some minutes that the backend has no such deployment.
function _M.deployment_missing(backend, deployment)
    set_unavailable(backend, deployment, MISSING, MISSING_SECONDS, MISSING_SECONDS)
end

local function open(backend, deployment, failover)
    local deadline, kind = dict:get(key("until", backend, deployment))
    if kind == OPEN and deadline > ngx_now() then
        -- Requests that were under way when it opened fail too; that is no reason to back off further.
        return nil
    end

    local openings = dict:incr(key("openings", backend, deployment), 1, 0, HALF_OPEN_MEMORY_SECONDS) or 1
    local seconds =
        math_min(failover.breaker_open_seconds * 2 ^ (openings - 1), failover.breaker_max_open_seconds)
    set_unavailable(backend, deployment, OPEN, seconds, seconds + HALF_OPEN_MEMORY_SECONDS)
    dict:delete(key("failures", backend, deployment))
    dict:delete(key("trial", backend, deployment))
    return seconds
end

--- Counts a failure; the breaker opens after `breaker_failures` in a row, or when a trial fails.
-- @param failover table the pool's failover settings
-- @return number|nil seconds for which the breaker opened
function _M.failed(backend, deployment, failover)
    local failures = dict:incr(key("failures", backend, deployment), 1, 0, HALF_OPEN_MEMORY_SECONDS) or 0
    if failures >= failover.breaker_failures or dict:get(key("trial", backend, deployment)) then
        return open(backend, deployment, failover)
    end
    return nil
end

--- Opens the breaker at once, for faults that do not go away by trying again.
-- @return number|nil seconds for which the breaker opened, nil when it was open already
function _M.open(backend, deployment, failover)
    return open(backend, deployment, failover)
end

local function close(backend, deployment)
    local _, kind = dict:get(key("until", backend, deployment))
    if kind == OPEN then
        dict:delete(key("until", backend, deployment))
        dict:delete(key("openings", backend, deployment))
        dict:delete(key("trial", backend, deployment))
    end
end

--- Notes that a pair has begun an answer of many parts: the breaker closes. Until the answer is whole, failures in a
--- row are counted on.
function _M.began(backend, deployment)
    close(backend, deployment)
end

--- Notes that a pair, or EVERY deployment, works: the breaker closes and the failure count ends. A cool-down stays.
function _M.answered(backend, deployment)
    close(backend, deployment)
    local failures = key("failures", backend, deployment)
    if dict:get(failures) then
        dict:delete(failures)
    end
end

--- Notes which share of its quota a pair reported as left.
-- @param share number 0 to 1
function _M.note_remaining(backend, deployment, share)
    dict:set(key("quota", backend, deployment), share, QUOTA_MEMORY_SECONDS)
end

--- The share of its quota that a pair has left: 0 while it is throttled, nil when unknown.
function _M.remaining_share(backend, deployment)
    if _M.state(backend, deployment) == "throttled" then
        return 0
    end
    return dict:get(key("quota", backend, deployment))
end

return _M
