--- APISIX's own metrics (the part that concerns HTTP and AI traffic) and their export.
-- Unlike APISIX, which renders every 15 s, the export is made when it is asked for.
local core = require("apisix.core")
local prometheus_registry = require("prometheus")

local ngx = ngx
local tonumber = tonumber
local tostring = tostring
local type = type

local MILLISECONDS = { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000 }
local TOKENS = {
    1,
    10,
    50,
    100,
    200,
    500,
    1000,
    2000,
    5000,
    10000,
    20000,
    50000,
    100000,
    200000,
    500000,
    1000000,
}
local MAX_MODEL_LENGTH = 128

local ROUTE = { "route", "service", "consumer", "node" }
local ROUTE_ID = { "route_id", "service_id", "consumer", "node" }
local MATCHED = { "matched_uri", "matched_host" }
local AI = { "request_type", "request_llm_model", "llm_model" }

local _M = {}

local registry
local metrics = {}

local function labels(...)
    local list = {}
    for _, part in ipairs({ ... }) do
        if type(part) == "table" then
            core.table.insert_tail(list, unpack(part))
        else
            list[#list + 1] = part
        end
    end
    return list
end

local function attribute(name)
    return core.table.try_read_attr(core.config.local_conf(), "plugin_attr", "prometheus", name)
end

local function register_traffic()
    metrics.status = registry:counter(
        "http_status",
        "HTTP status codes per service in APISIX",
        labels("code", "route", MATCHED, "service", "consumer", "node", AI, "response_source")
    )
    metrics.latency = registry:histogram(
        "http_latency",
        "HTTP request latency in milliseconds per service in APISIX",
        labels("type", ROUTE, AI),
        attribute("default_buckets") or MILLISECONDS
    )
    metrics.bandwidth = registry:counter(
        "bandwidth",
        "Total bandwidth in bytes consumed per service in APISIX",
        labels("type", ROUTE, AI)
    )
end

local function register_ai()
    metrics.llm_latency = registry:histogram(
        "llm_latency",
        "LLM request latency in milliseconds",
        labels("type", ROUTE_ID, AI),
        attribute("llm_latency_buckets") or MILLISECONDS
    )
    for _, kind in ipairs({ "prompt", "completion" }) do
        local name = "llm_" .. kind .. "_tokens"
        local help = "LLM service consumed " .. kind .. " tokens"
        metrics[name] = registry:counter(name, help, labels(ROUTE_ID, AI))
        metrics[name .. "_dist"] = registry:histogram(
            name .. "_dist",
            "LLM " .. kind .. " tokens distribution per request",
            labels(ROUTE_ID, AI),
            attribute(name .. "_buckets") or TOKENS
        )
    end
    metrics.llm_active_connections = registry:gauge(
        "llm_active_connections",
        "Number of active connections to LLM service",
        labels("route", "route_id", MATCHED, "service", "service_id", "consumer", "node", AI)
    )
end

local function register_node()
    metrics.connections =
        registry:gauge("nginx_http_current_connections", "Number of HTTP connections", { "state" })
    metrics.node_info = registry:gauge("node_info", "Info of APISIX node", { "hostname", "version" })
    for _, kind in ipairs({ "capacity", "free_space" }) do
        local name = "shared_dict_" .. kind .. "_bytes"
        metrics[name] = registry:gauge(name, "Bytes (" .. kind .. ") of each shared dictionary", { "name" })
    end
end

--- Called by the prometheus plugin when it is loaded, in every worker.
function _M.http_init()
    registry = prometheus_registry.init("prometheus-metrics", attribute("metric_prefix") or "apisix_")
    register_node()
    register_traffic()
    register_ai()
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

local function route_label(conf, ctx)
    local route = ctx.matched_route and ctx.matched_route.value
    if not route then
        return ""
    end
    return conf.prefer_name and route.name or route.id
end

local function record_traffic(ctx, route, consumer, node)
    local var = ctx.var
    local matched_uri = ctx.curr_req_matched and ctx.curr_req_matched._path or ""
    local request_type, request_model, model = ai_values(var)
    local source = core.response.get_response_source(ctx)
    metrics.status:inc(1, {
        var.status,
        route,
        matched_uri,
        "",
        "",
        consumer,
        node,
        request_type,
        request_model,
        model,
        source,
    })
    local function values(kind)
        return { kind, route, "", consumer, node, request_type, request_model, model }
    end
    local latency = (ngx.now() - ngx.req.start_time()) * 1000
    metrics.latency:observe(latency, values("request"))
    metrics.latency:observe(latency, values("apisix"))
    metrics.bandwidth:inc(tonumber(var.request_length), values("ingress"))
    metrics.bandwidth:inc(tonumber(var.bytes_sent), values("egress"))
end

local function record_ai(ctx, route, consumer, node)
    local var = ctx.var
    if var.request_type ~= "ai_stream" and var.request_type ~= "ai_chat" then
        return
    end
    local request_type, request_model, model = ai_values(var)
    local first_token = tonumber(var.llm_time_to_first_token) or 0
    local total = tonumber(var.apisix_upstream_response_time)
    if first_token > 0 and total and tonumber(var.status) < 400 then
        local rest = { route, "", consumer, node, request_type, request_model, model }
        metrics.llm_latency:observe(total, labels("total", rest))
        if request_type == "ai_stream" then
            metrics.llm_latency:observe(first_token, labels("ttft", rest))
        end
    end
    for _, name in ipairs({ "llm_prompt_tokens", "llm_completion_tokens" }) do
        local values = { route, "", consumer, node, request_type, request_model, model }
        local tokens = tonumber(var[name]) or 0
        metrics[name]:inc(tokens, values)
        metrics[name .. "_dist"]:observe(tokens, values)
    end
end

--- The log phase of the prometheus plugin.
function _M.http_log(conf, ctx)
    local route, consumer, node = route_label(conf, ctx), ctx.consumer_name or "", ctx.balancer_ip or ""
    record_traffic(ctx, route, consumer, node)
    record_ai(ctx, route, consumer, node)
end

local function count_connection(ctx, value)
    if not registry then
        return
    end
    local route = ctx.matched_route and ctx.matched_route.value or {}
    local matched_uri = ctx.curr_req_matched and ctx.curr_req_matched._path or ""
    local request_type, request_model, model = ai_values(ctx.var)
    metrics.llm_active_connections:inc(value, {
        route.name or "",
        route.id or "",
        matched_uri,
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

local function record_node()
    for _, state in ipairs({ "active", "reading", "writing", "waiting" }) do
        metrics.connections:set(tonumber(ngx.var["connections_" .. state]) or 0, { state })
    end
    metrics.node_info:set(1, { core.utils.gethostname(), core.version.VERSION })
    for name, dict in pairs(ngx.shared) do
        metrics.shared_dict_capacity_bytes:set(dict:capacity(), { name })
        metrics.shared_dict_free_space_bytes:set(dict:free_space(), { name })
    end
end

--- Answers on the metrics port.
function _M.export_metrics()
    local uri = attribute("export_uri") or "/apisix/prometheus/metrics"
    if not registry or ngx.var.uri ~= uri or ngx.req.get_method() ~= "GET" then
        return core.response.exit(404)
    end
    record_node()
    core.response.set_header("Content-Type", "text/plain")
    core.response.exit(200, table.concat(registry:metric_data()))
end

return _M
