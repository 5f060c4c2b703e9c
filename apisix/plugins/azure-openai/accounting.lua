--- Settles a finished request: tokens, their price, limits and metrics.
local limits = require("apisix.plugins.azure-openai.limits")
local metrics = require("apisix.plugins.azure-openai.metrics")
local usage_module = require("apisix.plugins.azure-openai.usage")

local ngx = ngx
local math_floor = math.floor

local _M = {}

--- Hands the usage to APISIX's own AI metrics and loggers. Before the log phase, since theirs may run first.
-- @param ctx table
-- @param state table the request's state
function _M.publish(ctx, state)
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

--- Completes what is known of a request that is over. Settling twice is fine.
-- @param state table the request's state
function _M.settle(state)
    note_left_attempt(state)
    if state.winner and not state.usage and state.sent_bytes then
        -- Streams that report no usage are charged by their size.
        local body = state.request.body
        state.usage = usage_module.estimate(body and body.size or 0, state.sent_bytes)
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
