--- Settles a finished request: tokens, their price, limits and metrics.
local limits = require("apisix.plugins.azure-openai.account.limits")
local metrics = require("apisix.plugins.azure-openai.account.metrics")
local ownership = require("apisix.plugins.azure-openai.routing.ownership")
local usage_module = require("apisix.plugins.azure-openai.account.usage")

local ngx = ngx
local math_floor = math.floor

local _M = {}

-- A stored answer reports its usage whenever it is read; it was used once.
local function drop_repeated_usage(state)
    local id = state.request.answered_id
    if state.usage and state.usage.total > 0 and id and not ownership.is_first_report(id) then
        state.usage = nil
    end
end

--- Hands the usage to APISIX's own AI metrics and loggers. Before the log phase, since theirs may run first.
-- @param ctx table
-- @param state table the request's state
function _M.publish(ctx, state)
    drop_repeated_usage(state)
    local usage = state.usage
    if usage then
        ctx.var.llm_prompt_tokens = usage.prompt
        ctx.var.llm_completion_tokens = usage.completion
        ctx.var.llm_total_tokens = usage.total
    end
    if state.first_output_at then
        ctx.var.llm_time_to_first_token = math_floor((state.first_output_at - state.started_at) * 1000)
    end
    ctx.var.apisix_upstream_response_time = math_floor((ngx.now() - state.started_at) * 1000)
end

-- The attempt from which the client went away.
local function note_left_attempt(state)
    local left = state.under_way
    if left then
        state.under_way = nil
        state.trail[#state.trail + 1] = {
            backend = left.backend.name,
            region = left.backend.region,
            status = state.error or "interrupted",
            started = left.started,
            seconds = ngx.now() - left.started,
        }
    end
end

-- Only what makes a model work uses tokens; reading a stored answer, streamed or not, does not.
local function is_to_be_estimated(state)
    return state.winner and not state.usage and state.sent_events and state.request.method == "POST"
end

--- Completes what is known of a request that is over. Settling twice is fine.
-- @param state table the request's state
function _M.settle(state)
    note_left_attempt(state)
    if is_to_be_estimated(state) then
        state.usage = usage_module.estimate(state.request.body, state.sent_events)
        if state.request.answered_id then
            ownership.note_report(state.request.answered_id)
        end
    end
    if state.usage then
        state.cost_usd = metrics.cost(state.pool.pricing, state.model, state.deployment, state.usage)
    end
end

--- Charges and counts a request, in the log phase.
-- @param state table the request's state
function _M.finish(state)
    _M.settle(state)
    if state.usage then
        limits.charge(state.buckets, state.usage.total)
    end
    metrics.count(state, ngx.status)
end

return _M
