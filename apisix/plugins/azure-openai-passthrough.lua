--- Serves what ai-proxy-multi cannot: requests without a body or with a body that is no JSON, answers of any type,
--- WebSockets, and surfaces other than Azure OpenAI's.
local reading = require("apisix.plugins.azure-openai.request.reading")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local serve = require("apisix.plugins.azure-openai.serve")

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
    state.request = reading.to_send(ctx, state.request, false)
    serve.finish(ctx, serve.begin(ctx))
end

return _M
