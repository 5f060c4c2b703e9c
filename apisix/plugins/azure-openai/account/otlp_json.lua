--- Writes telemetry in OTLP's JSON form (opentelemetry-proto 1, "JSON Protobuf Encoding").
--
-- It is written as text at once: tables for every attribute would cost each request more than all the rest of its
-- telemetry.
local core = require("apisix.core")
local memo = require("apisix.plugins.azure-openai.base.memo")

local json_encode = core.json.encode
local type = type
local tostring = tostring
local math_floor = math.floor
local setmetatable = setmetatable
local table_concat = table.concat

local LARGEST_INTEGER = 2 ^ 53
-- LuaJIT writes larger numbers with an exponent, which is no integer in OTLP.
local LARGEST_PLAIN = 1e14

local _M = {}

--- A whole number in digits: 1e15 -> "1000000000000000".
-- @param value number
-- @return string
function _M.integer(value)
    return value < LARGEST_PLAIN and tostring(value) or ("%.0f"):format(value)
end

local attributes = {}
local attributes_mt = { __index = attributes }

-- "path" -> '{"key":"path","value":{"'
local beginning = memo.of(function(key)
    return '{"key":' .. json_encode(key) .. ',"value":{"'
end)

local quoted = memo.of(json_encode)
--- A text in quotes, with escapes. Most texts are the same in many requests.
_M.quoted = quoted

local function value_of(value)
    local kind = type(value)
    if kind == "string" then
        return 'stringValue":' .. quoted(value)
    end
    if kind == "boolean" then
        return 'boolValue":' .. tostring(value)
    end
    if value == math_floor(value) and value < LARGEST_INTEGER then
        return 'intValue":' .. _M.integer(value)
    end
    return 'doubleValue":' .. value
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
        self[#self + 1] = beginning(key) .. value_of(value) .. "}}"
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
    return '"' .. math_floor(seconds * 1000 + 0.5) .. '000000"'
end

return _M
