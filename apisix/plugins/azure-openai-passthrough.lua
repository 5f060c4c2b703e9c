--- Serves what ai-proxy-multi cannot: requests without a body or with another one than JSON, answers of any type,
--- and WebSockets. Choosing, failing over and relaying are the exchange's, as for inference.
local exchange = require("apisix.plugins.azure-openai.exchange")
local relay = require("apisix.plugins.azure-openai.answer.relay")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local tunnel = require("apisix.plugins.azure-openai.answer.tunnel")

local PLUGIN = "azure-openai-passthrough"
local document = schemas.read(PLUGIN)

local _M = {
    version = 0.1,
    priority = 1040,
    name = PLUGIN,
    schema = document.schema,
    check_schema = schemas.checker(document),
}

function _M.access(_, ctx)
    -- Nothing is left for nginx to proxy.
    ctx.bypass_nginx_upstream = true
end

function _M.before_proxy(_, ctx)
    local state = ctx.azure_openai
    local answer = exchange.run(ctx, state.pool, state.request)
    relay.head(ctx, state.pool, answer)
    if answer.tunnel then
        tunnel.run(ctx, state.pool, answer)
    else
        relay.body(ctx, state.pool, answer)
    end
end

return _M
