--- The ai-proxy-multi driver: serves one logical instance from the whole pool of Azure OpenAI backends.
--
-- ai-proxy-multi runs the AI plugins around a request; choosing, failing over and relaying is `serve`'s, so inference
-- and all other requests share one failover loop. For one request ai-proxy-multi calls, in this order:
--
--   build_body       says that the body is ready, else ai-proxy-multi would read all of it into memory; each attempt
--                    changes what its backend needs changed
--   build_request    names this driver in the parameters
--   transport        ai-transport.http, which the hook has wrapped: parameters of this driver come to `transport`
--                    here. It finds the answer and sets the head.
--   parse_response, parse_streaming_response   send the body
--
-- ai-proxy-multi would end a 429 or 5xx before the last step. So it always sees 200, and all answers take the same way.
local reading = require("apisix.plugins.azure-openai.request.reading")
local stock_body = require("apisix.plugins.azure-openai.request.stock_body")
local serve = require("apisix.plugins.azure-openai.serve")

local ngx = ngx

local NAME = "azure-openai-pool"

local _M = {
    NAME = NAME,
    -- Azure speaks all of these itself: nothing is ever converted.
    capabilities = {
        ["openai-chat"] = {},
        ["openai-responses"] = {},
        ["openai-embeddings"] = {},
        ["passthrough"] = {},
    },
}

function _M.build_body(_, body)
    return body, true
end

--- Builds the parameters that `transport` gets.
function _M.build_request()
    return { driver = NAME, body = {} }
end

--- Runs the exchange in place of one HTTP request.
-- @return table in the form of a transport's response
function _M.transport()
    local ctx = ngx.ctx.api_ctx
    local state = ctx.azure_openai
    state.request = reading.to_send(ctx, state.request, stock_body.is_wanted_whole(ctx))
    local answer = serve.begin(ctx)
    return {
        status = 200,
        -- It sets this header of the client's answer again.
        headers = { ["Content-Type"] = answer.headers["content-type"] },
        -- Without one, ai-proxy-multi takes the answer for a failure.
        body_reader = true,
        answer = answer,
        _upstream_addr = answer.backend and (answer.backend.host .. ":" .. answer.backend.port),
    }
end

function _M.parse_response(_, ctx, res)
    serve.finish(ctx, res.answer)
end

_M.parse_streaming_response = _M.parse_response

return _M
