--- Answers that need no backend: liveness, readiness, and 404 for paths that the gateway does not serve.
local plugin = require("apisix.plugin")
local errors = require("apisix.plugins.azure-openai.base.errors")
local record = require("apisix.plugins.azure-openai.account.record")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local tracing = require("apisix.plugins.azure-openai.account.tracing")

local ipairs = ipairs

local PLUGIN = "azure-openai-answer"
local document = schemas.read(PLUGIN)

local _M = {
    version = 0.1,
    priority = 1000,
    name = PLUGIN,
    schema = document.schema,
    check_schema = schemas.checker(document),
}

local NOT_FOUND = "Resource not found: this gateway serves paths below /openai/ and, where backends offer them, "
    .. "/anthropic/v1/ and /models/."

local ANSWERS = {}

ANSWERS["live"] = function()
    return 200, { status = "live" }
end

-- APISIX skips an item that it finds invalid: without backends or clients the configuration is not whole.
ANSWERS["ready"] = function(conf, ctx)
    for _, id in ipairs(conf.requires or {}) do
        local metadata = plugin.plugin_metadata(id)
        if not (metadata and metadata.value) then
            return errors.respond(ctx, 503, "The configuration of " .. id .. " is not loaded.", "not_ready")
        end
    end
    return 200, { status = "ready" }
end

-- Probes of the platform leave no trace.
ANSWERS["not-found"] = function(_, ctx)
    tracing.begin(ctx)
    return errors.respond(ctx, 404, NOT_FOUND)
end

function _M.access(conf, ctx)
    return ANSWERS[conf.answer](conf, ctx)
end

function _M.log(_, ctx)
    tracing.finish(ctx)
    record.write(ctx)
end

return _M
