--- Keeps APISIX's own metrics bounded and balanced.
--
-- APISIX takes the model's name as a label, and clients can invent names. It also raises the gauge of active
-- connections before the backend is known and lowers it after: with the backend as a label it would never return to 0.
local exporter = require("apisix.plugins.prometheus.exporter")
local labels = require("apisix.plugins.azure-openai.account.labels")

local _M = {}

--- Names the deployment in the labels of the request's stock metrics.
function _M.label(ctx)
    local deployment = ctx.azure_openai.request.deployment
    if deployment ~= "" then
        local label = labels.deployments:of(deployment)
        ctx.var.request_llm_model = label
        ctx.var.llm_model = label
    end
end

-- Calls a stock function that counts active connections, with the labels that are the same before and after.
local function without_late_labels(count)
    return function(ctx)
        local var, node = ctx.var, ctx.balancer_ip
        local request_model, model = var.request_llm_model, var.llm_model
        ctx.balancer_ip, var.request_llm_model, var.llm_model = nil, "", ""
        count(ctx)
        ctx.balancer_ip, var.request_llm_model, var.llm_model = node, request_model, model
    end
end

--- Puts itself around the exporter's functions. To be called once, at start.
function _M.install()
    exporter.inc_llm_active_connections = without_late_labels(exporter.inc_llm_active_connections)
    exporter.dec_llm_active_connections = without_late_labels(exporter.dec_llm_active_connections)
end

return _M
