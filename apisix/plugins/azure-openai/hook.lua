--- Runs once at start (`apisix.lua_module_hook`): makes the pool driver known to ai-proxy-multi.
require("apisix") -- before apisix.core, which relies on its patches

local driver = require("apisix.plugins.ai-providers.azure-openai-pool")
local stock_metrics = require("apisix.plugins.azure-openai.account.stock_metrics")
local provider_schema = require("apisix.plugins.ai-providers.schema")
local transport = require("apisix.plugins.ai-transport.http")

-- The schema of ai-proxy-multi holds this very list as the enum of its providers.
table.insert(provider_schema.providers, driver.NAME)

-- The driver's requests do not go to one host: the exchange decides, attempt by attempt.
local stock_request = transport.request

function transport.request(params, timeout)
    if params.exchange then
        return params.exchange()
    end
    return stock_request(params, timeout)
end

stock_metrics.install()
