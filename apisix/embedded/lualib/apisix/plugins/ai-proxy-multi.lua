--- ai-proxy-multi with a single instance: balancing and retries between instances are not offered.
local base = require("apisix.plugins.ai-proxy.base")
local core = require("apisix.core")
local exporter = require("apisix.plugins.prometheus.exporter")
local providers = require("apisix.plugins.ai-providers.schema").providers

local ipairs = ipairs
local pcall = pcall

local schema = {
    type = "object",
    properties = {
        instances = {
            type = "array",
            minItems = 1,
            items = {
                type = "object",
                properties = {
                    name = { type = "string", minLength = 1, maxLength = 100 },
                    provider = { type = "string", enum = providers },
                    provider_conf = { type = "object" },
                    priority = { type = "integer", default = 0 },
                    weight = { type = "integer", minimum = 0 },
                    auth = {
                        type = "object",
                        properties = { header = { type = "object" }, query = { type = "object" } },
                        additionalProperties = false,
                    },
                    options = { type = "object" },
                    override = { type = "object" },
                },
                required = { "name", "provider", "auth", "weight" },
            },
        },
        balancer = { type = "object" },
        timeout = { type = "integer", minimum = 1, maximum = 600000, default = 30000 },
        max_req_body_size = { type = "integer", minimum = 1, default = 67108864 },
        max_stream_duration_ms = { type = "integer", minimum = 1 },
        max_response_bytes = { type = "integer", minimum = 1 },
        keepalive = { type = "boolean", default = true },
        keepalive_timeout = { type = "integer", minimum = 1000, default = 60000 },
        keepalive_pool = { type = "integer", minimum = 1, default = 30 },
        streaming_flush_interval_ms = { type = "integer", minimum = 0, default = 10 },
        ssl_verify = { type = "boolean", default = true },
    },
    required = { "instances" },
}

local NOT_OFFERED = {
    "fallback_strategy",
    "fallback_http_statuses",
    "max_retries",
    "retry_on_failure_within_ms",
    "semantic_opts",
    "logging",
}

local _M = { version = 0.5, priority = 1041, name = "ai-proxy-multi", schema = schema }

function _M.check_schema(conf)
    local ok, err = core.schema.check(schema, conf)
    if not ok then
        return false, err
    end
    for _, field in ipairs(NOT_OFFERED) do
        if conf[field] ~= nil then
            return false, field .. " is not offered by the embedded engine"
        end
    end
    if #conf.instances > 1 then
        return false, "the embedded engine offers a single instance, found " .. #conf.instances
    end
    local provider = conf.instances[1].provider
    ok, err = pcall(require, "apisix.plugins.ai-providers." .. provider)
    if not ok then
        core.log.warn("failed to load ai provider ", provider, ": ", err)
        return false, "ai provider: " .. provider .. " is not supported."
    end
    return true
end

function _M.access(conf, ctx)
    local err, code = base.detect_request_type(ctx, conf.max_req_body_size)
    if err then
        return code or 400, err
    end
    local instance = conf.instances[1]
    ctx.picked_ai_instance_name = instance.name
    ctx.picked_ai_instance = instance
    ctx.balancer_ip = instance.name
    ctx.bypass_nginx_upstream = true
end

function _M.before_proxy(conf, ctx)
    return base.before_proxy(conf, ctx)
end

function _M.log(_, ctx)
    if ctx.llm_active_connections_tracked then
        exporter.dec_llm_active_connections(ctx)
        ctx.llm_active_connections_tracked = false
    end
end

return _M
