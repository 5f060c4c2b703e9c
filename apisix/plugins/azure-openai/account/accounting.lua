--- Settles a finished request: tokens, their price, limits and metrics.
local background = require("apisix.plugins.azure-openai.account.background")
local budgets = require("apisix.plugins.azure-openai.account.budgets")
local limits = require("apisix.plugins.azure-openai.account.limits")
local metrics = require("apisix.plugins.azure-openai.account.metrics")
local prices = require("apisix.plugins.azure-openai.account.prices")
local units = require("apisix.plugins.azure-openai.account.units")
local usage_module = require("apisix.plugins.azure-openai.account.usage")
local usage_reports = require("apisix.plugins.azure-openai.account.usage_reports")
local outcomes = require("apisix.plugins.azure-openai.outcome.outcomes")
local collections = require("apisix.plugins.azure-openai.request.collections")
local operations = require("apisix.plugins.azure-openai.request.operations")
local size = require("apisix.plugins.azure-openai.request.size")
local regions = require("apisix.plugins.azure-openai.routing.regions")

local ngx = ngx
local setmetatable = setmetatable
local math_floor = math.floor
local math_max = math.max

local _M = {}

-- The deployment that answered, as clients call it. A request for a response that is made in the background names none.
local function deployment_of(state)
    local deployment, source = state.served_deployment or state.request.deployment, state.usage_source
    if deployment == "" and source and source.id then
        return usage_reports.deployment(source.id) or ""
    end
    return deployment
end

local function cost_of(state)
    local backend = state.winner or state.left
    if not state.usage or not backend then
        return nil
    end
    return prices.cost(state.pool.pricing, backend, state.model, deployment_of(state), state.usage)
end

-- Charges the client's limits with what they have not been charged with yet.
local function charge(state)
    local charged = state.charged or { tokens = 0, cost_usd = 0 }
    local tokens, cost_usd = state.usage.total, math_max(state.cost_usd or 0, charged.cost_usd)
    limits.charge(state, tokens - charged.tokens, cost_usd - charged.cost_usd)
    state.charged = { tokens = tokens, cost_usd = cost_usd }
end

-- What watches the messages of a realtime session. Its limits are charged at once, since it can last for an hour.
local function session_listener(state)
    return {
        wanted_bytes = usage_module.wanted_of_session_event,
        message = function(text)
            local usage, model, is_output, is_done = usage_module.of_session_event(text)
            state.model = model or state.model
            if is_output then
                state.sent_events = (state.sent_events or 0) + 1
            elseif usage then
                state.sent_events = not is_done and state.sent_events or nil
                state.usage = usage_module.sum(state.usage, usage)
                state.cost_usd = cost_of(state)
                charge(state)
            end
        end,
    }
end

-- What watches the body of an answer on its way to the client.
local Meter = {}
Meter.__index = Meter

--- A piece of a document that is not read whole; nil at its end.
function Meter:document(piece)
    local state = self.state
    self.ends = self.ends or usage_module.document_ends()
    if piece then
        -- Should it be cut, or report nothing, its usage is estimated.
        state.sent_events = 0
        self.ends:add(piece)
        return
    end
    state.usage, state.model, state.usage_source = usage_module.of_ends(self.ends:take())
end

--- A body that was read whole.
function Meter:body(text)
    local state = self.state
    state.usage, state.model, state.usage_source = usage_module.of_body(text)
end

--- A block of whole events. Returns the block that the client may see.
function Meter:events(block)
    local state = self.state
    if state.request.operation == "messages" then
        state.written_tokens = (state.written_tokens or 0) + usage_module.tokens_of_deltas(block)
    end
    state.model = state.model or usage_module.model_of_events(block)
    self.told = self.told or {}
    local shown, usage, source = usage_module.of_block(block, state.request.hides_usage, self.told)
    if usage then
        state.usage, state.usage_source = usage, source
    end
    return shown
end

-- Watches nothing: the answer says nothing about tokens.
local IDLE = {
    body = function() end,
    document = function() end,
    events = function(_, block)
        return block
    end,
}

