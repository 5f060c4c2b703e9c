--- ai-proxy-multi with a single instance, as the renderer configures it. It judges the request's protocol, then calls
-- the instance's driver, in the order and with the arguments of APISIX 3.18.
local core = require("apisix.core")
local exporter = require("apisix.plugins.prometheus.exporter")
local offered = require("embedded.offered")
local protocols = require("apisix.plugins.ai-protocols")
local providers = require("apisix.plugins.ai-providers.schema").providers
local transport = require("apisix.plugins.ai-transport.http")

local pcall = pcall
local type = type

local schema = {
    type = "object",
    properties = {
        instances = {
            type = "array",
            minItems = 1,
            maxItems = 1,
            items = offered.object({
                name = { type = "string", minLength = 1, maxLength = 100 },
                provider = { type = "string", enum = providers },
                weight = { type = "integer", minimum = 0 },
                auth = { type = "object" },
            }),
        },
        timeout = { type = "integer", minimum = 1, maximum = 600000, default = 30000 },
        max_req_body_size = { type = "integer", minimum = 1, default = 67108864 },
        keepalive = { enum = { false } },
        streaming_flush_interval_ms = { type = "integer", minimum = 0, default = 10 },
    },
    required = { "instances", "keepalive" },
}

local _M = { version = 0.5, priority = 1041, name = "ai-proxy-multi", schema = schema }

function _M.check_schema(conf)
    return offered.check(schema, conf)
end

-- Reads the body and records the protocol and whether the client wants a stream.
-- Returns nil, or an error and its status (400 when there is none).
local function detect_request_type(ctx, max_req_body_size)
    local content_type = core.request.header(ctx, "Content-Type") or "application/json"
    if not core.string.has_prefix(content_type, "application/json") then
        return "unsupported content-type: " .. content_type .. ", only application/json is supported"
    end
    local body, err = core.request.get_json_request_body_table(max_req_body_size)
    if not body then
        if core.string.find(err.message, "greater than the maximum size") then
            core.log.error("failed to read request body: ", err.message)
            return err, 413
        end
        return err
    end
    if type(body) == "table" and body.model then
        ctx.var.request_llm_model = body.model
    end
    local protocol = protocols.detect(body, ctx)
    if not protocol then
        return "no matching AI protocol for the request"
    end
    ctx.ai_protocol = protocol
    ctx.ai_client_protocol = protocol.name
    ctx.var.request_type = protocol.is_streaming(body) and "ai_stream" or "ai_chat"
end

function _M.access(conf, ctx)
    local err, code = detect_request_type(ctx, conf.max_req_body_size)
    if err then
        return code or 400, err
    end
    local instance = conf.instances[1]
    ctx.picked_ai_instance_name = instance.name
    ctx.picked_ai_instance = instance
    ctx.balancer_ip = instance.name
    ctx.bypass_nginx_upstream = true
end

-- Passes a 429 or 5xx on as it is; the driver does not see it.
local function answer_error(res)
    local body, err = res:read_body()
    if not body then
        core.log.warn("failed to read upstream error response body: ", err)
    end
    local content_type = res.headers["Content-Type"]
    if content_type then
        core.response.set_header("Content-Type", content_type)
    end
    return res.status, body
end

local function answer(ctx, conf, driver, res)
    local content_type = res.headers["Content-Type"]
    core.response.set_header("Content-Type", content_type)
    if content_type and core.string.find(content_type, "text/event-stream") then
        return driver:parse_streaming_response(ctx, res, ctx.ai_protocol, nil, conf)
    end
    local _, err, status = driver:parse_response(ctx, res, ctx.ai_protocol, nil, conf)
    if err then
        return status or 500, err
    end
end

local function send(conf, ctx, driver, request_body)
    -- APISIX passes on more options; the gateway's driver reads none.
    local options = { target_protocol = ctx.ai_client_protocol }
    local body, is_shaped = driver:build_body(request_body, options)
    if not is_shaped then
        -- Nothing has changed the body: the client's own bytes go out.
        body = core.request.get_body() or body
    end
    local params, err, status = driver:build_request(conf, body, options)
    if not params then
        if not status then
            core.log.error("failed to build request: ", err)
        end
        return status or 500, { error_msg = err }
    end

    local res
    res, err = transport.request(params, conf.timeout)
    if not res then
        core.log.warn("failed to send request to LLM server: ", err)
        return 500
    end
    core.response.set_response_source(ctx, "upstream")

    if res.status == 429 or res.status >= 500 and res.status < 600 then
        return answer_error(res)
    end
    return answer(ctx, conf, driver, res)
end

function _M.before_proxy(conf, ctx)
    local instance, protocol = ctx.picked_ai_instance, ctx.ai_client_protocol
    local driver = require("apisix.plugins.ai-providers." .. instance.provider)
    if not driver.capabilities[protocol] and protocol ~= "passthrough" then
        return 400, "provider " .. instance.provider .. " does not support " .. protocol .. " protocol"
    end
    local request_body = core.table.deepcopy(core.request.get_json_request_body_table())
    if request_body.model then
        ctx.var.llm_model = request_body.model
    end

    exporter.inc_llm_active_connections(ctx)
    ctx.llm_active_connections_tracked = true
    local ok, code, body = pcall(send, conf, ctx, driver, request_body)
    if not ok then
        core.log.error("failed to send request to AI service: ", code)
        return 500
    end
    return code, body
end

function _M.log(_, ctx)
    if ctx.llm_active_connections_tracked then
        exporter.dec_llm_active_connections(ctx)
        ctx.llm_active_connections_tracked = false
    end
end

return _M
