--- Decides what the failures of an exchange say of backends, once all its attempts are known (F8).
--
-- One request can make any backend fail. So a failure counts against a backend only when something speaks against the
-- backend and not against the request: another backend has served the request, another client meets the same, or nobody
-- has been served there for a while. Faults that no request can cause (a refused connection) are settled by `outcomes`.
local core = require("apisix.core")
local surfaces = require("apisix.plugins.azure-openai.base.surfaces")
local throttle_hints = require("apisix.plugins.azure-openai.outcome.throttle_hints")
local verdict = require("apisix.plugins.azure-openai.outcome.verdict")
local body_module = require("apisix.plugins.azure-openai.request.body")
local operations = require("apisix.plugins.azure-openai.request.operations")
local breakers = require("apisix.plugins.azure-openai.routing.breakers")
local cooldowns = require("apisix.plugins.azure-openai.routing.cooldowns")
local pair_memory = require("apisix.plugins.azure-openai.routing.pair_memory")
local sightings = require("apisix.plugins.azure-openai.routing.sightings")

local ngx = ngx
local ipairs = ipairs
local has_prefix = core.string.has_prefix
local ngx_crc32 = ngx.crc32_long

local EVERY = pair_memory.EVERY

-- Of a longer body, its length, its beginning and its end stand for the whole. Two long requests that differ only in
-- between count as one, which is to the advantage of the backend.
local DIGEST_BYTES = 65536

-- Failures that a request can cause. Each backend that was reached has one of these, or an answer.
local BY_REQUEST = {
    server_error = true,
    timeout = true,
    reset = true,
    redirect = true,
    credential = true,
    forbidden = true,
}
local REFUSALS = { credential = true, forbidden = true }
-- Backends that have not worked on the request, so nobody knows what it would do to them.
local UNHEARD = {
    throttled = true,
    not_deployed = true,
    not_found = true,
    no_socket = true,
    connect = true,
    dns = true,
    tls = true,
    identity = true,
}

local _M = {}

local function digest_of(request)
    local body = request.body
    local text = ""
    if body and body.size <= DIGEST_BYTES then
        text = body_module.slice(body, 0, body.size)
    elseif body then
        local half = DIGEST_BYTES / 2
        text = body_module.slice(body, 0, half) .. body_module.slice(body, body.size - half, half)
    end
    return ngx_crc32(
        request.method .. " " .. request.target .. "\n" .. (body and body.size or "") .. "\n" .. text
    )
end

local function signature_of(failure)
    return (failure.status or failure.reason) .. "|" .. verdict.error_code(failure.body)
end

-- Whether all backends that were heard say the same; also when only one was.
local function is_shared(failures)
    local signature
    for _, failure in ipairs(failures) do
        if not UNHEARD[failure.reason] then
            local own = signature_of(failure)
            if signature and signature ~= own then
                return false
            end
            signature = own
        end
    end
    return true
end

local function scope_of(attempt)
    return pair_memory.scope(attempt.deployment, attempt.operation)
end

local function client_of(state)
    return state.client and state.client.name or ""
end

-- Whether a failure counts against a scope of a backend.
local function counts(state, failure, scope, shared)
    local backend, client = failure.attempt.backend, client_of(state)
    if failure.attempt.is_override then
        -- Its breaker is open already; this must not lengthen the back-off.
        return false
    end
    local is_met = sightings.is_met_by_others(client, backend, scope, signature_of(failure))
    if shared and not is_met and sightings.has_served(backend, scope) then
        return false
    end
    local digest = digest_of(state.request)
    if sightings.has_counted(client, backend, digest) then
        return false
    end
    sightings.count(client, backend, digest)
    return true
end

local function log_refusal(backend, failure)
    core.log.error(
        "azure-openai: backend '",
        backend.name,
        "' refuses the gateway's credential (HTTP ",
        failure.status,
        "): correct ",
        backend.credential_variable,
        " or the identity's role assignment"
    )
end

local function log_rest(backend, failure, seconds)
    core.log.warn(
        "azure-openai: backend '",
        backend.name,
        "' rests for ",
        seconds,
        " s: ",
        failure.status or failure.reason,
        " ",
        failure.err or ""
    )
end

