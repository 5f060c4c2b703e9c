--- What the outcome of an attempt says: about the pair of backend and deployment, and about the backend as a whole.
--
-- Both may have been on trial, so each outcome settles both. The verbs are those of `availability`.
local core = require("apisix.core")
local throttle_hints = require("apisix.plugins.azure-openai.outcome.throttle_hints")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local shared_cooldowns = require("apisix.plugins.azure-openai.routing.shared_cooldowns")

local has_prefix = core.string.has_prefix

local EVERY = availability.EVERY

-- Failures before the backend was asked anything; the others concern one deployment.
local UNREACHED = { connect = true, dns = true, tls = true, identity = true }

local _M = {}

local function throttled(pool, backend, deployment, headers, body)
    local seconds = throttle_hints.cooldown_seconds(headers, body, pool.failover)
    shared_cooldowns.start(backend, deployment, seconds)
end

local function refused(pool, backend, deployment, outcome)
    if availability.refused(backend, deployment, pool.failover) then
        core.log.error(
            "azure-openai: backend '",
            backend.name,
            "' refuses the gateway's credential (HTTP ",
            outcome.status,
            deployment == EVERY and ")" or " for " .. deployment .. ")",
            ": correct ",
            backend.credential_variable,
            " or the identity's role assignment"
        )
    end
end

local function failed(pool, backend, deployment, outcome)
    local seconds = availability.failed(backend, deployment, pool.failover)
    if seconds then
        core.log.warn(
            "azure-openai: backend '",
            backend.name,
            "' rests for ",
            seconds,
            " s: ",
            outcome.status or outcome.reason,
            " ",
            outcome.err or ""
        )
    end
end

-- What each reason says of the pair. In all these cases the backend answered.
local of_pair = {}

-- The role lacks a right, or the deployment is gated: other deployments may work with the same credential.
of_pair.forbidden = refused

function of_pair.throttled(pool, backend, deployment, outcome)
    availability.succeeded(backend, deployment)
    throttled(pool, backend, deployment, outcome.headers, outcome.body)
end

function of_pair.not_deployed(_, backend, deployment)
    availability.succeeded(backend, deployment)
    -- A request can name its deployment where the gateway does not see it. That says nothing of others of its kind.
    if not has_prefix(deployment, "/") then
        availability.missing(backend, deployment)
    end
end

function of_pair.not_found(_, backend, deployment)
    availability.succeeded(backend, deployment)
end

local function settle_answer(pool, backend, deployment, answer)
    if answer.event_stream or answer.connection then
        availability.began(backend, deployment)
    else
        availability.succeeded(backend, deployment)
    end
    local share = throttle_hints.remaining_share(answer.headers)
    if share then
        availability.note_remaining(backend, deployment, share)
    end
    if throttle_hints.is_exhausted(answer.headers) then
        -- The body is the client's answer and says nothing about quotas.
        throttled(pool, backend, deployment, answer.headers, nil)
    end
end

local function settle_unreached(pool, backend, outcome)
    if outcome.reason == "identity" then
        core.log.error(
            "azure-openai: no managed-identity token for backend '",
            backend.name,
            "': ",
            outcome.err
        )
    end
    failed(pool, backend, EVERY, outcome)
end

--- The outcome of an attempt will never be known: its trials are free again.
-- @param attempt Attempt
function _M.abandoned(attempt)
    availability.abandoned(attempt.backend, attempt.deployment)
    availability.abandoned(attempt.backend, EVERY)
end

--- Tells `availability` what an attempt came to.
-- @param pool table
-- @param attempt Attempt
-- @param outcome Outcome; its reason is one of "throttled", "credential", "forbidden", "not_deployed", "not_found",
--   "server_error" (outcome/verdict.lua), "no_socket", "connect", "dns", "tls", "timeout", "reset" and "identity"
--   (attempt room)
function _M.settle(pool, attempt, outcome)
    local backend, deployment, reason = attempt.backend, attempt.deployment, outcome.reason
    if reason == "no_socket" then
        -- The backend was not asked, and another one would not have been either.
        return attempt.is_trial and _M.abandoned(attempt)
    end
    if reason == "credential" or UNREACHED[reason] then
        -- The outcome says nothing about the deployment.
        availability.abandoned(backend, deployment)
    end
    if reason == "credential" then
        return refused(pool, backend, EVERY, outcome)
    end
    if UNREACHED[reason] then
        return settle_unreached(pool, backend, outcome)
    end

    availability.succeeded(backend, EVERY)
    if not reason then
        return settle_answer(pool, backend, deployment, outcome.answer)
    end
    return (of_pair[reason] or failed)(pool, backend, deployment, outcome)
end

--- An answer in parts came to its end.
-- @param answer Answer
function _M.succeeded(answer)
    availability.succeeded(answer.backend, answer.deployment)
end

--- An answer in parts reported a failure of the backend, too late for another attempt.
-- @param answer Answer
-- @param outcome Outcome that the backend should have given; its reason is "throttled" or "server_error"
function _M.failed_late(pool, answer, outcome)
    return (of_pair[outcome.reason] or failed)(pool, answer.backend, answer.deployment, outcome)
end

--- An answer in parts broke off.
-- @param answer Answer
-- @param err string
function _M.failed(pool, answer, err)
    failed(pool, answer.backend, answer.deployment, { reason = "interrupted", err = err })
end

return _M
