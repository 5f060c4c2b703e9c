--- Adds to a request's trace what the gateway knows of it: `gen_ai.*` attributes on the server span, and a child
--- span for each attempt.
--
-- The opentelemetry plugin ends its server span before the log phase of a route's plugins. So the span is completed at
-- the moment when it ends. Names are those of OpenTelemetry's semantic conventions.
local accounting = require("apisix.plugins.azure-openai.account.accounting")
local regions = require("apisix.plugins.azure-openai.routing.regions")

local ipairs = ipairs
local type = type

local NANOSECONDS = 1e9
local PROVIDER = "azure.ai.openai"
local TARGET_ATTRIBUTE = "http.target"

-- Values of gen_ai.operation.name.
local OPERATION_NAMES = {
    ["chat/completions"] = "chat",
    ["completions"] = "text_completion",
    ["embeddings"] = "embeddings",
    ["responses"] = "chat",
    ["images/generations"] = "image_generation",
    ["audio/speech"] = "speech",
}

local _M = {}

local function add(span, values)
    local attribute = require("opentelemetry.attribute")
    for _, entry in ipairs(values) do
        local name, value = entry[1], entry[2]
        if type(value) == "number" then
            span:set_attributes(attribute.int(name, value))
        elseif type(value) == "string" and value ~= "" then
            span:set_attributes(attribute.string(name, value))
        end
    end
end

local function describe_request(span, state)
    local usage = state.usage or {}
    local winner, request = state.winner, state.request
    add(span, {
        { "gen_ai.provider.name", PROVIDER },
        { "gen_ai.operation.name", OPERATION_NAMES[request.operation] },
        { "gen_ai.request.model", request.deployment },
        { "gen_ai.response.model", state.model },
        { "gen_ai.usage.input_tokens", usage.prompt },
        { "gen_ai.usage.output_tokens", usage.completion },
        { "azure_openai.backend", winner and winner.name },
        { "azure_openai.region", winner and regions.of(winner) },
        { "azure_openai.client", state.client and state.client.name },
        { "azure_openai.lane", state.lane },
        { "azure_openai.attempts", #state.trail },
        { "azure_openai.request_id", state.request_id },
        { "error.type", state.error },
    })
end

local function add_attempt(context, tracer, attempt)
    local span_kind = require("opentelemetry.trace.span_kind")
    local span_status = require("opentelemetry.trace.span_status")
    local _, span = tracer:start(
        context,
        "attempt " .. attempt.backend,
        { kind = span_kind.client },
        attempt.started_at * NANOSECONDS
    )
    add(span, {
        { "azure_openai.backend", attempt.backend },
        { "azure_openai.region", attempt.region },
        { "http.response.status_code", type(attempt.status) == "number" and attempt.status or nil },
        { "error.type", attempt.reason },
    })
    if attempt.reason then
        span:set_status(span_status.ERROR, attempt.reason)
    end
    span:finish((attempt.started_at + attempt.seconds) * NANOSECONDS)
end

local function complete(context, span, state)
    accounting.settle(state)
    if state.request then
        describe_request(span, state)
    end
    for _, attempt in ipairs(state.trail) do
        add_attempt(context, span.tracer, attempt)
    end
end

-- The opentelemetry plugin records the target as the client wrote it, and its query may hold a key.
local function forget_query(span)
    for _, attribute in ipairs(span.attributes) do
        if attribute.key == TARGET_ATTRIBUTE then
            attribute.value.string_value = attribute.value.string_value:match("^[^?]*")
        end
    end
end

-- The context and the server span of the request, when it is traced.
local function recording(ctx)
    if not ctx.otel_context_token then
        return nil
    end
    local context = require("opentelemetry.context").current()
    local span = context:span()
    if not span:is_recording() then
        return nil
    end
    return context, span
end

--- Keeps the query out of the request's server span.
-- @param ctx table request context
function _M.keep_private(ctx)
    local _, span = recording(ctx)
    if span then
        forget_query(span)
    end
end

--- Completes the request's server span when it ends. Does nothing for requests that are not traced.
-- @param ctx table request context, with `azure_openai` set
function _M.watch(ctx)
    local context, span = recording(ctx)
    if not span then
        return
    end

    forget_query(span)
    local state, finish = ctx.azure_openai, span.finish
    function span.finish(self, ...)
        complete(context, self, state)
        return finish(self, ...)
    end
end

return _M
