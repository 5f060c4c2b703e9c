--- Sends the traces of requests. Which are kept is decided at the end, when it is known what became of the request.
local metrics = require("apisix.plugins.azure-openai.account.metrics")
local otlp_queue = require("apisix.plugins.azure-openai.account.otlp_queue")
local spans = require("apisix.plugins.azure-openai.account.spans")
local trace_context = require("apisix.plugins.azure-openai.account.trace_context")
local fair_share = require("apisix.plugins.azure-openai.base.fair_share")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local string_buffer = require("string.buffer")

local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs

-- An answer that began well and ended badly. Application Insights judges a request by its status alone, so its span has
-- the status that says how it ended; 499 is nginx's own for a client that left.
local STATUS_OF_ENDINGS = { client_gone = 499, interrupted = 502, throttled = 429, server_error = 500 }

-- So many traces a second are kept for a reason, in each worker. Of any more only the usual share is kept, so that a
-- client that hammers at its limit does not cost more than what it asks for, nor hides what befalls others.
local MOST_NOTABLE_A_SECOND = 100

local _M = {}

local traces = otlp_queue.new("traces")
-- The spans of one trace. Nothing waits while they are written, so all requests share it.
local items = string_buffer.new()
local notable_second, notable = 0, nil

-- Takes a place for a trace that is kept for a reason, if there is one for its client.
local function takes_place(state)
    local second = ngx.time()
    if second ~= notable_second then
        notable_second, notable = second, fair_share.new(MOST_NOTABLE_A_SECOND)
    end
    local client = state and state.client and state.client.name or ""
    local has_room = notable:has_room(client)
    if has_room then
        notable:take(client)
    end
    return has_room
end

local function has_failover(trail)
    for _, attempt in ipairs(trail) do
        if attempt.reason then
            return true
        end
    end
    return false
end

-- Whether the beginning of the answer took long. A session may last for an hour.
local function is_slow(state, limit_ms)
    local began_at = state.first_output_at or ngx_now()
    return not state.request.is_upgrade and (began_at - state.started_at) * 1000 >= limit_ms
end

-- Errors, failovers, throttling, and requests that are slow to begin their answer. Strangers and paths that nobody
-- serves are none of these.
local function is_notable(state, outcome, telemetry)
    if not state or not state.request then
        return outcome == "server_error"
    end
    return outcome ~= "success" or has_failover(state.trail) or is_slow(state, telemetry.slow_first_token_ms)
end

-- How many requests the trace stands for; nil when it is not kept. The client alone knows that of its own traces.
local function weight_of(trace, state, outcome, telemetry)
    if is_notable(state, outcome, telemetry) and takes_place(state) then
        return 1
    end
    if not trace.is_sampled then
        return nil
    end
    return trace.parent_id and 1 or 1 / telemetry.sample_rate
end

local function ending(outcome, weight)
    local status = ngx.status
    local is_broken = status < 400 and STATUS_OF_ENDINGS[outcome] ~= nil or outcome == "client_gone"
    return {
        outcome = outcome,
        status = is_broken and STATUS_OF_ENDINGS[outcome] or status,
        is_broken = is_broken,
        weight = weight,
    }
end

--- Begins the trace of a request, when there is a collector.
-- @param ctx table request context; gets `azure_openai_trace`
function _M.begin(ctx)
    local pool = pool_module.current()
    local telemetry = pool and pool.telemetry
    if telemetry then
        ctx.azure_openai_telemetry = telemetry
        ctx.azure_openai_trace = trace_context.begin(ctx, telemetry.sample_rate)
    end
end

--- Names the trace to backends, when there is one. A change of nginx's own headers would cost more.
-- @param ctx table request context
-- @param headers table the client's, as they go on to backends
function _M.pass_on(ctx, headers)
    if ctx.azure_openai_trace then
        trace_context.pass_on(ctx.azure_openai_trace, headers)
    end
end

--- Ends the trace of a request and queues its spans, when it is kept. Log phase only, after accounting.
-- @param ctx table request context
function _M.finish(ctx)
    local trace, state = ctx.azure_openai_trace, ctx.azure_openai
    if not trace then
        return
    end
    local outcome = metrics.outcome(state or {}, ngx.status)
    local weight = weight_of(trace, state, outcome, ctx.azure_openai_telemetry)
    trace.is_kept = weight ~= nil
    if not weight then
        return
    end
    local ended = ending(outcome, weight)
    items:reset()
    spans.put_request(items, ctx, trace, state, ended)
    for _, attempt in ipairs(state and state.trail or {}) do
        spans.put_attempt(items, trace, attempt, state, ended)
    end
    traces:add(items)
end

return _M
