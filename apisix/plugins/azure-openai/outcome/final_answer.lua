--- Composes the client's answer when no backend could serve: why, and when to try again.
local core = require("apisix.core")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local balancer = require("apisix.plugins.azure-openai.routing.balancer")
local errors = require("apisix.plugins.azure-openai.base.errors")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local verdict = require("apisix.plugins.azure-openai.outcome.verdict")

local ipairs = ipairs
local math_ceil = math.ceil
local math_min = math.min
local math_huge = math.huge
local math_max = math.max
local table_concat = table.concat

local LONGEST_RETRY_AFTER_SECONDS = errors.LONGEST_RETRY_AFTER_SECONDS

-- Timers are not exact. Without this margin the candidate would still rest.
local WAKE_UP_SECONDS = 0.005

-- Connections end all the time.
local NO_SOCKET_SECONDS = 1

-- An answer is for reading.
local MOST_SETTINGS = 5

-- How useful each failure is to the client. A backend's own words are more useful than ours. A refusal of the gateway's
-- credential is never passed on, since the client would think that its own key is bad. A refusal of the request itself
-- is the answer only when all candidates refuse it.
local USEFULNESS = {
    throttled = 7,
    server_error = 6,
    timeout = 5,
    reset = 4,
    redirect = 4,
    connect = 4,
    no_socket = 4,
    dns = 4,
    tls = 4,
    identity = 4,
    credential = 4,
    forbidden = 3,
    not_found = 2,
    not_deployed = 1,
}

-- Failures whose answer the client gets as it is.
local OWN_ANSWER = { server_error = true, not_found = true, not_deployed = true }
-- Failures that only say of a backend that it is the wrong one for this request.
local IS_NEGATIVE = { not_found = true, not_deployed = true, forbidden = true }

local _M = {}

local function own_answer(status, message, retry_after_seconds, code)
    local headers = {}
    if retry_after_seconds then
        local seconds = math_max(math_min(retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS), 0.001)
        headers["retry-after-ms"] = math_ceil(seconds * 1000)
        headers["retry-after"] = math_ceil(seconds)
    end
    return { status = status, headers = headers, problem = { message = message, code = code } }
end

local function earlier(seconds, other)
    return math_min(seconds or other, other)
end

-- The most tokens that a request to a pair may take, as far as the pair has refused a request and has said it.
local function most_tokens(backend, deployment, reason)
    local _, limit = availability.left(backend, deployment, "tokens")
    return reason == "throttled" and limit or math_huge
end

