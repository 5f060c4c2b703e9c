--- The plugins' JSON schemas, kept as files so that the renderer validates against the very same ones.
local core = require("apisix.core")

local io_open = io.open
local error = error
local pairs = pairs
local setmetatable = setmetatable

local directory = debug.getinfo(1, "S").source:match("^@(.*)base/schemas%.lua$") .. "schemas/"

local _M = {}

--- Reads the schema file of a plugin.
-- @param name string plugin name, for example "azure-openai-auth"
-- @return table with `schema` and, where the plugin has metadata, `metadata_schema`
function _M.read(name)
    local path = directory .. name .. ".json"
    local file, err = io_open(path, "rb")
    if not file then
        error("cannot read plugin schema " .. path .. ": " .. err)
    end

    local text = file:read("*a")
    file:close()

    local document, decode_err = core.json.decode(text)
    if not document then
        error("invalid plugin schema " .. path .. ": " .. decode_err)
    end
    return document
end

--- Builds the `check_schema` function of a plugin from its schema file.
-- @param document table as `read` returns it
-- @return function(conf, schema_type) -> true | false, error
function _M.checker(document)
    return function(conf, schema_type)
        if schema_type == core.schema.TYPE_METADATA then
            return core.schema.check(document.metadata_schema, conf)
        end
        return core.schema.check(document.schema, conf)
    end
end

--- Overlays a value on the defaults that its object schema declares.
-- The validator fills defaults only into objects that are present; this serves absent ones too.
-- @param schema table object schema with `properties`
-- @param value table|nil
-- @return table that reads as `value` with every declared default behind it
function _M.with_defaults(schema, value)
    local defaults = {}
    for name, property in pairs(schema.properties) do
        defaults[name] = property.default
    end
    return setmetatable(value or {}, { __index = defaults })
end

return _M