--- The attempt failed in a way that no request can cause, or that counts all the same.
-- @param deployment string|table the pair's, or EVERY
-- @param failure Outcome
function _M.blame(pool, backend, deployment, failure)
    local wanted = failure.status == 503 and throttle_hints.rest_seconds(failure.headers, pool.failover)
    local seconds = wanted and breakers.rest(backend, deployment, wanted)
        or breakers.failed(backend, deployment, pool.failover)
    if seconds then
        log_rest(backend, failure, seconds)
    end
end

-- Whether a 401 is about the credential. Other operations may need rights that a good credential need not have. Other
-- surfaces get tokens of their own.
local function is_of_credential(state, failure)
    local backend = failure.attempt.backend
    local last = sightings.last_operation(backend)
    return (backend.auth == "key" or state.request.surface == surfaces.OPENAI)
        and operations.is_of_every_credential(state.request)
        and (last == nil or last == failure.attempt.operation)
end

-- The credential is refused, or a right is missing for this operation on this deployment.
local function judge_refusal(state, failure, shared)
    local backend, failover = failure.attempt.backend, state.pool.failover
    if failure.reason == "credential" then
        if is_of_credential(state, failure) then
            if not failure.attempt.is_override and breakers.open(backend, EVERY, failover) then
                log_refusal(backend, failure)
            end
            return
        end
        -- With another operation the credential works: this is about the request.
        failure.reason = "forbidden"
        if operations.is_of_every_credential(state.request) then
            failure.err = "(if all operations get it, correct " .. backend.credential_variable .. ")"
        end
    end
    local scope = scope_of(failure.attempt)
    if counts(state, failure, scope, shared) then
        local seconds = breakers.open(backend, scope, failover)
        if seconds then
            log_rest(backend, failure, seconds)
        end
    end
end

local function judge_failure(state, failure, shared)
    local attempt = failure.attempt
    if counts(state, failure, attempt.deployment, shared) then
        _M.blame(state.pool, attempt.backend, attempt.deployment, failure)
    end
end

-- Under which name a deployment is missing: one of another kind of model, and one on another surface, is so for its own
-- operations only.
local function missing_scope(attempt)
    local is_of_all = attempt.operation == "chat/completions"
    return is_of_all and attempt.deployment or scope_of(attempt)
end

-- Whether the deployment has been served a moment ago. A request can also name another one than the gateway sees.
local function is_there(failure)
    return sightings.has_served(failure.attempt.backend, scope_of(failure.attempt))
end

-- A deployment is missing, unless it is there or the request asks all backends for something that is not.
local function judge_missing(failures, is_served)
    local missing, is_any_there = {}, false
    for _, failure in ipairs(failures) do
        -- Without a deployment's name the request names one where the gateway does not see it.
        local is_named = not has_prefix(failure.attempt.deployment, "/")
        if failure.reason == "not_deployed" and is_named and not failure.is_judged then
            failure.is_judged = true
            local found = is_there(failure)
            missing[#missing + 1] = not found and failure.attempt or nil
            is_any_there = is_any_there or found
        end
    end
    if not is_served and is_any_there then
        return
    end
    for _, attempt in ipairs(missing) do
        cooldowns.missing(attempt.backend, missing_scope(attempt))
    end
end

--- Draws the conclusions from the attempts of an exchange that is over. A second call changes nothing.
-- @param state RequestState with `failures`; the reason of a 401 that is about the request becomes "forbidden"
-- @param is_served boolean whether another backend has served the request; one that answers 400 has not
function _M.judge(state, is_served)
    local failures = state.failures
    local shared = not is_served and is_shared(failures)
    for _, failure in ipairs(failures) do
        if BY_REQUEST[failure.reason] and not failure.is_judged then
            failure.is_judged = true
            local judge = REFUSALS[failure.reason] and judge_refusal or judge_failure
            judge(state, failure, shared)
        end
    end
    judge_missing(failures, is_served)
end

--- Judges a failure that came too late for another attempt.
-- @param answer Answer
-- @param failure Outcome that stands for it
function _M.judge_late(answer, failure)
    failure.attempt = { backend = answer.backend, deployment = answer.deployment }
    local state = answer.exchange
    judge_failure(state, failure, true)
end

return _M
