--- What the escapes in a JSON string stand for.
local string_char = string.char
local string_find = string.find
local string_gsub = string.gsub
local tonumber = tonumber
local math_floor = math.floor

local SINGLE = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
-- What stands for half of a surrogate pair without the other half: no character.
local REPLACEMENT = "\239\191\189"

local _M = {}

local function utf8(code)
    if code < 0x80 then
        return string_char(code)
    end
    local last = 0x80 + code % 0x40
    code = math_floor(code / 0x40)
    if code < 0x20 then
        return string_char(0xC0 + code, last)
    end
    local middle = 0x80 + code % 0x40
    code = math_floor(code / 0x40)
    if code < 0x10 then
        return string_char(0xE0 + code, middle, last)
    end
    return string_char(0xF0 + math_floor(code / 0x40), 0x80 + code % 0x40, middle, last)
end

local function of_pair(high, low)
    return utf8(0x10000 + (tonumber(high, 16) - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00)
end

local function of_escape(kind, digits)
    if kind ~= "u" then
        return (SINGLE[kind] or kind) .. digits
    end
    local code = tonumber(digits, 16)
    return code >= 0xD800 and code < 0xE000 and REPLACEMENT or utf8(code)
end

--- Replaces the escapes of a JSON string.
-- @param raw string what stands between the quotes, for example `a\u00e9\n`
-- @return string UTF-8 where `raw` is; half a surrogate pair becomes U+FFFD
function _M.unescape(raw)
    if not string_find(raw, "\\", 1, true) then
        return raw
    end
    -- Now every backslash begins an escape.
    local text = string_gsub(raw, "\\\\", "\\u005c")
    text = string_gsub(text, "\\u([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)", of_pair)
    return (string_gsub(text, "\\(.)(%x?%x?%x?%x?)", of_escape))
end

return _M
