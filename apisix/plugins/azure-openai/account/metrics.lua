--- Counts requests in the gateway's own metrics (`registry`).
local core = require("apisix.core")
local durations = require("apisix.plugins.azure-openai.account.durations")
local first_values = require("apisix.plugins.azure-openai.account.first_values")
local labels = require("apisix.plugins.azure-openai.account.labels")
local registry = require("apisix.plugins.azure-openai.account.registry")
local sums = require("apisix.plugins.azure-openai.account.sums")
local operations = require("apisix.plugins.azure-openai.request.operations")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")

local ipairs = ipairs
local ngx_now = ngx.now

local dict = ngx.shared["azure-openai-limits"]

-- What backends may say of a request that no backend can serve: that is about the request.
local OF_REQUEST = { not_deployed = true, forbidden = true }
-- Statuses of exhausted requests with a label of their own; a backend can invent any other.
local SHOWN_STATUSES =
    { [408] = true, [429] = true, [500] = true, [502] = true, [503] = true, [504] = true, [529] = true }
local OTHER_STATUS = "other"
local INTERRUPTIONS = { stream_interrupted = true, answer_interrupted = true, tunnel_broken = true }

local _M = {}

--- How a request ended, in one word.
-- @param state table the request's state
-- @param status number what the client got
-- @return string
function _M.outcome(state, status)
    if state.error == "client_gone" or status == 499 then
        return "client_gone"
    end
    if INTERRUPTIONS[state.error] then
        return "interrupted"
    end
    if state.error then
        return "refused"
    end
    if status == 429 then
        return "throttled"
    end
    if status >= 500 then
        return "server_error"
    end
    if status < 400 and state.failure then
        -- The backend reported it inside of its answer.
        return state.failure
    end
    return status >= 400 and "client_error" or "success"
end

--- Notes that a backend's deployment rests.
-- @param backend table
-- @param deployment string|nil as the backend calls it; nil for all of them
-- @param reason string "throttled", "open" or "missing"
-- @param seconds number
function _M.unavailable(backend, deployment, reason, seconds)
    local metrics = registry.metrics()
    if metrics then
        local label = deployment and labels.deployments:of(deployment) or labels.EVERY
        metrics.unavailable_until:set(ngx_now() + seconds, { backend.name, label, reason })
    end
end

-- Rests that began before the deployment's name was known were exported as those of "other".
local function export_rests(pool, request)
    for backend, deployment in pool_module.candidates(pool, request) do
        local reason, seconds = availability.state(backend, deployment)
        if reason and seconds > 0 then
            _M.unavailable(backend, deployment, reason, seconds)
        end
    end
end

--- Learns the names that a request's answer shows to be real.
-- @param state RequestState
-- @param status number what the client gets
function _M.learn_names(state, status)
    local request = state.request
    if not state.winner or status >= 300 or not operations.is_inference(request) then
        return
    end
    if labels.deployments:learn(request.deployment) then
        first_values.of_deployment(state.pool, request.deployment)
        export_rests(state.pool, request)
    end
    if state.served_deployment and labels.deployments:learn(state.served_deployment) then
        first_values.of_deployment(state.pool, state.served_deployment)
    end
    if state.model then
        labels.models:learn(state.model)
    end
end

-- Whether an attempt shows that a backend lacks capacity or health. A backend that does not hold a resource lacks
-- neither. What others refuse too, or do not have either, is the request's own fault.
local function is_lack(state, reason)
    if not reason or reason == "not_found" then
        return false
    end
    return state.winner ~= nil or state.is_exhausted or not OF_REQUEST[reason]
end

-- Whether all backends forbid what every credential may do. One that does not have the deployment says nothing of this.
local function is_forbidden_everywhere(state)
    if state.winner or not operations.is_of_every_credential(state.request) then
        return false
    end
    local is_refused = false
    for _, attempt in ipairs(state.trail) do
        if not OF_REQUEST[attempt.reason] then
            return false
        end
        is_refused = is_refused or attempt.reason == "forbidden"
    end
    return is_refused
end

