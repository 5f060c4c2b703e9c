--- Plain-text string helpers over Lua's own.
local error = error
local find = string.find
local sub = string.sub
local type = type

local _M = setmetatable({}, { __index = string })

local function must_be_strings(text, part)
    if type(text) ~= "string" or type(part) ~= "string" then
        error("expected strings, got " .. type(text) .. " and " .. type(part), 3)
    end
end

--- Plain search (no patterns).
function _M.find(haystack, needle, from)
    return find(haystack, needle, from or 1, true)
end

function _M.has_prefix(text, prefix)
    must_be_strings(text, prefix)
    return sub(text, 1, #prefix) == prefix
end

function _M.has_suffix(text, suffix)
    must_be_strings(text, suffix)
    return suffix == "" or sub(text, -#suffix) == suffix
end

--- Position of the last `char` at or before `from`, else nil.
function _M.rfind_char(text, char, from)
    for i = from or #text, 1, -1 do
        if sub(text, i, i) == char then
            return i
        end
    end
    return nil
end

--- Query string to table, without a limit on the number of arguments.
function _M.decode_args(args)
    return ngx.decode_args(args, 0)
end

function _M.encode_args(args)
    return ngx.encode_args(args)
end

return _M
