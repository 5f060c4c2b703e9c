--- Checks the configuration of a plugin of which only a part is offered.
local core = require("apisix.core")

local concat = table.concat
local pairs = pairs
local sort = table.sort

local _M = {}

--- An object schema that requires all of these properties and forbids any other.
function _M.object(properties)
    local names = {}
    for name in pairs(properties) do
        names[#names + 1] = name
    end
    return { type = "object", properties = properties, required = names, additionalProperties = false }
end

--- Checks a plugin block against a schema. Names all properties at once that the schema does not have.
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
