--- Sends the trace of a request: a server span, and below it a client span for each attempt.
--
-- Which traces are kept is decided at the end, when it is known what became of the request. Names are those of
-- OpenTelemetry's semantic conventions for HTTP and for generative AI.
local core = require("apisix.core")
local metrics = require("apisix.plugins.azure-openai.account.metrics")
local otlp_json = require("apisix.plugins.azure-openai.account.otlp_json")
local otlp_queue = require("apisix.plugins.azure-openai.account.otlp_queue")
local trace_context = require("apisix.plugins.azure-openai.account.trace_context")
local plain_text = require("apisix.plugins.azure-openai.base.plain_text")
local operations = require("apisix.plugins.azure-openai.request.operations")
local pool_module = require("apisix.plugins.azure-openai.routing.pool")
local regions = require("apisix.plugins.azure-openai.routing.regions")

local ngx = ngx
local ngx_now = ngx.now
local ipairs = ipairs
local type = type
local table_concat = table.concat

local PROVIDER = "azure.ai.openai"
-- opentelemetry-proto, trace/v1: kinds of spans, and the status of an error.
local SERVER, CLIENT = 2, 3
local ERROR_STATUS = 2
local DEFAULT_PORTS = { http = 80, https = 443 }

-- Values of gen_ai.operation.name.
local OPERATION_NAMES = {
    ["chat/completions"] = "chat",
    ["completions"] = "text_completion",
    ["embeddings"] = "embeddings",
    ["responses"] = "chat",
    ["images/generations"] = "image_generation",
    ["audio/speech"] = "speech",
}

-- Where the routes of each surface begin.
local SURFACES = { v1 = "/openai/v1/", deployments = "/openai/deployments/{deployment}/" }

-- An answer that began well and ended badly. Application Insights judges a request by its status alone, so its span has
-- the status that says how it ended; 499 is nginx's own for a client that left.
local STATUS_OF_ENDINGS = { client_gone = 499, interrupted = 502, throttled = 429, server_error = 500 }

-- So many traces a second are kept for a reason, in each worker. Of any more only the usual share is kept, so that a
-- client that hammers at its limit does not cost more than what it asks for.
local MOST_NOTABLE_A_SECOND = 100

local _M = {}

local traces = otlp_queue.new("traces")
local notable_second, notable_count = 0, 0

-- Whether there is still room for a trace that is kept for a reason.
local function has_room()
    local second = ngx.time()
    if second ~= notable_second then
        notable_second, notable_count = second, 0
    end
    notable_count = notable_count + 1
    return notable_count <= MOST_NOTABLE_A_SECOND
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
    if is_notable(state, outcome, telemetry) and has_room() then
        return 1
    end
    if not trace.is_sampled then
        return nil
    end
    return trace.parent_id and 1 or 1 / telemetry.sample_rate
end

-- "/openai/v1/chat/completions", or the pattern of APISIX's route for what is not the operation of a model.
local function route_of(ctx, request)
    local name = request and operations.name(request)
    if not name or name == request.method or name == "other" then
        return ctx.curr_req_matched and ctx.curr_req_matched._path
    end
    return (SURFACES[request.kind] or "/openai/") .. name
end

local function add_usage(attributes, usage)
    if usage then
        attributes:add("gen_ai.usage.input_tokens", usage.prompt)
        attributes:add("gen_ai.usage.output_tokens", usage.completion)
        attributes:add("gen_ai.usage.cache_read.input_tokens", usage.cached)
        attributes:add("gen_ai.usage.reasoning.output_tokens", usage.reasoning)
        attributes:add("azure_openai.tokens_estimated", usage.estimated)
    end
end

