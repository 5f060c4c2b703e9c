--- Writes the values of Protobuf's binary form ("Encoding" in its documentation), as far as OTLP needs them.
--
-- A message is the joined text of its fields, in any order. A field is its tag (number * 8 + wire type, one byte for
-- numbers below 16) and its value; what has no fixed length says it first.
local ffi = require("ffi")

local ffi_string = ffi.string
local math_floor = math.floor
local string_char = string.char

-- The lengths and numbers of a request are nearly all of one or two bytes, so these are written once.
local MOST_KEPT = 128 * 128
-- The sign of a negative number is in its tenth byte.
local BYTES_BEFORE_SIGN = 9

local _M = {}

local kept = {}

local function write_varint(number)
    local text = ""
    local is_negative = number < 0
    while is_negative and #text < BYTES_BEFORE_SIGN or number >= 128 do
        text = text .. string_char(number % 128 + 128)
        number = math_floor(number / 128)
    end
    return text .. string_char(is_negative and 1 or number)
end

--- An integer: 300 -> "\172\2".
-- @param number number whole, below 2^53 in size
-- @return string
function _M.varint(number)
    local text = kept[number]
    if not text then
        text = write_varint(number)
        if number >= 0 and number < MOST_KEPT then
            kept[number] = text
        end
    end
    return text
end
local varint = _M.varint

--- A text, or a message within another.
-- @param tag string one byte
-- @param text string
-- @return string
function _M.field(tag, text)
    return tag .. varint(#text) .. text
end

local doubles = ffi.new("double[1]")

--- The value of a double field.
-- @param number number
-- @return string 8 bytes
function _M.double(number)
    doubles[0] = number
    return ffi_string(doubles, 8)
end

local longs = ffi.new("uint64_t[1]")

--- The product of two whole numbers, as the value of a fixed64 field: it may be larger than what Lua can count to.
-- @param number number below 2^53
-- @param factor number below 2^53
-- @return string 8 bytes
function _M.fixed64(number, factor)
    longs[0] = ffi.cast("uint64_t", number) * ffi.cast("uint64_t", factor)
    return ffi_string(longs, 8)
end

return _M
