--- The ai-proxy-multi driver: serves one logical instance from the whole pool of Azure OpenAI backends.
--
-- ai-proxy-multi parses the request and runs the AI plugins around it; choosing, failing over and relaying is the
-- exchange's, so that inference and all other requests share one failover loop.
local core = require("apisix.core")
local exchange = require("apisix.plugins.azure-openai.exchange")
local json_edit = require("apisix.plugins.azure-openai.json_edit")
local pool_module = require("apisix.plugins.azure-openai.pool")
local relay = require("apisix.plugins.azure-openai.relay")
local surface = require("apisix.plugins.azure-openai.surface")
local usage = require("apisix.plugins.azure-openai.usage")

local ngx = ngx
local type = type

local _M = {
    NAME = "azure-openai-pool",
    -- Azure speaks all of these itself: nothing is ever converted.
    capabilities = {
        ["openai-chat"] = {},
        ["openai-responses"] = {},
        ["openai-embeddings"] = {},
        ["passthrough"] = {},
    },
}

--- The body as it is: what a backend needs changed is changed per attempt.
function _M.build_body(_, body)
    return body, false
end

local function read_target(ctx, body_model)
    local kind, operation, deployment = surface.parse(ctx.var.uri)
    if not deployment then
        deployment = type(body_model) == "string" and body_model or ""
    end
    return kind, operation, deployment
end

-- `body` is the client's text, or a table when an AI plugin has changed the request.
local function build_exchange_request(ctx, body)
    local state = ctx.azure_openai
    local decoded = type(body) == "table" and body or core.request.get_json_request_body_table()
    local text = type(body) == "table" and core.json.encode(body) or body
    local kind, operation, deployment = read_target(ctx, decoded.model)
    local target = ctx.var.request_uri

    state.deployment, state.operation, state.request_bytes = deployment, operation, #text
    text, state.hide_usage = usage.request(ctx, kind, operation, decoded, text)

    return {
        method = ngx.req.get_method(),
        headers = core.request.headers(ctx),
        deployment = deployment,
        for_deployment = function(name)
            if name == deployment then
                return target, text
            end
            if kind == "deployments" then
                return surface.rename(target, name), text
            end
            return target, json_edit.set(text, "model", name)
        end,
    }
end

-- What ai-proxy-multi expects of its transport, over a finished exchange.
local function as_transport_response(pool, answer)
    return {
        status = answer.status,
        headers = answer.headers,
        pool = pool,
        answer = answer,
        body_reader = true,
        read_body = function()
            return answer.body
        end,
        _upstream_addr = answer.backend and (answer.backend.host .. ":" .. answer.backend.port),
    }
end

--- Prepares the exchange; the hook lets the transport run it.
-- @return table|nil params
-- @return string|nil error
-- @return number|nil status
function _M.build_request(_, _, body)
    local ctx = ngx.ctx.api_ctx
    local pool, err = pool_module.current()
    if not pool then
        return nil, err, 503
    end

    local request = build_exchange_request(ctx, body)
    return {
        body = body,
        exchange = function()
            local answer = exchange.run(ctx, pool, request)
            relay.head(ctx, pool, answer)
            return as_transport_response(pool, answer)
        end,
    }
end

--- Sends an answer that is not an event stream.
function _M.parse_response(_, ctx, res)
    relay.body(ctx, res.pool, res.answer)
end

--- Sends an event stream.
function _M.parse_streaming_response(_, ctx, res)
    relay.body(ctx, res.pool, res.answer)
end

return _M
