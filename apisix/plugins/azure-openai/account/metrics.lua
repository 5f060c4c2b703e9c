--- The gateway's own Prometheus metrics, in the registry that APISIX exports. `labels` bounds their label sets.
local exporter = require("apisix.plugins.prometheus.exporter")

local labels = require("apisix.plugins.azure-openai.account.labels")
local operations = require("apisix.plugins.azure-openai.request.operations")
local availability = require("apisix.plugins.azure-openai.routing.availability")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local regions = require("apisix.plugins.azure-openai.routing.regions")

local ipairs = ipairs
local ngx_now = ngx.now

local SECONDS_TO_FIRST_TOKEN = { 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120 }
-- The fields of a usage that are exported.
local TOKEN_KINDS = {
    "prompt",
    "completion",
    "cached",
    "reasoning",
    "audio_prompt",
    "audio_completion",
    "audio_cached",
}
-- Stands for all deployments of a backend.
local EVERY = "*"
-- What backends may say of a request that no backend can serve: that is about the request.
local OF_REQUEST = { not_deployed = true, forbidden = true }
local INTERRUPTIONS = { stream_interrupted = true, answer_interrupted = true, tunnel_broken = true }

local _M = {}

local metrics

local function register()
    local registry = exporter.get_prometheus()
    if not registry then
        return nil
    end
    return {
        requests = registry:counter(
            "azure_openai_requests_total",
            "Requests by the backend that answered and how they ended",
            { "backend", "region", "deployment", "outcome" }
        ),
        failovers = registry:counter(
            "azure_openai_failovers_total",
            "Attempts that failed for want of capacity or health, by backend and reason",
            { "backend", "region", "deployment", "reason" }
        ),
        exhausted = registry:counter(
            "azure_openai_exhausted_total",
            "Requests that no backend could serve for want of capacity or health, by the status that the client got",
            { "deployment", "status" }
        ),
        unavailable_until = registry:gauge(
            "azure_openai_unavailable_until_seconds",
            "Unix time until which a backend's deployment rests (* for all of them)",
            { "backend", "deployment", "reason" }
        ),
        first_token = registry:histogram(
            "azure_openai_time_to_first_token_seconds",
            "Seconds from the request to the first byte of its answer",
            { "backend", "region", "deployment" },
            SECONDS_TO_FIRST_TOKEN
        ),
        tokens = registry:counter(
            "azure_openai_tokens_total",
            "Tokens used",
            { "client", "backend", "model", "kind", "estimated" }
        ),
        cost = registry:counter(
            "azure_openai_cost_usd_total",
            "Estimated cost in USD",
            { "client", "backend", "model" }
        ),
    }
end

-- The prometheus plugin may load after this module, or never.
local function registered()
    metrics = metrics or register()
    return metrics
end

--- How a request ended, in one word.
-- @param state table the request's state
-- @param status number what the client got
-- @return string
local function outcome(state, status)
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
_M.outcome = outcome

--- Notes that a backend's deployment rests.
-- @param backend table
-- @param deployment string|nil as the backend calls it; nil for all of them
-- @param reason string "throttled", "open" or "missing"
-- @param seconds number
function _M.unavailable(backend, deployment, reason, seconds)
    local registry = registered()
    if registry then
        local label = deployment and labels.deployments:of(deployment) or EVERY
        registry.unavailable_until:set(ngx_now() + seconds, { backend.name, label, reason })
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
        export_rests(state.pool, request)
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

local function count_failures(registry, state, deployment)
    for _, attempt in ipairs(state.trail) do
        if is_lack(state, attempt.reason) then
            registry.failovers:inc(1, { attempt.backend, attempt.region or "", deployment, attempt.reason })
        end
    end
end

local function count_tokens(registry, state)
    local usage, client = state.usage, state.client and state.client.name or ""
    local model = state.model and labels.models:of(state.model)
        or labels.deployments:of(state.request.deployment)
    local estimated = usage.estimated and "true" or "false"
    for _, kind in ipairs(TOKEN_KINDS) do
        if (usage[kind] or 0) > 0 then
            registry.tokens:inc(usage[kind], { client, state.winner.name, model, kind, estimated })
        end
    end
    if state.cost_usd and state.cost_usd > 0 then
        registry.cost:inc(state.cost_usd, { client, state.winner.name, model })
    end
end

--- Counts a finished request, from the log phase.
-- @param state table the request's state
-- @param status number what the client got
function _M.count(state, status)
    local registry = registered()
    local request = state.request
    if not registry or not request then
        return
    end

    local winner = state.winner
    _M.learn_names(state, status)
    local deployment = labels.deployments:of(request.deployment)
    count_failures(registry, state, deployment)
    if not winner then
        if state.is_exhausted then
            registry.exhausted:inc(1, { deployment, status })
        end
        registry.requests:inc(1, { "", "", deployment, outcome(state, status) })
        return
    end

    local region = regions.of(winner) or ""
    registry.requests:inc(1, { winner.name, region, deployment, outcome(state, status) })
    if state.first_output_at then
        registry.first_token:observe(
            state.first_output_at - state.started_at,
            { winner.name, region, deployment }
        )
    end
    if state.usage then
        count_tokens(registry, state)
    end
end

--- Counts tokens and cost of a response that was made in the background, after its request has been counted.
-- @param account table { usage, cost_usd, client, winner, model, request = { deployment } }, as in a RequestState
function _M.count_later_usage(account)
    local registry = registered()
    if registry then
        if account.model then
            labels.models:learn(account.model)
        end
        count_tokens(registry, account)
    end
end

return _M
