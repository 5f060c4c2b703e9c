--- opentelemetry as the renderer configures it: a server span for each request, sampled like its parent or by chance,
-- and sent in batches. The names of attributes are those of APISIX's plugin.
local attribute = require("opentelemetry.attribute")
local context = require("opentelemetry.context")
local core = require("apisix.core")
local offered = require("embedded.offered")
local plugin = require("apisix.plugin")
local span_kind = require("opentelemetry.trace.span_kind")
local span_queue = require("embedded.span_queue")
local span_status = require("opentelemetry.trace.span_status")
local traceparent = require("embedded.traceparent")
local tracer_module = require("embedded.tracer")

local ngx = ngx
local ipairs = ipairs
local pairs = pairs
local setmetatable = setmetatable

local seconds = { type = "number", exclusiveMinimum = 0 }
local count = { type = "integer", minimum = 1 }
local text = { type = "string" }

local schema = offered.object({
    sampler = offered.object({
        name = { enum = { "parent_base" } },
        options = offered.object({
            root = offered.object({
                name = { enum = { "trace_id_ratio" } },
                options = offered.object({ fraction = { type = "number", minimum = 0, maximum = 1 } }),
            }),
        }),
    }),
})

local metadata_schema = offered.object({
    id = text,
    trace_id_source = { enum = { "random" } },
    resource = { type = "object", additionalProperties = text },
    collector = offered.object({ address = text, request_timeout = seconds }),
    batch_span_processor = offered.object({
        drop_on_queue_full = { enum = { true } },
        max_queue_size = count,
        max_export_batch_size = count,
        batch_timeout = seconds,
        inactive_timeout = seconds,
    }),
})

local _M = {
    version = 0.1,
    priority = 12009,
    name = "opentelemetry",
    schema = schema,
    metadata_schema = metadata_schema,
}

function _M.check_schema(conf, schema_type)
    return offered.check(schema_type == core.schema.TYPE_METADATA and metadata_schema or schema, conf)
end

local function hostname()
    local file = io.open("/etc/hostname", "r")
    local name = file and file:read("*l")
    if file then
        file:close()
    end
    return name or "localhost"
end

local function resource_of(metadata)
    local attributes = { attribute.string("hostname", hostname()) }
    for name, value in pairs(metadata.resource) do
        attributes[#attributes + 1] = attribute.string(name, value)
    end
    return attributes
end

-- By plugin block: a new configuration begins with a new tracer, and the old one's queue empties itself.
local tracers = setmetatable({}, { __mode = "k" })

local function tracer_of(conf, metadata)
    if not tracers[conf] then
        local queue = span_queue.new(metadata.collector, metadata.batch_span_processor, resource_of(metadata))
        tracers[conf] = tracer_module.new(conf.sampler.options.root.options.fraction, function(span)
            queue:add(span)
        end)
    end
    return tracers[conf]
end

local function add_if_known(attributes, name, value)
    if value then
        attributes[#attributes + 1] = attribute.string(name, value)
    end
end

local function attributes_of(ctx)
    local var, attributes = ctx.var, {}
    add_if_known(attributes, "net.host.name", var.host)
    for _, name in ipairs({ "http.method", "http.request.method" }) do
        add_if_known(attributes, name, var.method)
    end
    for _, name in ipairs({ "http.scheme", "url.scheme" }) do
        add_if_known(attributes, name, var.scheme)
    end
    for _, name in ipairs({ "http.user_agent", "user_agent.original" }) do
        add_if_known(attributes, name, var.http_user_agent)
    end
    add_if_known(attributes, "http.target", var.request_uri)
    add_if_known(attributes, "url.path", var.uri)
    if ctx.curr_req_matched then
        add_if_known(attributes, "apisix.route_id", ctx.route_id)
        add_if_known(attributes, "http.route", ctx.curr_req_matched._path)
    end
    return attributes
end

local function caller_of(headers)
    local caller = traceparent.parse(headers["traceparent"])
    if caller then
        caller.trace_state = traceparent.state(headers["tracestate"])
    end
    return context.new(caller)
end

function _M.rewrite(conf, ctx)
    local metadata = plugin.plugin_metadata(_M.name)
    if not metadata then
        core.log.warn("opentelemetry has no metadata: requests are not traced")
        return
    end
    local name = ctx.var.method .. (ctx.curr_req_matched and " " .. ctx.curr_req_matched._path or "")
    local inside, span = tracer_of(conf, metadata.value):start(
        caller_of(core.request.headers(ctx)),
        name,
        { kind = span_kind.server, attributes = attributes_of(ctx) }
    )
    ctx.otel_context_token = inside:attach()
    core.request.set_header(ctx, "traceparent", traceparent.format(span))
    core.request.set_header(ctx, "tracestate", span.trace_state)
end

function _M.log(_, ctx)
    if not ctx.otel_context_token then
        return
    end
    local span, source = context.current():span(), core.response.get_response_source(ctx)
    span:set_attributes(
        attribute.string("apisix.response_source", source),
        attribute.int("http.status_code", ngx.status),
        attribute.int("http.response.status_code", ngx.status)
    )
    if ngx.status >= 500 then
        span:set_status(span_status.ERROR, source .. " error: " .. ngx.status)
    end
    ngx.update_time()
    span:finish()
end

return _M