--- Counts what could not be counted any more after the request.
-- @param state RequestState gets usage, usage_source and model
function _M.prepare(state)
    background.read_before_deletion(state)
end

--- Makes what watches the body of an answer on its way to the client.
-- @param state RequestState gets usage, usage_source and model
-- @return table with the methods above, and `session`, the listener to the messages of a tunnel
function _M.meter(state)
    local request = state.request
    if not operations.is_inference(request) and not operations.is_reading(request) then
        return IDLE
    end
    return setmetatable({ state = state, session = request.is_upgrade and session_listener(state) }, Meter)
end

-- A stored response reports its usage each time it is read, but the tokens were used once. Only a response that was
-- made in the background had none to report when it was made.
local function drop_repeated_usage(state)
    local usage, source = state.usage, state.usage_source
    local is_empty = not usage or (usage.total == 0 and not units.is_of_video(usage))
    if is_empty or not collections.is_stored(state.request.operation) then
        return
    end
    if budgets.are_in_usd(state.client) and not cost_of(state) then
        -- Another replica follows the response. It knows the deployment, and with that the price.
        state.usage = nil
        return
    end
    local was_counted = source.is_background == false and not operations.is_inference(state.request)
    if was_counted or (source.id and not usage_reports.is_first_report(source.id)) then
        state.usage = nil
    end
end

--- Hands the usage to APISIX's own AI metrics and loggers. Before the log phase, since theirs may run first.
-- @param ctx table request context
-- @param state RequestState
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

-- The client left during this attempt, so `exchange` could not note it. The backend may have read the prompt by then.
local function note_left_attempt(state)
    local attempt = state.attempt
    if not attempt then
        return
    end
    state.sent_events = state.sent_events or 0
    state.attempt, state.left = nil, attempt.backend
    outcomes.left(attempt)
    outcomes.conclude(state)
    state.trail[#state.trail + 1] = {
        backend = attempt.backend.name,
        server = attempt.backend,
        target = attempt.target,
        region = regions.of(attempt.backend),
        status = state.error or "interrupted",
        started_at = attempt.started_at,
        seconds = ngx.now() - attempt.started_at,
    }
end

-- Only requests that make a model work use tokens; reading a stored answer does not. In a session the last response may
-- be the one that has not reported.
local function is_to_be_estimated(state)
    local has_reported = state.usage and not state.request.is_upgrade
    return not has_reported
        and state.sent_events
        and operations.is_inference(state.request)
        and not state.is_followed
end

-- Estimates what the answer has not told.
local function estimate(state, is_left_behind)
    if state.usage and state.usage.is_begun then
        state.usage = usage_module.complete(state.usage, state.sent_events or 0, state.written_tokens or 0)
    end
    if is_to_be_estimated(state) then
        local estimated = usage_module.estimate(size.prompt(state.request), state.sent_events)
        local by_units = state.left and units.of_request(state.request)
        estimated = by_units and usage_module.sum(estimated, by_units) or estimated
        state.usage, state.sent_events = usage_module.sum(state.usage, estimated), nil
        if state.answered_id and not is_left_behind then
            usage_reports.note_report(state.answered_id)
        end
    end
end

--- Completes what is known of a request that is over. A second call changes nothing.
-- @param state RequestState
function _M.settle(state)
    note_left_attempt(state)
    local is_left_behind = background.is_left_behind(state)
    if is_left_behind and not state.is_followed then
        state.is_followed = background.follow(state)
        -- Should too many be followed already, the prompt is estimated, and a read of the client counts as well.
        state.sent_events = state.sent_events or 0
    end
    estimate(state, is_left_behind)
    if not state.usage and state.winner and ngx.status < 300 and operations.is_inference(state.request) then
        state.usage = units.of_request(state.request)
    end
    state.cost_usd = cost_of(state)
end

--- Charges and counts a request, in the log phase.
-- @param state RequestState
function _M.finish(state)
    _M.settle(state)
    if state.usage then
        charge(state)
    end
    metrics.count(state, ngx.status)
end

return _M