local function add_request(attributes, state)
    local request, winner = state.request, state.winner
    attributes:add("gen_ai.provider.name", PROVIDER)
    attributes:add("gen_ai.operation.name", OPERATION_NAMES[request.operation])
    attributes:add("gen_ai.request.model", plain_text.ascii(request.deployment))
    attributes:add("gen_ai.response.model", plain_text.ascii(state.model))
    add_usage(attributes, state.usage)
    if state.first_output_at then
        attributes:add("gen_ai.response.time_to_first_chunk", state.first_output_at - state.started_at)
    end
    attributes:add("azure_openai.cost_usd", state.cost_usd)
    attributes:add("azure_openai.backend", winner and winner.name)
    attributes:add("azure_openai.region", winner and regions.of(winner))
    attributes:add("azure_openai.lane", state.lane)
    attributes:add("azure_openai.streamed", state.is_stream == true)
    attributes:add("azure_openai.attempts", #state.trail)
end

local function add_ids(attributes, state)
    attributes:add("azure_openai.client", state.client and state.client.name)
    attributes:add("azure_openai.request_id", state.request_id)
    attributes:add("azure_openai.backend_request_id", state.backend_request_id)
    attributes:add("error.type", state.error or state.failure)
end

local function error_status(message)
    return message
            and ',"status":{"code":' .. ERROR_STATUS .. ',"message":' .. core.json.encode(message) .. "}"
        or ""
end

local function span(trace, fields)
    return table_concat({
        '{"traceId":"',
        trace.trace_id,
        '","spanId":"',
        fields.id,
        fields.parent_id and '","parentSpanId":"' .. fields.parent_id or "",
        '","name":',
        core.json.encode(fields.name),
        ',"kind":',
        fields.kind,
        ',"startTimeUnixNano":',
        otlp_json.time(fields.started_at),
        ',"endTimeUnixNano":',
        otlp_json.time(fields.ended_at),
        ',"attributes":',
        fields.attributes:json(),
        error_status(fields.error),
        "}",
    })
end

local function server_span(ctx, trace, state, ended)
    local var, attributes = ctx.var, otlp_json.attributes()
    local method, route = ngx.req.get_method(), route_of(ctx, state and state.request)
    attributes:add("http.request.method", method)
    attributes:add("http.route", route)
    attributes:add("http.response.status_code", ended.status)
    attributes:add("url.scheme", var.scheme)
    attributes:add("url.path", plain_text.ascii(var.uri))
    attributes:add("server.address", plain_text.ascii(var.host))
    attributes:add("user_agent.original", plain_text.ascii(var.http_user_agent))
    attributes:add("apisix.route_id", ctx.route_id)
    attributes:add("azure_openai.outcome", ended.outcome)
    attributes:add("azure_openai.sent_status", ended.status ~= ngx.status and ngx.status or nil)
    attributes:add("azure_openai.sample_weight", ended.weight)
    if state then
        add_ids(attributes, state)
        if state.request then
            add_request(attributes, state)
        end
    end
    return span(trace, {
        id = trace.span_id,
        parent_id = trace.parent_id,
        name = route and method .. " " .. route or method,
        kind = SERVER,
        started_at = ngx.req.start_time(),
        ended_at = ngx_now(),
        attributes = attributes,
        error = (ended.is_broken or ended.status >= 500) and ended.outcome or nil,
    })
end

-- Without its query, which may hold a key.
local function url_of(attempt)
    local backend = attempt.server
    local port = backend.port ~= DEFAULT_PORTS[backend.scheme] and ":" .. backend.port or ""
    local path = attempt.target and plain_text.ascii(attempt.target:match("^[^?]*")) or ""
    return backend.scheme .. "://" .. backend.host .. port .. path
end

-- The status and the error of an attempt. The last one of a winner may have ended as badly as the request.
local function ending_of(attempt, state, ended)
    local status = type(attempt.status) == "number" and attempt.status or nil
    if attempt.reason then
        return status, attempt.reason
    end
    local is_backends = ended.is_broken and ended.outcome ~= "client_gone"
    if is_backends and state.winner and attempt == state.trail[#state.trail] then
        return ended.status, state.error or state.failure
    end
    return status, nil
end

local function attempt_span(trace, attempt, state, ended)
    local attributes = otlp_json.attributes()
    local status, err = ending_of(attempt, state, ended)
    attributes:add("http.request.method", ngx.req.get_method())
    attributes:add("http.response.status_code", status)
    attributes:add("url.full", url_of(attempt))
    attributes:add("server.address", attempt.server.host)
    attributes:add("server.port", attempt.server.port)
    attributes:add("azure_openai.backend", attempt.backend)
    attributes:add("azure_openai.region", attempt.region)
    attributes:add("azure_openai.sample_weight", ended.weight)
    attributes:add("error.type", err)
    return span(trace, {
        id = trace_context.new_span_id(),
        parent_id = trace.span_id,
        name = "attempt " .. attempt.backend,
        kind = CLIENT,
        started_at = attempt.started_at,
        ended_at = attempt.started_at + attempt.seconds,
        attributes = attributes,
        error = err,
    })
end

-- How the request ended, for its spans.
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
    local spans = { server_span(ctx, trace, state, ended) }
    for _, attempt in ipairs(state and state.trail or {}) do
        spans[#spans + 1] = attempt_span(trace, attempt, state, ended)
    end
    traces:add(table_concat(spans, ","))
end

return _M
