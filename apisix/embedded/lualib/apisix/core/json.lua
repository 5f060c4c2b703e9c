--- JSON with errors as second values.
local cjson = require("cjson.safe")

local pairs = pairs
local tostring = tostring
local type = type

local _M = { null = cjson.null, array_mt = cjson.array_mt, empty_array_mt = cjson.empty_array_mt }

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

--- JSON text of `value`; with `force`, whatever cannot be encoded is named instead.
function _M.encode(value, force)
    if force then
        value = printable(value, {})
    end
    return cjson.encode(value)
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

local function encode_sorted(value, out)
    if type(value) ~= "table" then
        out[#out + 1] = cjson.encode(value)
        return
    end
    if #value > 0 or next(value) == nil then
        -- cjson writes an empty table as an object unless it is marked as an array.
        if #value == 0 then
            out[#out + 1] = cjson.encode(value)
            return
        end
        out[#out + 1] = "["
        for i = 1, #value do
            out[#out + 1] = i > 1 and "," or ""
            encode_sorted(value[i], out)
        end
        out[#out + 1] = "]"
        return
    end
    local keys = {}
    for k in pairs(value) do
        keys[#keys + 1] = tostring(k)
    end
    table.sort(keys)
    out[#out + 1] = "{"
    for i, k in ipairs(keys) do
        out[#out + 1] = (i > 1 and "," or "") .. cjson.encode(k) .. ":"
        local v = value[k]
        if v == nil then
            v = value[tonumber(k)]
        end
        encode_sorted(v, out)
    end
    out[#out + 1] = "}"
end

--- JSON text with sorted keys: equal values give equal text.
function _M.stably_encode(value)
    local out = {}
    encode_sorted(value, out)
    return table.concat(out)
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
