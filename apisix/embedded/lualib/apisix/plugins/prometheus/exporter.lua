--- The registry that plugins add their metrics to, its export, and those of APISIX's own metrics that the gateway is
-- tested with: requests by status, and active connections to backends.
-- Unlike APISIX, which renders the page every few seconds, the export is made when it is asked for.
local core = require("apisix.core")
local plugin = require("apisix.plugin")
local prometheus_registry = require("prometheus")

local ipairs = ipairs
local ngx = ngx
local tostring = tostring
local type = type

local METRICS_URI = "/apisix/prometheus/metrics"
local MAX_MODEL_LENGTH = 128

local _M = {}

local registry
local metrics = {}

local LABELS = {
    http_status = {
        "code",
        "route",
        "matched_uri",
        "matched_host",
        "service",
        "consumer",
        "node",
        "request_type",
        "request_llm_model",
        "llm_model",
        "response_source",
    },
    llm_active_connections = {
        "route",
        "route_id",
        "matched_uri",
        "matched_host",
        "service",
        "service_id",
        "consumer",
        "node",
        "request_type",
        "request_llm_model",
        "llm_model",
    },
}

--- Called by the prometheus plugin when it is loaded, in every worker.
function _M.http_init()
    registry = prometheus_registry.init("prometheus-metrics", "apisix_")
    metrics.http_status =
        registry:counter("http_status", "HTTP status codes per service in APISIX", LABELS.http_status)
    metrics.llm_active_connections = registry:gauge(
        "llm_active_connections",
        "Number of active connections to LLM service",
        LABELS.llm_active_connections
    )
end

--- The registry that plugins add their own metrics to; nil while the plugin is not loaded.
function _M.get_prometheus()
    return registry
end

local function model_label(value)
    if value == nil or type(value) == "table" then
        return value and "<non-scalar>"
    end
    return tostring(value):sub(1, MAX_MODEL_LENGTH)
end

local function ai_values(var)
    return var.request_type, model_label(var.request_llm_model), model_label(var.llm_model)
end

local function matched_uri(ctx)
    return ctx.curr_req_matched and ctx.curr_req_matched._path or ""
end

-- Adds to a metric. Labels that the plugin's metadata disables are empty.
local function add(name, amount, values)
    local metadata = plugin.plugin_metadata("prometheus")
    local disabled = metadata and metadata.value.disabled_labels or {}
    for _, label in ipairs(disabled[name] or {}) do
        for index, own in ipairs(LABELS[name]) do
            values[index] = own == label and "" or values[index]
        end
    end
    metrics[name]:inc(amount, values)
end

--- The log phase of the prometheus plugin.
function _M.http_log(_, ctx)
    local request_type, request_model, model = ai_values(ctx.var)
    add("http_status", 1, {
        ctx.var.status,
        ctx.route_id or "",
        matched_uri(ctx),
        "",
        "",
        ctx.consumer_name or "",
        ctx.balancer_ip or "",
        request_type,
        request_model,
        model,
        core.response.get_response_source(ctx),
    })
end

local function count_connection(ctx, amount)
    if not registry then
        return
    end
    local request_type, request_model, model = ai_values(ctx.var)
    add("llm_active_connections", amount, {
        "",
        ctx.route_id or "",
        matched_uri(ctx),
        "",
        "",
        "",
        ctx.consumer_name or "",
        ctx.balancer_ip or "",
        request_type,
        request_model,
        model,
    })
end

function _M.inc_llm_active_connections(ctx)
    count_connection(ctx, 1)
end

function _M.dec_llm_active_connections(ctx)
    count_connection(ctx, -1)
end

--- Answers on the metrics port.
function _M.export_metrics()
    local conf = core.config.local_conf()
    local uri = core.table.try_read_attr(conf, "plugin_attr", "prometheus", "export_uri") or METRICS_URI
    if not registry or ngx.var.uri ~= uri or ngx.req.get_method() ~= "GET" then
        return core.response.exit(404)
    end
    core.response.set_header("Content-Type", "text/plain")
    core.response.exit(200, table.concat(registry:metric_data()))
end

return _M
