--- What the outcome of an attempt says: about the pair of backend and deployment, and about the backend as a whole.
--
-- Both may have been on trial, so each outcome settles both. The verbs are those of `breakers` and `cooldowns`.
local core = require("apisix.core")
local evidence = require("apisix.plugins.azure-openai.outcome.evidence")
local quotas = require("apisix.plugins.azure-openai.outcome.quotas")
local size = require("apisix.plugins.azure-openai.request.size")
local breakers = require("apisix.plugins.azure-openai.routing.breakers")
local cooldowns = require("apisix.plugins.azure-openai.routing.cooldowns")
local pair_memory = require("apisix.plugins.azure-openai.routing.pair_memory")
local rests = require("apisix.plugins.azure-openai.routing.rests")
local sightings = require("apisix.plugins.azure-openai.routing.sightings")
local speeds = require("apisix.plugins.azure-openai.routing.speeds")

local ngx_now = ngx.now
local ipairs = ipairs
local math_ceil = math.ceil

local EVERY = pair_memory.EVERY

-- Failures before the backend was asked anything; the others concern one deployment.
local UNREACHED = { connect = true, dns = true, tls = true, identity = true }

local _M = {}

-- What each reason says of the pair at once. In all these cases the backend answered. What other reasons say depends on
-- the other attempts of the exchange: see `evidence`.
local of_pair = {}

function of_pair.throttled(pool, attempt, outcome)
    local backend, deployment = attempt.backend, attempt.deployment
    breakers.succeeded(backend, deployment)
    quotas.throttled(pool, backend, deployment, attempt.size, outcome)
end

-- Whether it is missing depends on the other attempts.
function of_pair.not_deployed(_, attempt)
    breakers.succeeded(attempt.backend, attempt.deployment)
end

-- Failures in a row count on: a backend that says so to everybody says so to requests that refer to something, too.
function of_pair.not_found(_, attempt)
    breakers.began(attempt.backend, attempt.deployment)
end

-- The pair and the credential have shown that they work.
local function note_success(attempt, answer)
    if answer.status >= 400 then
        return
    end
    local backend, deployment, operation = attempt.backend, attempt.deployment, attempt.operation
    local scope = pair_memory.scope(deployment, operation)
    sightings.credential_worked(backend, operation)
    sightings.served(backend, scope)
    -- What other requests name is not looked at by every backend.
    if attempt.is_inference and rests.may_rest(backend, deployment) then
        cooldowns.found(backend, deployment)
        cooldowns.found(backend, scope)
    end
    if answer.body then
        sightings.served(backend, deployment)
    end
end

local function settle_answer(pool, attempt, answer)
    local backend, deployment = attempt.backend, attempt.deployment
    if answer.event_stream or answer.connection then
        breakers.began(backend, deployment)
    else
        breakers.succeeded(backend, deployment)
    end
    if attempt.is_trial or attempt.is_override then
        breakers.succeeded(backend, pair_memory.scope(deployment, attempt.operation))
    end
    note_success(attempt, answer)
    quotas.note(pool, backend, deployment, answer.headers)
end

local function settle_unreached(pool, attempt, outcome)
    local backend = attempt.backend
    if outcome.reason == "connect" and outcome.err and outcome.err:find("timeout", 1, true) then
        breakers.note_slow_connect(backend)
    end
    if outcome.reason == "identity" then
        core.log.error(
            "azure-openai: no managed-identity token for backend '",
            backend.name,
            "': ",
            outcome.err
        )
    end
    if not attempt.is_override then
        evidence.blame(pool, backend, EVERY, outcome)
    end
end

-- The trials of an attempt that has told nothing of these scopes are free again.
local function release(attempt, ...)
    if attempt.is_trial then
        for _, scope in ipairs({ ... }) do
            breakers.abandoned(attempt.backend, scope)
        end
    end
end

-- A backend that did not accept a connection in time gets this part of it when it is tried again.
local PART_OF_CONNECT_TIMEOUT = 0.1

