--- Checks the configuration of a plugin that is offered in part.
local core = require("apisix.core")

local concat = table.concat
local pairs = pairs
local sort = table.sort

local _M = {}

--- An object schema with all of these properties and no other.
function _M.object(properties)
    local names = {}
    for name in pairs(properties) do
        names[#names + 1] = name
    end
    return { type = "object", properties = properties, required = names, additionalProperties = false }
end

--- Checks a plugin block against a schema; what is not in the schema is refused by name, all of it at once.
-- @return true, or false and what is wrong
function _M.check(schema, conf)
    local refused = {}
    for name in pairs(conf) do
        if not schema.properties[name] then
            refused[#refused + 1] = name
        end
    end
    if #refused > 0 then
        sort(refused)
        return false, concat(refused, ", ") .. " is not offered by the embedded engine"
    end
    return core.schema.check(schema, conf)
end

return _M
