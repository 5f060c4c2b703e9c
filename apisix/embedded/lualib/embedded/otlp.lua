--- Spans as an ExportTraceServiceRequest (opentelemetry-proto, collector/trace/v1) in protobuf's wire format.
local bit = require("bit")
local ffi = require("ffi")

local concat = table.concat
local char = string.char
local floor = math.floor
local ipairs = ipairs
local tonumber = tonumber

-- Wire types of protobuf.
local VARINT, FIXED64, BYTES = 0, 1, 2

local _M = {}

local function varint(number)
    local rest = ffi.cast("uint64_t", ffi.cast("int64_t", number))
    local octets = ""
    while rest >= 0x80 do
        octets = octets .. char(tonumber(bit.band(rest, 0x7f)) + 0x80)
        rest = bit.rshift(rest, 7)
    end
    return octets .. char(tonumber(rest))
end

local function key(field, wire_type)
    return varint(field * 8 + wire_type)
end

-- Absent fields and empty strings are not written.

local function integer(field, number)
    return number and key(field, VARINT) .. varint(number) or ""
end

local function fixed64(field, number)
    local octets = ""
    for place = 0, 7 do
        octets = octets .. char(floor(number / 256 ^ place) % 256)
    end
    return key(field, FIXED64) .. octets
end

local function bytes(field, text)
    return text and text ~= "" and key(field, BYTES) .. varint(#text) .. text or ""
end

-- An empty message is written, because it has a meaning of its own.
local function message(field, ...)
    local content = concat({ ... })
    return key(field, BYTES) .. varint(#content) .. content
end

local function repeated(field, list, encode)
    local parts = {}
    for i, item in ipairs(list) do
        parts[i] = message(field, encode(item))
    end
    return concat(parts)
end

local function from_hex(text)
    return text and text:gsub("%x%x", function(octet)
        return char(tonumber(octet, 16))
    end)
end

local function attribute(item)
    local value = item.value
    return bytes(1, item.key) .. message(2, bytes(1, value.string_value), integer(3, value.int_value))
end

local function status(ended)
    return ended and message(15, bytes(2, ended.message), integer(3, ended.code)) or ""
end

local function span(item)
    return concat({
        bytes(1, from_hex(item.trace_id)),
        bytes(2, from_hex(item.span_id)),
        bytes(3, item.trace_state),
        bytes(4, from_hex(item.parent_id)),
        bytes(5, item.name),
        integer(6, item.kind),
        fixed64(7, item.start_time),
        fixed64(8, item.end_time),
        repeated(9, item.attributes, attribute),
        status(item.status),
    })
end

--- The message that hands spans to a collector.
-- @param resource table attributes of the process that made them
-- @param scope string name of the code that made them
-- @param spans table
-- @return string
function _M.encode(resource, scope, spans)
    return message(
        1,
        message(1, repeated(1, resource, attribute)),
        message(2, message(1, bytes(1, scope)), repeated(2, spans, span))
    )
end

return _M
