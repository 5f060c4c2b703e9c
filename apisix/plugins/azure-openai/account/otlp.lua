--- Writes what logs and traces have in common, in OTLP's binary form (opentelemetry-proto 1).
--
-- It is written into LuaJIT's string buffers at once: tables for every attribute, and a Lua string for every part,
-- would cost each request more than all the rest of its telemetry. The JSON form has twice as many bytes, which the
-- collector has to read, too.
local protobuf = require("apisix.plugins.azure-openai.base.protobuf")
local ffi = require("ffi")

local ipairs = ipairs
local math_abs = math.abs
local math_floor = math.floor
local pairs = pairs
local setmetatable = setmetatable
local tonumber = tonumber
local type = type
local bytes_field = protobuf.field
local varint = protobuf.varint

local LARGEST_INTEGER = 2 ^ 53
local NANOSECONDS_IN_MILLISECOND = 1000000
-- Longer values are rare, and clients can invent them.
local LONGEST_KEPT_BYTES = 255

-- Tags of fields. KeyValue, AnyValue:
local KEY, VALUE = "\10", "\18"
-- ExportLogsServiceRequest and ExportTraceServiceRequest, ResourceLogs and ResourceSpans, ScopeLogs and ScopeSpans. The
-- fields of logs and traces have the same numbers.
local OF_RESOURCE, RESOURCE, OF_SCOPE, SCOPE, ITEM = "\10", "\10", "\18", "\10", "\18"
-- InstrumentationScope
local NAME = "\10"

local SCOPE_FIELD = bytes_field(SCOPE, bytes_field(NAME, "azure-openai-gateway"))

local _M = {}

--- Where attributes stand: the tag of the field in Resource, LogRecord and Span.
_M.IN_RESOURCE, _M.IN_LOG, _M.IN_SPAN = "\10", "\50", "\74"

-- The kinds of values: the tag in AnyValue, and how a value is written. A text also says its length.
local KINDS = {
    text = {
        tag = "\10",
        has_length = true,
        write = function(value)
            return value
        end,
    },
    boolean = {
        tag = "\16",
        write = function(value)
            return value and "\1" or "\0"
        end,
    },
    -- nginx's own numbers are texts.
    integer = {
        tag = "\24",
        write = function(value)
            return varint(tonumber(value))
        end,
    },
    double = { tag = "\33", write = protobuf.double },
}

--- One attribute of a fixed name and kind.
---@class Attribute
---@field kind table one of KINDS; its `write` makes what stands after the head
---@field heads table<number, string> by the length of what follows

--- Describes an attribute.
-- @param place string where it stands: IN_RESOURCE, IN_LOG or IN_SPAN
-- @param name string
-- @param kind string "text", "boolean", "integer" or "double"
-- @return Attribute
function _M.attribute(place, name, kind)
    return { place = place, name = name, kind = KINDS[kind], heads = {} }
end

local function write_head(attribute, length)
    local kind = attribute.kind
    local value = kind.has_length and kind.tag .. varint(length) or kind.tag
    local pair = bytes_field(KEY, attribute.name) .. VALUE .. varint(#value + length) .. value
    return attribute.place .. varint(#pair + length) .. pair
end

-- What stands before a value of this length.
local function head(attribute, length)
    local text = attribute.heads[length]
    if not text then
        text = write_head(attribute, length)
        if length <= LONGEST_KEPT_BYTES then
            attribute.heads[length] = text
        end
    end
    return text
end

--- Writes an attribute.
-- @param message string.buffer
-- @param attribute Attribute
-- @param value string|string.buffer|number|boolean
function _M.put(message, attribute, value)
    local text = attribute.kind.write(value)
    message:put(head(attribute, #text), text)
end

local function kind_of(value)
    if type(value) == "string" then
        return "text"
    end
    if type(value) == "boolean" then
        return "boolean"
    end
    local is_integer = value == math_floor(value) and math_abs(value) < LARGEST_INTEGER
    return is_integer and "integer" or "double"
end

local attributes = {}
local attributes_mt = { __index = attributes }

--- What writes attributes into a message.
-- @param place string where it stands
-- @param message string.buffer
function _M.attributes(place, message)
    return setmetatable({ place = place, message = message }, attributes_mt)
end

-- By place, kind and name.
local described = {}
for _, place in ipairs({ _M.IN_RESOURCE, _M.IN_LOG, _M.IN_SPAN }) do
    described[place] = {}
    for kind in pairs(KINDS) do
        described[place][kind] = {}
    end
end

--- Writes one attribute; a value that is missing or empty adds nothing.
-- @param name string one of a fixed set
-- @param value string|number|boolean|nil a string in UTF-8
function attributes:add(name, value)
    if value == nil or value == "" then
        return
    end
    local kind = kind_of(value)
    local of_kind = described[self.place][kind]
    local attribute = of_kind[name]
    if not attribute then
        attribute = _M.attribute(self.place, name, kind)
        of_kind[name] = attribute
    end
    _M.put(self.message, attribute, value)
end

-- Many requests end in the same millisecond.
local written_time, written_milliseconds

--- The value of a time: nanoseconds since the epoch.
-- @param seconds number since the epoch
-- @return string of a fixed64 field
function _M.time(seconds)
    local milliseconds = math_floor(seconds * 1000 + 0.5)
    if milliseconds ~= written_milliseconds then
        written_time = protobuf.fixed64(milliseconds, NANOSECONDS_IN_MILLISECOND)
        written_milliseconds = milliseconds
    end
    return written_time
end

-- By the two characters that stand for a byte, read as one number.
local BYTES = ffi.new("uint8_t[65536]")
for value = 0, 255 do
    BYTES[ffi.cast("const uint16_t *", ("%02x"):format(value))[0]] = value
end

local bytes = ffi.new("uint8_t[16]")

-- Reads eight bytes from the byte `at` on. Without a loop, which would part what is around it into traces of its own.
local function read_eight_bytes(text, at)
    local digits = ffi.cast("const uint16_t *", text)
    bytes[at] = BYTES[digits[at]]
    bytes[at + 1] = BYTES[digits[at + 1]]
    bytes[at + 2] = BYTES[digits[at + 2]]
    bytes[at + 3] = BYTES[digits[at + 3]]
    bytes[at + 4] = BYTES[digits[at + 4]]
    bytes[at + 5] = BYTES[digits[at + 5]]
    bytes[at + 6] = BYTES[digits[at + 6]]
    bytes[at + 7] = BYTES[digits[at + 7]]
end

--- Writes the id of a trace or of a span: "00…ff" -> "\0…\255".
-- @param message string.buffer
-- @param tag string of the field, with the length of what follows
-- @param text string 32 or 16 hexadecimal digits in lower case
function _M.put_id(message, tag, text)
    read_eight_bytes(text, 0)
    if #text == 32 then
        read_eight_bytes(text, 8)
    end
    message:put(tag):putcdata(bytes, #text / 2)
end

--- Adds a log record or span to those of a batch.
-- @param items string.buffer
-- @param message string.buffer
function _M.put_item(items, message)
    items:put(ITEM, varint(#message), message)
end

--- What stands before the items in a request to the collector.
-- @param resource string attributes in the place IN_RESOURCE
-- @param length number of the items, in bytes
-- @return string
function _M.head_of_export(resource, length)
    local of_scope = OF_SCOPE .. varint(#SCOPE_FIELD + length) .. SCOPE_FIELD
    local of_resource = bytes_field(RESOURCE, resource) .. of_scope
    return OF_RESOURCE .. varint(#of_resource + length) .. of_resource
end

return _M