-- The region is the configured one only: a label that changes would make new series.
local function region_of(state, name)
    return state.pool.by_name[name].region or ""
end

local function count_failures(metrics, state, deployment)
    for _, attempt in ipairs(state.trail) do
        local reason = attempt.reason
        if is_lack(state, reason) then
            local label = labels.of_failure(deployment, reason)
            metrics.failovers:inc(1, { attempt.backend, region_of(state, attempt.backend), label, reason })
        end
    end
end

local function client_name(state)
    return state.client and state.client.name or ""
end

local function say_once_that_unpriced(deployment, model)
    if dict:add("unpriced|" .. deployment .. "|" .. model, true) then
        core.log.warn(
            "azure-openai: model '",
            model,
            "' of deployment '",
            deployment,
            "' has no price, so its cost is unknown: add it to MODEL_PRICING"
        )
    end
end

-- Adds what a request used to a sum (account/sums.lua).
local function add_tokens(sum, usage, cost_usd)
    if cost_usd then
        sums.add(sum, "cost", cost_usd)
    else
        sums.add(sum, "unpriced", usage.total)
        say_once_that_unpriced(sum.deployment, sum.model)
    end
    for _, kind in ipairs(sums.TOKEN_KINDS) do
        local amount = usage[kind]
        if amount and amount > 0 then
            sums.add(sum, kind, amount)
        end
    end
end

-- The sum of tokens that belongs to a request or to a response that was made in the background.
local function tokens_of(account)
    local deployment = labels.deployments:of(account.served_deployment or account.request.deployment)
    return sums.of_tokens(
        client_name(account),
        (account.winner or account.left).name,
        deployment,
        account.model and labels.models:of(account.model) or deployment,
        account.usage.estimated and "true" or "false"
    )
end

local function count_exceptions(metrics, state, deployment, outcome, status)
    if outcome == "refused" then
        metrics.refusals:inc(1, { state.lane or "", state.error })
    end
    if state.is_exhausted then
        metrics.exhausted:inc(1, { deployment, SHOWN_STATUSES[status] and status or OTHER_STATUS })
    end
    if is_forbidden_everywhere(state) then
        metrics.forbidden:inc(1, { client_name(state) })
    end
    if state.waited_seconds then
        metrics.wait:observe(state.waited_seconds, { state.lane })
    end
end

-- How long answers took. A session lasts as long as its user speaks.
local function note_times(deployment, state, status)
    if not state.winner or state.request.is_upgrade then
        return
    end
    durations.note("duration", deployment, ngx_now() - state.started_at)
    if state.first_output_at and status < 400 and operations.is_inference(state.request) then
        durations.note("first_token", deployment, state.first_output_at - state.started_at)
    end
end

--- Counts a finished request, from the log phase.
-- @param state table the request's state
-- @param status number what the client got
function _M.count(state, status)
    local metrics = registry.metrics()
    if not metrics or not state.request then
        return
    end
    _M.learn_names(state, status)
    local winner, outcome = state.winner, _M.outcome(state, status)
    local deployment = labels.deployments:of(state.request.deployment)
    count_failures(metrics, state, deployment)
    count_exceptions(metrics, state, deployment, outcome, status)
    local sum = sums.of_requests(
        client_name(state),
        state.lane or "",
        winner and winner.name or "",
        winner and winner.region or "",
        deployment,
        outcome
    )
    sums.add(sum, "requests", 1)
    note_times(deployment, state, status)
    if (winner or state.left) and state.usage then
        add_tokens(tokens_of(state), state.usage, state.cost_usd)
    end
    sums.flush_at_the_end()
end

--- Counts tokens and cost of a response that was made in the background, after its request has been counted.
-- @param account table { usage, cost_usd, client, winner, model, request = { deployment } }, as in a RequestState
function _M.count_later_usage(account)
    if not registry.metrics() then
        return
    end
    if account.model then
        labels.models:learn(account.model)
    end
    add_tokens(tokens_of(account), account.usage, account.cost_usd)
    sums.flush_at_the_end()
end

return _M