-- Why the candidates are unavailable, and in how many seconds the first may be back: `cooldown` for throttled ones,
-- `recovery` for open breakers too (nil when there are none). `resting` lists the names of all these. `is_served` tells
-- whether any candidate may have the deployment, and `fits` the most tokens that a request may take at any time.
-- @param found table|nil what is known already of other plans
-- @param tried table|nil what `balancer.next` has tried; then a breaker counts only when its backend was not asked
local function survey(pool, plan, found, tried)
    found = found or { resting = {}, fits = 0 }
    for backend, deployment in pool_module.candidates(pool, plan) do
        local reason, seconds = availability.state(backend, deployment, plan.operation, plan.size)
        found.is_served = found.is_served or reason ~= "missing"
        if reason == "throttled" then
            found.cooldown = earlier(found.cooldown, seconds)
        end
        if reason ~= "missing" then
            found.fits = math_max(found.fits, most_tokens(backend, deployment, reason))
        end
        local is_open = reason == "open" and not (tried and balancer.is_asked(tried, backend.name))
        if reason == "throttled" or is_open then
            found.recovery = earlier(found.recovery, seconds)
            found.resting[#found.resting + 1] = backend.name
            found.resting[backend.name] = seconds
        end
    end
    return found
end

local function survey_all(pool, plans)
    local found
    for _, plan in ipairs(plans) do
        found = survey(pool, plan, found)
    end
    return found
end

-- The seconds until the first candidate recovers that was not asked; nil when there is none.
local function recovery_of_others(found, failures)
    local seconds, asked = nil, {}
    for _, failure in ipairs(failures) do
        asked[failure.attempt.backend.name] = true
    end
    for _, name in ipairs(found.resting) do
        if not asked[name] then
            seconds = earlier(seconds, found.resting[name])
        end
    end
    return seconds
end

-- What a failure is to the client. One that has no reason in the request has the words of one that has.
local function kind_of(failure)
    return failure.is_unfounded and "not_found" or failure.reason
end

local function most_useful(failures)
    local best
    for _, failure in ipairs(failures) do
        if not best or (USEFULNESS[kind_of(failure)] or 0) > (USEFULNESS[kind_of(best)] or 0) then
            best = failure
        end
    end
    return best
end

local function throttled_answer(seconds)
    local shown = math_max(math_ceil(math_min(seconds, LONGEST_RETRY_AFTER_SECONDS)), 1)
    return own_answer(
        429,
        "The deployment is throttled on the gateway's backends. Please retry after " .. shown .. " seconds.",
        seconds
    )
end

-- No waiting helps, so that SDKs shall not try again.
local function too_large_answer(size, limit)
    local message = "The request may take about %.0f tokens (its prompt and the most tokens that it allows for the "
        .. "answer), and the deployment has %.0f a minute at most. Shorten the prompt, or set a lower maximum."
    local answer = own_answer(429, message:format(size, limit))
    answer.headers["x-should-retry"] = "false"
    return answer
end

local function unavailable_answer(message, recovery_seconds)
    return own_answer(503, message, recovery_seconds)
end

-- Why nothing could be asked, for those who run the gateway: also which of their settings no backend accepts.
local function unreached_message(failures)
    local settings, are_all_refused = {}, true
    for _, failure in ipairs(failures) do
        local setting = failure.reason == "credential" and failure.attempt.backend.credential_variable
        are_all_refused = are_all_refused and setting
        if setting and not settings[setting] then
            settings[#settings + 1] = setting
            settings[setting] = true
        end
    end
    if #settings == 0 then
        return "No backend could be reached."
    end
    local what = are_all_refused and "No backend accepts the gateway's own credential."
        or "No backend could be reached that accepts the gateway's own credential."
    local named = table_concat(settings, ", ", 1, math_min(#settings, MOST_SETTINGS))
    return what
        .. " Look at the gateway's settings: "
        .. named
        .. (settings[MOST_SETTINGS + 1] and ", …" or "")
        .. "."
end

-- A backend's own answer. An empty one gets a body that says so.
local function backend_answer(request, outcome)
    local status, headers = outcome.status, outcome.headers
    if outcome.body == "" and request.method ~= "HEAD" then
        local message = "The backend answered " .. status .. " and nothing else."
        return { status = status, headers = headers, problem = { message = message } }
    end
    return { status = status, headers = headers, body = outcome.body }
end

-- All candidates refuse the request for itself. With a 401 the client would suspect its own key.
local function refused_answer(outcome)
    local code = verdict.error_code(outcome.body)
    local message = verdict.error_message(outcome.body) or "The backends refuse this request."
    return own_answer(403, message, nil, code ~= "" and code ~= "401" and code or nil)
end

local function missing_answer(deployment)
    return own_answer(
        404,
        "No backend of this gateway serves the deployment '" .. deployment .. "'.",
        nil,
        errors.DEPLOYMENT_NOT_FOUND
    )
end

--- How long the request may be held because a candidate recovers soon.
-- @param plan table from `ownership.plan`
-- @param tried table what `balancer.next` has tried
-- @param seconds_left number how long it may be held at most
-- @return number|nil seconds; nil when waiting would not help in time
-- @return table|nil names of the backends that rest now
function _M.worthwhile_wait(pool, plan, tried, seconds_left)
    if seconds_left <= 0 then
        return nil
    end
    local found = survey(pool, plan, nil, tried)
    if found.recovery and found.recovery <= seconds_left and plan.size <= found.fits then
        return found.recovery + WAKE_UP_SECONDS, found.resting
    end
    return nil
end

--- The answer when a backend may have done what the request says, or may still do it. Another attempt, also one of the
--- client by itself, could do it twice.
-- @return Answer
function _M.outcome_unknown()
    local message = "The backend did not say whether it did what the request asks for. Look whether it has before "
        .. "you ask again."
    local answer = own_answer(502, message, nil, "outcome_unknown")
    answer.headers["x-should-retry"] = "false"
    return answer
end

--- The answer to a call with an ephemeral key whose backend is no longer configured.
-- @return Answer
function _M.maker_gone()
    return own_answer(401, "The backend that made this ephemeral key is no longer there. Ask for a new key.")
end

--- The answer after the last candidate.
-- @param request table from `reading.read`
-- @param plans Plan[] that of the request's deployment, and those of its fallbacks
-- @param failures Outcome[] of this request; empty when all candidates were skipped
-- @return Answer
function _M.compose(pool, request, plans, failures)
    local plan, found = plans[1], survey_all(pool, plans)
    if found.cooldown and plan.size > found.fits then
        return too_large_answer(plan.size, found.fits)
    end
    if found.cooldown then
        return throttled_answer(found.cooldown)
    end

    local best = most_useful(failures)
    if not best then
        if not found.is_served then
            return missing_answer(request.deployment)
        end
        -- When no candidate rests now, one has recovered since it was skipped.
        return unavailable_answer("No backend is available right now.", found.recovery or 0)
    end
    if best.reason == "throttled" then
        -- Its cool-down was so short that it is already over.
        return throttled_answer(0)
    end
    local recovery = IS_NEGATIVE[kind_of(best)] and recovery_of_others(found, failures)
    if recovery then
        -- The backends that were asked do not have it; a resting one may.
        return unavailable_answer("No backend that may hold this is available right now.", recovery)
    end
    if best.reason == "forbidden" then
        return refused_answer(best)
    end
    if OWN_ANSWER[best.reason] then
        return backend_answer(request, best)
    end
    if best.reason == "timeout" then
        return own_answer(504, "The backend did not answer in time.")
    end
    if best.reason == "no_socket" then
        return unavailable_answer("The gateway has no connection to spare right now.", NO_SOCKET_SECONDS)
    end
    core.log.notice("azure-openai: no backend could be used: ", best.reason, " ", best.err or "")
    return unavailable_answer(unreached_message(failures), found.recovery)
end

return _M
