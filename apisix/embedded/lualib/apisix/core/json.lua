--- JSON with errors as second values.
local cjson = require("cjson.safe")

local concat = table.concat
local getmetatable = getmetatable
local ipairs = ipairs
local pairs = pairs
local tostring = tostring
local type = type

-- The distribution's cjson knows no marked arrays, so this module writes those itself.
local _M = { null = cjson.null, array_mt = {} }

local encode_own

-- That cjson also escapes slashes, which APISIX's does not.
local function encode_plain(value)
    local text, err = cjson.encode(value)
    if not text then
        return nil, err
    end
    return (text:gsub("\\/", "/"))
end

-- Replaces what JSON cannot carry (functions, userdata, tables seen before) by its name.
local function printable(value, seen)
    local kind = type(value)
    if kind == "function" or kind == "cdata" or kind == "userdata" and value ~= cjson.null then
        return tostring(value)
    end
    if kind ~= "table" then
        return value
    end
    if seen[value] then
        return tostring(value)
    end
    seen[value] = true
    local copy = {}
    for k, v in pairs(value) do
        copy[printable(k, seen)] = printable(v, seen)
    end
    return copy
end

local function has_empty_array(value)
    if type(value) ~= "table" then
        return false
    elseif next(value) == nil then
        return getmetatable(value) == _M.array_mt
    end
    for _, item in pairs(value) do
        if has_empty_array(item) then
            return true
        end
    end
    return false
end

--- JSON text of `value`; with `force`, whatever cannot be encoded is named instead.
function _M.encode(value, force)
    if force then
        value = printable(value, {})
    elseif has_empty_array(value) then
        return concat(encode_own(value, {}))
    end
    return encode_plain(value)
end

local function strip_nulls(value)
    for k, v in pairs(value) do
        if v == cjson.null then
            value[k] = nil
        elseif type(v) == "table" then
            strip_nulls(v)
        end
    end
    return value
end
_M.strip_nulls = strip_nulls

--- Decodes `text`; `opts.null_as_nil` drops nulls at every level.
function _M.decode(text, opts)
    local value, err = cjson.decode(text)
    if opts and opts.null_as_nil then
        if value == cjson.null then
            return nil, err
        end
        if type(value) == "table" then
            strip_nulls(value)
        end
    end
    return value, err
end

-- Writes sorted keys, and tables marked as arrays as such even when they are empty.
function encode_own(value, out)
    if type(value) ~= "table" then
        out[#out + 1] = encode_plain(value)
    elseif #value > 0 or getmetatable(value) == _M.array_mt then
        for i = 1, #value do
            out[#out + 1] = i > 1 and "," or "["
            encode_own(value[i], out)
        end
        out[#out + 1] = #value > 0 and "]" or "[]"
    else
        local names, keys = {}, {}
        for k in pairs(value) do
            local name = tostring(k)
            names[#names + 1], keys[name] = name, k
        end
        table.sort(names)
        out[#out + 1] = "{"
        for i, name in ipairs(names) do
            out[#out + 1] = (i > 1 and "," or "") .. encode_plain(name) .. ":"
            encode_own(value[keys[name]], out)
        end
        out[#out + 1] = "}"
    end
    return out
end

--- JSON text with sorted keys: equal values give equal text.
function _M.stably_encode(value)
    return concat(encode_own(value, {}))
end
_M.canonical_encode = _M.stably_encode

local delayed_mt = {
    __tostring = function(self)
        return _M.encode(self.value, self.force) or ""
    end,
}

--- A value for log calls that is encoded only when the line is written.
function _M.delay_encode(value, force)
    return setmetatable({ value = value, force = force }, delayed_mt)
end

return _M
