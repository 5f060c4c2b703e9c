--- JSON with errors as second values.
local cjson = require("cjson.safe")

local concat = table.concat
local getmetatable = getmetatable
local ipairs = ipairs
local pairs = pairs
local sort = table.sort
local tostring = tostring
local type = type

-- The distribution's cjson has no mark for empty arrays, so this module writes values that hold one itself.
local _M = { array_mt = {}, decode = cjson.decode }

-- The distribution's cjson escapes slashes; APISIX's does not.
local function encode_plain(value)
    local text, err = cjson.encode(value)
    if not text then
        return nil, err
    end
    return (text:gsub("\\/", "/"))
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

local function encode_own(value, out)
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
        sort(names)
        out[#out + 1] = "{"
        for i, name in ipairs(names) do
            out[#out + 1] = (i > 1 and "," or "") .. encode_plain(name) .. ":"
            encode_own(value[keys[name]], out)
        end
        out[#out + 1] = "}"
    end
    return out
end

--- The JSON text of `value`.
function _M.encode(value)
    if has_empty_array(value) then
        return _M.stably_encode(value)
    end
    return encode_plain(value)
end

--- JSON text with sorted keys, so that equal values have equal texts.
function _M.stably_encode(value)
    return concat(encode_own(value, {}))
end

return _M
