--- Writes telemetry in OTLP's JSON form (opentelemetry-proto 1, "JSON Protobuf Encoding").
--
-- It is written as text at once: tables for every attribute would cost each request more than all the rest of its
-- telemetry.
local core = require("apisix.core")

local json_encode = core.json.encode
local type = type
local tostring = tostring
local math_floor = math.floor
local setmetatable = setmetatable
local table_concat = table.concat

local LARGEST_INTEGER = 2 ^ 53

local _M = {}

local attributes = {}
local attributes_mt = { __index = attributes }

-- "path" -> '{"key":"path","value":{"', for the names that the gateway itself gives.
local beginnings = setmetatable({}, {
    __index = function(known, key)
        known[key] = '{"key":' .. json_encode(key) .. ',"value":{"'
        return known[key]
    end,
})

local function value_of(value)
    local kind = type(value)
    if kind == "string" then
        return 'stringValue":' .. json_encode(value)
    end
    if kind == "boolean" then
        return 'boolValue":' .. tostring(value)
    end
    if value == math_floor(value) and value < LARGEST_INTEGER then
        return ('intValue":"%.0f"'):format(value)
    end
    return 'doubleValue":' .. json_encode(value)
end

--- An empty list of attributes.
function _M.attributes()
    return setmetatable({}, attributes_mt)
end

--- Adds one attribute; a value that is missing or empty adds nothing.
-- @param key string one of a fixed set of names
-- @param value string|number|boolean|nil a string in UTF-8
function attributes:add(key, value)
    if value ~= nil and value ~= "" then
        self[#self + 1] = beginnings[key] .. value_of(value) .. "}}"
    end
end

--- The list as JSON: [{"key":"path","value":{"stringValue":"/"}}]
-- @return string
function attributes:json()
    return "[" .. table_concat(self, ",") .. "]"
end

--- A time as nanoseconds since the epoch: 1.5 -> "1500000000" (in quotes, since JSON's numbers are too small).
-- @param seconds number since the epoch
-- @return string
function _M.time(seconds)
    return ('"%.0f000000"'):format(seconds * 1000)
end

return _M
