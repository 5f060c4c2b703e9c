--- Makes the spans of a trace: a server span for the request, and below it a client span for each attempt. Names are
--- those of OpenTelemetry's semantic conventions for HTTP and for generative AI.
local otlp = require("apisix.plugins.azure-openai.account.otlp")
local trace_context = require("apisix.plugins.azure-openai.account.trace_context")
local plain_text = require("apisix.plugins.azure-openai.base.plain_text")
local protobuf = require("apisix.plugins.azure-openai.base.protobuf")
local operations = require("apisix.plugins.azure-openai.request.operations")
local regions = require("apisix.plugins.azure-openai.routing.regions")
local string_buffer = require("string.buffer")

local ngx = ngx
local ngx_now = ngx.now
local type = type
local field = protobuf.field
local put_id = otlp.put_id
local varint = protobuf.varint

-- opentelemetry-proto, trace/v1: the tags of a span's fields (of ids with their lengths), its kinds, and the status
-- of an error.
local TRACE_ID, SPAN_ID, PARENT_ID, NAME = "\10\16", "\18\8", "\34\8", "\42"
local START_TIME, END_TIME, STATUS, STATUS_MESSAGE = "\57", "\65", "\122", "\18"
local SERVER, CLIENT = "\48\2", "\48\3"
local ERROR_CODE = "\24\2"
local DEFAULT_PORTS = { http = 80, https = 443 }

-- Values of gen_ai.operation.name.
local OPERATION_NAMES = {
    ["chat/completions"] = "chat",
    ["completions"] = "text_completion",
    ["embeddings"] = "embeddings",
    ["responses"] = "chat",
    ["images/generations"] = "image_generation",
    ["audio/speech"] = "speech",
    ["messages"] = "chat",
    ["images/embeddings"] = "embeddings",
}

-- Where routes begin, if not with the path of their surface. The names of inference operations begin with that.
local BEGINNINGS = { v1 = "/openai/v1/", deployments = "/openai/deployments/{deployment}/", inference = "/" }

--- How a request ended, for its spans.
---@class Ending
---@field outcome string as metrics.outcome
---@field status number of the request's span
---@field is_broken boolean whether an answer that began well ended badly
---@field weight number how many requests the trace stands for

local _M = {}

-- The span that is being written. Nothing waits meanwhile, so all requests share it.
local message = string_buffer.new()
local attributes = otlp.attributes(otlp.IN_SPAN, message)

-- "/openai/v1/chat/completions", or the pattern of APISIX's route for what is not the operation of a model.
local function route_of(ctx, request)
    local name = request and operations.of_model(request)
    if not name then
        return ctx.curr_req_matched and ctx.curr_req_matched._path
    end
    return (BEGINNINGS[request.kind] or request.surface.path) .. name
end

local function add_usage(usage)
    if usage then
        attributes:add("gen_ai.usage.input_tokens", usage.prompt)
        attributes:add("gen_ai.usage.output_tokens", usage.completion)
        attributes:add("gen_ai.usage.cache_read.input_tokens", usage.cached)
        attributes:add("gen_ai.usage.cache_creation.input_tokens", usage.cache_write)
        attributes:add("gen_ai.usage.reasoning.output_tokens", usage.reasoning)
        attributes:add("azure_openai.tokens_estimated", usage.estimated)
    end
end

local function add_request(state)
    local request, winner = state.request, state.winner
    attributes:add("gen_ai.provider.name", request.surface.provider)
    attributes:add("gen_ai.operation.name", OPERATION_NAMES[request.operation])
    attributes:add("gen_ai.request.model", plain_text.ascii(request.deployment))
    attributes:add("gen_ai.response.model", plain_text.ascii(state.model))
    add_usage(state.usage)
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

local function add_ids(state)
    attributes:add("azure_openai.client", state.client and state.client.name)
    attributes:add("azure_openai.request_id", state.request_id)
    attributes:add("azure_openai.backend_request_id", state.backend_request_id)
    attributes:add("error.type", state.error or state.failure)
end

-- Completes the span, whose attributes are there.
local function put_span(items, trace, fields)
    put_id(message, TRACE_ID, trace.trace_id)
    put_id(message, SPAN_ID, fields.id)
    if fields.parent_id then
        put_id(message, PARENT_ID, fields.parent_id)
    end
    message:put(NAME, varint(#fields.name), fields.name, fields.kind)
    message:put(START_TIME, otlp.time(fields.started_at), END_TIME, otlp.time(fields.ended_at))
    if fields.error then
        message:put(field(STATUS, field(STATUS_MESSAGE, fields.error) .. ERROR_CODE))
    end
    otlp.put_item(items, message)
end

--- Adds the span of the request to the items of a batch.
-- @param items string.buffer
-- @param ctx table request context
-- @param trace Trace
-- @param state RequestState|nil nil for what no backend could serve
-- @param ended Ending
function _M.put_request(items, ctx, trace, state, ended)
    local var = ctx.var
    message:reset()
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
        add_ids(state)
        if state.request then
            add_request(state)
        end
    end
    put_span(items, trace, {
        id = trace.span_id,
        parent_id = trace.parent_id,
        name = route and method .. " " .. route or method,
        kind = SERVER,
        started_at = ngx.req.start_time(),
        ended_at = ngx_now(),
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

--- Adds the span of one attempt to the items of a batch.
-- @param items string.buffer
-- @param trace Trace
-- @param attempt table one entry of the trail
-- @param state RequestState
-- @param ended Ending
function _M.put_attempt(items, trace, attempt, state, ended)
    message:reset()
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
    put_span(items, trace, {
        id = trace_context.new_span_id(),
        parent_id = trace.span_id,
        name = "attempt " .. attempt.backend,
        kind = CLIENT,
        started_at = attempt.started_at,
        ended_at = attempt.started_at + attempt.seconds,
        error = err,
    })
end

return _M
