--- Asks one backend, a second time where that does no harm, and tells `outcomes` what came of it.
--
-- It stands above the rooms, below `exchange`.
local asking = require("apisix.plugins.azure-openai.answer.asking")
local outcomes = require("apisix.plugins.azure-openai.outcome.outcomes")
local stream_options = require("apisix.plugins.azure-openai.request.stream_options")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local regions = require("apisix.plugins.azure-openai.routing.regions")
local usage_refusals = require("apisix.plugins.azure-openai.routing.usage_refusals")

local ngx_now = ngx.now

local _M = {}

local function note_in_trail(state, attempt, outcome)
    outcome.entry = {
        backend = attempt.backend.name,
        server = attempt.backend,
        target = attempt.target,
        region = regions.of(attempt.backend),
        status = outcome.status or outcome.reason,
        -- A connection that had died while it was idle is nobody's failure.
        reason = not outcome.is_stale and outcome.reason or nil,
        started_at = attempt.started_at,
        seconds = outcome.seconds,
    }
    state.trail[#state.trail + 1] = outcome.entry
end

-- Asks once. Should the client leave meanwhile, the log phase finds the attempt in the state.
local function ask(state, attempt, plan)
    state.attempt = attempt
    local request = attempt.is_as_sent and state.request.as_sent or state.request
    local outcome = asking.ask(state.pool, attempt, request, plan)
    state.attempt = nil

    outcome.seconds = ngx_now() - attempt.started_at
    regions.learn(attempt.backend, outcome.headers)
    note_in_trail(state, attempt, outcome)
    return outcome
end

--- Whether an attempt took so short that another one may follow.
-- @param outcome Outcome
-- @param failover table the pool's failover settings
-- @return boolean
function _M.is_in_time(outcome, failover)
    return outcome.seconds * 1000 <= failover.retry_within_ms
end

local function is_success(outcome)
    return outcome.answer ~= nil and outcome.answer.status < 300
end

-- Whether a backend refuses to report the usage of a stream.
local function refuses_usage(state, attempt, outcome)
    local answer = outcome.answer
    return not attempt.is_as_sent
        and answer ~= nil
        and stream_options.are_refused(state.request, answer.status, answer.body)
end

-- A deployment that has made a model work is real. That is noted first, so that whatever else the attempt tells is kept
-- where the real ones are.
local function note_served(state, attempt, outcome)
    if is_success(outcome) and state.request.deployment ~= "" and attempt.is_inference then
        availability.served(state.pool.backends, attempt.deployment, attempt.operation)
    end
end

--- Makes one attempt. It is repeated once when its connection had died while it was idle, and once when the backend
--- refuses what the gateway has added to the body.
-- @param state RequestState gets the trail
-- @param attempt Attempt
-- @param plan Plan
-- @return Outcome
function _M.try(state, attempt, plan)
    attempt.connect_timeout_ms = outcomes.connect_timeout_ms(state.pool, attempt)
    attempt.is_as_sent = usage_refusals.is_known(attempt, state.request)
    local is_refused = false
    local outcome = ask(state, attempt, plan)
    while _M.is_in_time(outcome, state.pool.failover) do
        if outcome.is_stale and not attempt.is_repeat then
            attempt.is_repeat = true
        elseif refuses_usage(state, attempt, outcome) then
            is_refused, attempt.is_as_sent = true, true
        else
            break
        end
        attempt.started_at = ngx_now()
        outcome = ask(state, attempt, plan)
    end
    -- What a backend refuses in the client's own bytes, too, was not about the usage.
    if is_refused and attempt.is_as_sent and is_success(outcome) then
        usage_refusals.note(attempt, state.request)
    end
    note_served(state, attempt, outcome)
    outcomes.settle(state.pool, attempt, outcome)
    return outcome
end

return _M
