--- The ai-proxy-multi driver: serves one logical instance from the whole pool of Azure OpenAI backends.
--
-- ai-proxy-multi parses the request and runs the AI plugins around it; choosing, failing over and relaying is the
-- exchange's, so that inference and all other requests share one failover loop.
local exchange = require("apisix.plugins.azure-openai.exchange")
local relay = require("apisix.plugins.azure-openai.answer.relay")
local request_module = require("apisix.plugins.azure-openai.request.reading")
local stock_metrics = require("apisix.plugins.azure-openai.account.stock_metrics")

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

-- What ai-proxy-multi expects of its transport, over a finished exchange.
local function as_transport_response(answer)
    return {
        status = answer.status,
        headers = answer.headers,
        answer = answer,
        body_reader = true,
        read_body = function()
            return answer.body
        end,
        _upstream_addr = answer.backend and (answer.backend.host .. ":" .. answer.backend.port),
    }
end

--- Prepares the exchange; the hook lets the transport run it.
-- @return table params
function _M.build_request(_, _, body)
    local ctx = ngx.ctx.api_ctx
    local state = ctx.azure_openai
    local request = state.request
    if type(body) == "table" then
        -- An AI plugin has changed the request.
        request_module.replace_body(request, body)
    end
    stock_metrics.label(ctx, false)
    state.hide_usage = request_module.ask_for_usage(ctx, request)
    return {
        body = body,
        exchange = function()
            local answer = exchange.run(ctx, state.pool, request)
            relay.head(ctx, state.pool, answer)
            return as_transport_response(answer)
        end,
    }
end

--- Sends an answer that is not an event stream.
function _M.parse_response(_, ctx, res)
    relay.body(ctx, ctx.azure_openai.pool, res.answer)
end

--- Sends an event stream.
function _M.parse_streaming_response(_, ctx, res)
    relay.body(ctx, ctx.azure_openai.pool, res.answer)
end

return _M
