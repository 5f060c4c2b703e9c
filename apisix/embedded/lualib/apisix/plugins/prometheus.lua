--- APISIX's prometheus plugin: counts requests in the log phase.
local core = require("apisix.core")
local exporter = require("apisix.plugins.prometheus.exporter")

local schema = {
    type = "object",
    properties = { prefer_name = { type = "boolean", default = false } },
}

local metadata_schema = {
    type = "object",
    properties = { disabled_labels = { type = "object" } },
}

local _M = {
    version = 0.2,
    priority = 500,
    name = "prometheus",
    schema = schema,
    metadata_schema = metadata_schema,
    init = exporter.http_init,
    log = exporter.http_log,
}

function _M.check_schema(conf, schema_type)
    return core.schema.check(schema_type == core.schema.TYPE_METADATA and metadata_schema or schema, conf)
end

return _M
