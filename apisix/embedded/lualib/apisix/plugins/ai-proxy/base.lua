--- What ai-proxy-multi does with a request: judge its protocol, then hand it to the instance's driver.
-- Drivers are called in the order and with the arguments of APISIX 3.18.
local core = require("apisix.core")
local exporter = require("apisix.plugins.prometheus.exporter")
local protocols = require("apisix.plugins.ai-protocols")
local transport = require("apisix.plugins.ai-transport.http")

local ngx = ngx
local pcall = pcall
local type = type

local _M = {}

--- Reads the body and records the protocol and whether the client wants a stream.
-- @return nil, or an error and its status (400 when there is none)
function _M.detect_request_type(ctx, max_req_body_size)
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
    local name = protocols.detect(body, ctx)
    if not name then
        return "no matching AI protocol for the request"
    end
    ctx.ai_client_protocol = name
    ctx.var.request_type = protocols.get(name).is_streaming(body) and "ai_stream" or "ai_chat"
end

local function resolve(capability, key, conf, ctx)
    local value = capability and capability[key]
    if type(value) == "function" then
        return value(conf, ctx)
    end
    return value
end

-- The options that drivers get beside the body.
local function options_for(ctx, instance, capability, target_protocol)
    local conf = instance.provider_conf or {}
    local override = instance.override or {}
    local passthrough = target_protocol == "passthrough"
    return {
        name = instance.name,
        endpoint = override.endpoint,
        model_options = instance.options,
        conf = conf,
        auth = instance.auth,
        override_llm_options = override.llm_options,
        request_body_override_map = override.request_body,
        request_body_force_override = override.request_body_force_override,
        target_path = resolve(capability, "path", conf, ctx) or passthrough and ctx.var.uri or nil,
        target_host = resolve(capability, "host", conf, ctx),
        target_protocol = target_protocol,
        client_headers = core.request.headers(ctx),
        client_method = passthrough and core.request.get_method() or nil,
        client_args = passthrough and ctx.var.args and core.string.decode_args(ctx.var.args) or nil,
    }
end

local function record_latency(ctx, answered)
    local elapsed = math.floor((ngx.now() - ctx.llm_request_start_time) * 1000)
    ctx.var.apisix_upstream_response_time = elapsed
    if answered then
        ctx.var.llm_time_to_first_token = elapsed
    end
end

local function close(res)
    if res._httpc then
        res._httpc:close()
    end
end

-- A 429 or 5xx is passed on as it is; the driver never sees it.
local function answer_error(ctx, res)
    local body, err = res:read_body()
    if not body then
        core.log.warn("failed to read upstream error response body: ", err)
    end
    local content_type = res.headers["Content-Type"]
    if content_type then
        core.response.set_header("Content-Type", content_type)
    end
    close(res)
    record_latency(ctx, true)
    return res.status, body
end

local function answer(ctx, conf, driver, protocol, res)
    local content_type = res.headers["Content-Type"]
    core.response.set_header("Content-Type", content_type)
    local code, body
    if content_type and core.string.find(content_type, "text/event-stream") then
        code, body = driver:parse_streaming_response(ctx, res, protocol, nil, conf)
    else
        local _, err, status = driver:parse_response(ctx, res, protocol, nil, conf)
        if err then
            code, body = status or 500, err
        end
    end
    if conf.keepalive then
        transport.set_keepalive(res, conf.keepalive_timeout, conf.keepalive_pool)
    end
    return code, body
end

local function send(conf, ctx, driver, request_body, options)
    ctx.llm_request_start_time = ngx.now()
    ctx.var.llm_request_body = request_body

    local body, shaped = driver:build_body(request_body, options)
    if not shaped and not ctx.ai_request_body_changed then
        -- Nothing changed the body: the client's own bytes go out.
        body = core.request.get_body() or body
    end
    local params, err, status = driver:build_request(conf, body, options)
    if not params then
        if not status then
            core.log.error("failed to build request: ", err)
        end
        return status or 500, { error_msg = err }
    end
    ctx.var.llm_stream = ctx.var.request_type == "ai_stream" and "true" or "false"

    local res
    res, err = transport.request(params, conf.timeout)
    if not res then
        core.log.warn("failed to send request to LLM server: ", err)
        record_latency(ctx, false)
        return transport.handle_error(err)
    end
    core.response.set_response_source(ctx, "upstream")

    if res.status == 429 or res.status >= 500 and res.status < 600 then
        return answer_error(ctx, res)
    end
    return answer(ctx, conf, driver, protocols.get(options.target_protocol), res)
end

--- One attempt with the picked instance.
-- @return nil when the answer has been sent, else a status and a body
function _M.before_proxy(conf, ctx)
    local instance = ctx.picked_ai_instance
    local driver = require("apisix.plugins.ai-providers." .. instance.provider)
    local request_body, err = core.request.get_json_request_body_table()
    if not request_body then
        return 400, err
    end
    request_body = core.table.deepcopy(request_body)

    local protocol = ctx.ai_client_protocol
    local capability = (driver.capabilities or {})[protocol]
    if not capability and protocol ~= "passthrough" then
        return 400, "provider " .. instance.provider .. " does not support " .. protocol .. " protocol"
    end
    local model = instance.options and instance.options.model or request_body.model
    if model then
        ctx.var.llm_model = model
    end
    local options = options_for(ctx, instance, capability, protocol)

    exporter.inc_llm_active_connections(ctx)
    ctx.llm_active_connections_tracked = true
    local ok, code, body = pcall(send, conf, ctx, driver, request_body, options)
    if not ok then
        core.log.error("failed to send request to AI service: ", code)
        return 500
    end
    return code, body
end

return _M
