--- Runs once at start (`apisix.lua_module_hook`): lets all plugins see all headers, makes the pool driver known to
--- ai-proxy-multi, and spares APISIX work that changes nothing.
-- First of all, because other modules keep the function that they find.
require("apisix.plugins.azure-openai.request.header_limits").install()
local apisix = require("apisix") -- before apisix.core, which relies on its patches

require("apisix.plugins.azure-openai.account.counting").install()

local driver = require("apisix.plugins.ai-providers.azure-openai-pool")
local provider_schema = require("apisix.plugins.ai-providers.schema")
local transport = require("apisix.plugins.ai-transport.http")

-- The schema of ai-proxy-multi holds this very list as the enum of its providers.
table.insert(provider_schema.providers, driver.NAME)

-- The driver asks several backends, one after the other; the stock transport asks one host.
local stock_request = transport.request

function transport.request(params, timeout)
    if params.driver == driver.NAME then
        return driver.transport()
    end
    return stock_request(params, timeout)
end

-- A flush passes the filters of the body as an empty piece, of which none makes anything. A stream is flushed after
-- each event, so half of what APISIX does for one would be for nothing.
local stock_body_filter = apisix.http_body_filter_phase

function apisix.http_body_filter_phase()
    local ctx = ngx.ctx.api_ctx
    if not (ctx and ctx.azure_openai_flushes) then
        return stock_body_filter()
    end
end