--- How long an attempt may take to connect. Requests that find a backend out need not wait long for it.
-- @param pool table
-- @param attempt Attempt
-- @return number|nil milliseconds; nil for the usual time
function _M.connect_timeout_ms(pool, attempt)
    local is_doubtful = attempt.is_trial or attempt.is_override
    if is_doubtful and breakers.is_slow_to_connect(attempt.backend) then
        return math_ceil(pool.failover.connect_timeout_ms * PART_OF_CONNECT_TIMEOUT)
    end
    return nil
end

--- The client has left during an attempt, so its outcome will never be known.
-- @param attempt Attempt
function _M.left(attempt)
    speeds.note_without_output(attempt, ngx_now() - attempt.started_at)
    if attempt.is_override then
        breakers.end_override(attempt.backend, attempt.deployment)
    end
    _M.abandoned(attempt)
end

--- The trials of an attempt that has told nothing are free again.
-- @param attempt Attempt
function _M.abandoned(attempt)
    release(attempt, attempt.deployment, EVERY, pair_memory.scope(attempt.deployment, attempt.operation))
end

--- Learns from an attempt what is certain whatever the other attempts of its exchange come to.
-- @param pool table
-- @param attempt Attempt
-- @param outcome Outcome; its reason is one of "throttled", "credential", "forbidden", "not_deployed", "not_found",
--   "server_error" (outcome/verdict.lua), "no_socket", "connect", "dns", "tls", "timeout", "reset" and "identity"
--   (attempt room)
function _M.settle(pool, attempt, outcome)
    local backend, deployment, reason = attempt.backend, attempt.deployment, outcome.reason
    outcome.attempt = attempt
    if reason then
        speeds.note_without_output(attempt, outcome.seconds)
    end
    if attempt.is_override then
        breakers.end_override(backend, deployment)
    end
    if reason == "no_socket" then
        -- The backend was not asked, and another one would not have been either.
        return _M.abandoned(attempt)
    end
    if UNREACHED[reason] then
        -- The outcome says nothing about the deployment.
        release(attempt, deployment, pair_memory.scope(deployment, attempt.operation))
        return settle_unreached(pool, attempt, outcome)
    end
    if reason == "credential" then
        return nil
    end

    breakers.succeeded(backend, EVERY)
    if attempt.is_trial and reason ~= "throttled" and outcome.status then
        cooldowns.ended(backend, deployment)
    end
    if not reason then
        return settle_answer(pool, attempt, outcome.answer)
    end
    if of_pair[reason] then
        release(attempt, pair_memory.scope(deployment, attempt.operation))
        return of_pair[reason](pool, attempt, outcome)
    end
    return nil
end

--- Learns the rest, once the exchange is over.
-- @param state RequestState
-- @param answer Answer|nil of a backend; nil when none answered the client
function _M.conclude(state, answer)
    evidence.judge(state, answer ~= nil and answer.status < 400)
    for _, failure in ipairs(state.failures) do
        -- Only now is it known whether a 401 was about the credential.
        failure.entry.reason = failure.reason
        _M.abandoned(failure.attempt)
    end
end

--- The first output of an answer is there.
-- @param state RequestState gets first_output_at
-- @param answer Answer
function _M.has_output(state, answer)
    state.first_output_at = ngx_now()
    local stream = answer.event_stream
    if answer.attempt and answer.status < 300 and not (stream and stream.failure) then
        speeds.note(answer.attempt, state.first_output_at - answer.attempt.started_at)
    end
end

--- An answer in parts came to its end.
-- @param answer Answer
function _M.succeeded(answer)
    breakers.succeeded(answer.backend, answer.deployment)
    sightings.served(answer.backend, answer.deployment)
end

--- An answer in parts reported a failure of the backend, too late for another attempt.
-- @param answer Answer
-- @param outcome Outcome that the backend should have given; its reason is "throttled" or "server_error"
function _M.failed_late(answer, outcome)
    if outcome.reason == "throttled" then
        local state = answer.exchange
        local tokens = size.total(state.request)
        return quotas.throttled(state.pool, answer.backend, answer.deployment, tokens, outcome)
    end
    return evidence.judge_late(answer, outcome)
end

--- An answer in parts broke off.
-- @param answer Answer
-- @param err string
function _M.failed(answer, err)
    evidence.judge_late(answer, { reason = "interrupted", err = err })
end

return _M
