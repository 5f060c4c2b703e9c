--- What the outcome of an attempt teaches: about the pair of backend and deployment, and about the backend as a whole.
--
-- Both may have been on trial, so each outcome settles both.
local core = require("apisix.core")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local shared_cooldowns = require("apisix.plugins.azure-openai.routing.shared_cooldowns")
local throttle = require("apisix.plugins.azure-openai.outcome.throttle_hints")

local has_prefix = core.string.has_prefix

local EVERY = availability.EVERY

-- Failures before the backend has been asked anything; the others concern one deployment.
local UNREACHED = { connect = true, dns = true, tls = true, identity = true }

local _M = {}

local function cool_down(pool, backend, deployment, outcome)
    local seconds = throttle.cooldown_seconds(outcome.headers, outcome.body, pool.failover)
    shared_cooldowns.start(backend, deployment, seconds)
end

local function open_for_credential(pool, backend, deployment, outcome)
    if availability.open(backend, deployment, pool.failover) then
        core.log.error(
            "azure-openai: backend '",
            backend.name,
            "' refuses the gateway's credential (HTTP ",
            outcome.status,
            deployment == EVERY and ")" or " for " .. deployment .. ")",
            ": correct ",
            backend.variable,
            " or the identity's role assignment"
        )
    end
end

local function count_failure(pool, backend, deployment, outcome)
    local opened = availability.failed(backend, deployment, pool.failover)
    if opened then
        core.log.warn(
            "azure-openai: backend '",
            backend.name,
            "' rests for ",
            opened,
            " s: ",
            outcome.status or outcome.reason,
            " ",
            outcome.err or ""
        )
    end
end

-- What each reason says of the pair; all of them mean that the backend can be reached.
local of_pair = {}

-- A role that lacks a right, or a gated deployment: others may work with the same credential.
of_pair.forbidden = open_for_credential

function of_pair.throttled(pool, backend, deployment, outcome)
    availability.answered(backend, deployment)
    cool_down(pool, backend, deployment, outcome)
end

function of_pair.not_deployed(_, backend, deployment)
    availability.answered(backend, deployment)
    -- A request can name its deployment where the gateway does not see it; that says nothing of others of its kind.
    if not has_prefix(deployment, "/") then
        availability.deployment_missing(backend, deployment)
    end
end

function of_pair.not_found(_, backend, deployment)
    availability.answered(backend, deployment)
end

local function learn_from_answer(pool, backend, deployment, outcome)
    if outcome.event_stream or outcome.connection then
        availability.began(backend, deployment)
    else
        availability.answered(backend, deployment)
    end
    local share = throttle.remaining_share(outcome.headers)
    if share then
        availability.note_remaining(backend, deployment, share)
    end
    if throttle.is_exhausted(outcome.headers) then
        -- The body is the client's answer and says nothing about quotas.
        cool_down(pool, backend, deployment, { headers = outcome.headers })
    end
end

--- Gives the trials of an attempt back when its outcome will never be known.
function _M.forget(backend, deployment)
    availability.release(backend, deployment)
    availability.release(backend, EVERY)
end

--- Tells that an answer which the client gets in parts has come to its end.
-- @param answer table from `exchange.run`
function _M.completed(answer)
    availability.answered(answer.backend, answer.deployment)
end

--- Tells that such an answer broke off.
-- @param err string
function _M.interrupted(pool, answer, err)
    count_failure(pool, answer.backend, answer.deployment, { reason = "interrupted", err = err })
end

--- Tells `availability` what an attempt showed.
-- @param pool table
-- @param backend table
-- @param deployment string the backend's name for it
-- @param outcome table with `reason` when the attempt failed, `status`, `headers`, `body`, `err`
function _M.learn(pool, backend, deployment, outcome)
    local reason = outcome.reason
    if reason == "credential" or UNREACHED[reason] then
        -- Nothing was learned about the deployment.
        availability.release(backend, deployment)
    end
    if reason == "credential" then
        return open_for_credential(pool, backend, EVERY, outcome)
    end
    if UNREACHED[reason] then
        if reason == "identity" then
            core.log.error(
                "azure-openai: no managed-identity token for backend '",
                backend.name,
                "': ",
                outcome.err
            )
        end
        return count_failure(pool, backend, EVERY, outcome)
    end

    availability.answered(backend, EVERY)
    if not reason then
        return learn_from_answer(pool, backend, deployment, outcome)
    end
    return (of_pair[reason] or count_failure)(pool, backend, deployment, outcome)
end

return _M
